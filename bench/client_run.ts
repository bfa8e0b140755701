/** One client library at one work: `deno run -A bench/client_run.ts RUN`, RUN being JSON. */
import { type clients, openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { KafkaClient, OutBatch } from "../shared/kafka/port.ts";
import { PackedRecords, RecordArena } from "../shared/wire/packed_records.ts";
import { SILENT } from "../tests/silent.ts";

/** What to do with a topic that is there. */
export interface ClientRun {
  readonly client: keyof typeof clients;
  readonly work: "produce" | "consume";
  readonly topic: string;
  readonly partitions: number;
  readonly records: number;
  readonly brokers: readonly string[];
  /** Lines of this file are the values to produce. */
  readonly payloads: string;
  /** Records of one send to produce. */
  readonly send_records: number;
}

/**
 * Writes the values, without a key as Java's producer-perf does, in turn to each partition. As in a
 * capture, records are packed and prepared while the send before is in flight.
 */
async function produce(kafka: KafkaClient, run: ClientRun): Promise<void> {
  const { topic, records, payloads, send_records } = run;
  const text = await Deno.readTextFile(payloads);
  const values = text.trim().split("\n").map((line) => new TextEncoder().encode(line));
  const fence = { partitions: [], ids: [] };
  const producer = await kafka.producer({ transactional_id: topic, fence });
  let [arena, other] = [new RecordArena(), new RecordArena()];
  let sending: Promise<unknown> = Promise.resolve();
  for (let first = 0; first < records; first += send_records) {
    const end = Math.min(records, first + send_records);
    const batches = packed(arena, values, { ...run, first, end });
    producer.prepare(batches);
    await sending;
    sending = producer.send(batches);
    [arena, other] = [other, arena];
  }
  await sending;
  await producer.close();
}

/** The records from `first` to `end` (exclusive), by partition. */
function packed(
  arena: RecordArena,
  values: readonly Uint8Array[],
  { topic, partitions, first, end }: ClientRun & { first: number; end: number },
): OutBatch[] {
  arena.reset();
  const timestamp_ms = Date.now();
  const parts = Array.from({ length: partitions }, () => new PackedRecords());
  for (let at = first; at < end; at++) {
    arena.add({ key: null, value: values[at % values.length]!, timestamp_ms });
    parts[at % partitions]!.push(arena, timestamp_ms);
  }
  return parts.map((records, partition) => ({ topic, partition, records }));
}

/** Reads all records; answers seconds since the partitions came. */
async function consume(kafka: KafkaClient, { topic, records }: ClientRun): Promise<number> {
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
      outOfRange: (at) => Promise.reject(new Error(`${topic}/${at.partition} is cut`)),
      batch(batch) {
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

const run: ClientRun = JSON.parse(Deno.args[0]!);
const options = kafkaOptions.parse({ brokers: run.brokers, client: run.client });
const kafka = await openKafka(options, SILENT);
if (run.work === "produce") await produce(kafka, run);
else console.log(JSON.stringify({ seconds: await consume(kafka, run) }));
Deno.exit(0); // kafkajs keeps timers
