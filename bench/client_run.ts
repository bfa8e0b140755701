/** One client library at one work: `deno run -A bench/client_run.ts RUN`, RUN being JSON. */
import { type clients, openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { InBatch, KafkaClient, OutBatch, OutRecord } from "../shared/kafka/port.ts";
import { SILENT } from "../tests/scenario.ts";

export type ClientWork = "produce" | "consume" | "consume + JSON.parse";

/** What to do. Consuming reads what producing wrote under the same topic. */
export interface ClientRun {
  readonly client: keyof typeof clients;
  readonly work: ClientWork;
  readonly topic: string;
  readonly records: number;
  readonly brokers: readonly string[];
}

/** What it took; printed as JSON. */
export interface Measured {
  readonly seconds: number;
  /** VmHWM. */
  readonly peak_bytes: number;
}

const PARTITIONS = 3;

/** Records of one send; of the usual size they are what `kafka.send_bytes` allows. */
const SEND_RECORDS = 8_000;

/** A change as captures write it, about 500 bytes. */
function record(id: number): OutRecord {
  const after = {
    id,
    category: "news",
    domain: `site-${id % 1000}.example.org`,
    timestamp: "2026-11-21T10:00:00.123456",
  };
  const source = {
    connector: "mysql",
    name: "orders",
    version: "0.1.0",
    ts_us: 1795255200123456,
    snapshot: "false",
    ts_ms: 1795255200123,
    db: "shop",
    schema: null,
    table: "list",
    position: `6923a1f0-0000000000000003-${id.toString(16).padStart(16, "0")}-00000000`,
    schema_id: "9f1c2b3a",
    gtid: `3e11fa47-71ca-11e1-9e33-c80aa9429562:${id}`,
    file: "binlog.000003",
    pos: id,
    row: 0,
  };
  const transaction = { id: `${id}`, total_order: 1 };
  const value = { before: null, after, source, op: "c", ts_ms: 1795255200130, transaction };
  return { key: `{"id":${id}}`, value: JSON.stringify(value), timestamp_ms: 1795255200123 };
}

async function produce(kafka: KafkaClient, { topic, records }: ClientRun): Promise<number> {
  const admin = await kafka.admin();
  const config = { "min.insync.replicas": "2" };
  await admin.create_topics([
    { name: topic, partitions: PARTITIONS, replication_factor: 3, config },
  ]);
  await admin.close();
  const fence = { partitions: [], ids: [] };
  const producer = await kafka.producer({ transactional_id: topic, fence });
  const began = performance.now();
  for (let id = 0; id < records;) {
    const end = Math.min(records, id + SEND_RECORDS);
    const batches = Array.from(
      { length: PARTITIONS },
      (_, partition) => ({ topic, partition, records: [] as OutRecord[] }),
    );
    for (; id < end; id++) batches[id % PARTITIONS]!.records.push(record(id));
    await producer.send(batches satisfies OutBatch[]);
  }
  const seconds = (performance.now() - began) / 1000;
  await producer.close();
  return seconds;
}

async function consume(
  kafka: KafkaClient,
  { topic, records }: ClientRun,
  each: (batch: InBatch) => void,
): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  let [seen, began] = [0, 0];
  const consumer = await kafka.consumer({
    group_id: crypto.randomUUID(),
    topics: [topic],
    auto_offset_reset: "earliest",
    session_timeout_ms: 30_000,
    fetch_bytes: 256 << 10,
    handlers: {
      assigned(partitions) {
        began = performance.now();
        return Promise.resolve(partitions.map(() => 0));
      },
      revoked: () => Promise.resolve(),
      failed: reject,
      out_of_range: (at) => Promise.reject(new Error(`${topic}/${at.partition} is cut`)),
      batch(batch) {
        each(batch);
        seen += batch.records.length;
        if (seen >= records) resolve((performance.now() - began) / 1000);
        return Promise.resolve();
      },
    },
  });
  const seconds = await promise;
  await consumer.close();
  return seconds;
}

const text = new TextDecoder();

function parse({ records }: InBatch): void {
  for (const { value } of records) JSON.parse(text.decode(value!));
}

const run: ClientRun = JSON.parse(Deno.args[0]!);
const options = kafkaOptions.parse({ brokers: run.brokers, client: run.client });
const kafka = await openKafka(options, "consume", SILENT);
const seconds = run.work === "produce"
  ? await produce(kafka, run)
  : await consume(kafka, run, run.work === "consume" ? () => {} : parse);
const peak = /^VmHWM:\s+(\d+) kB$/m.exec(Deno.readTextFileSync("/proc/self/status"))!;
const measured: Measured = { seconds, peak_bytes: Number(peak[1]) * 1024 };
console.log(JSON.stringify(measured));
Deno.exit(0); // kafkajs keeps timers
