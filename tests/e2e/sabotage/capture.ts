/**
 * A capture that a test breaks on purpose: `capture.ts SABOTAGE JOB`. The product has no such switch;
 * here its parts are put together with one of them replaced.
 */
import { capture } from "../../../shared/pipeline/capture.ts";
import { captureTopicOptions } from "../../../shared/pipeline/capture_options.ts";
import type { Admin, KafkaClient, OutBatch, Producer } from "../../../shared/kafka/port.ts";
import { openKafka } from "../../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../../shared/kafka/options.ts";
import { createLog } from "../../../shared/observe/log.ts";
import { createMetrics } from "../../../shared/observe/prometheus.ts";
import { sources } from "../../../shared/sources/mod.ts";
import { mysqlOptions } from "../../../shared/sources/mysql/options.ts";
import { postgresOptions } from "../../../shared/sources/postgres/options.ts";

/** Topics of list-sync itself, which every sabotage leaves alone. */
const isOwn = (topic: string) => topic.startsWith("list-sync.");

/** How late a sabotaged acknowledgement really comes. */
const LATE_MS = 3_000;

/** Says at once that a batch is held by all replicas, and sends it later. */
function acknowledgeOnReceipt(kafka: KafkaClient): KafkaClient {
  return { ...bound(kafka), producer: async (options) => hasty(await kafka.producer(options)) };
}

function hasty(producer: Producer): Producer {
  let sending: Promise<unknown> = Promise.resolve();
  const inTurn = (batches: readonly OutBatch[]) => {
    const sent = sending.then(() => producer.send(batches));
    sending = sent;
    return sent;
  };
  return {
    async send(batches) {
      // Once a send is acknowledged its bytes are used again: who sends later needs a copy.
      const data = batches.filter(({ topic }) => !isOwn(topic)).map(copyOf);
      const own = batches.filter(({ topic }) => isOwn(topic));
      // Nobody hears of a send that fails by then.
      if (data.length > 0) setTimeout(() => inTurn(data).catch(() => {}), LATE_MS);
      if (own.length > 0) await inTurn(own);
      // Where the records will stand nobody knows yet.
      return batches.map(({ topic, partition }) => ({ topic, partition, next_offset: NaN }));
    },
    prepare: () => {},
    keepFence: () => producer.keepFence(),
    close: () => producer.close(),
  };
}

function copyOf({ topic, partition, records }: OutBatch): OutBatch {
  const copies = Array.from({ length: records.length }, (_, index) => {
    const { key, value, timestamp_ms, headers } = records.at(index)!;
    return structuredClone({ key, value, timestamp_ms, headers });
  });
  return { topic, partition, records: copies };
}

/** Finds nothing after the stored end offsets. */
function skipPositionCheck(kafka: KafkaClient): KafkaClient {
  return { ...bound(kafka), admin: async () => blind(await kafka.admin()) };
}

function blind(admin: Admin): Admin {
  return new Proxy(admin, {
    get(target, name) {
      if (name === "read") {
        return (...[at, from, to]: Parameters<Admin["read"]>) =>
          target.read(at, isOwn(at.topic) ? from : to, to);
      }
      const member = Reflect.get(target, name);
      return typeof member === "function" ? member.bind(target) : member;
    },
  });
}

/** Changes a letter of the first value that it sends. */
function alterValue(kafka: KafkaClient): KafkaClient {
  return {
    ...bound(kafka),
    producer: async (options) => altering(await kafka.producer(options)),
  };
}

function altering(producer: Producer): Producer {
  let altered = false;
  return {
    send(batches) {
      const value = batches.find(({ topic }) => !isOwn(topic))?.records.at(0)?.value;
      const at = value instanceof Uint8Array && !altered ? textAt(value, `"note":"`) : -1;
      if (at >= 0) (value as Uint8Array)[at] = (value as Uint8Array)[at]! ^ 1;
      altered ||= at >= 0;
      return producer.send(batches);
    },
    prepare: () => {},
    keepFence: () => producer.keepFence(),
    close: () => producer.close(),
  };
}

/** Index after the last place of `text` in `bytes`; -1: it is not there. */
function textAt(bytes: Uint8Array, text: string): number {
  const at = new TextDecoder("latin1").decode(bytes).lastIndexOf(text);
  return at < 0 ? -1 : at + text.length;
}

function bound(kafka: KafkaClient): KafkaClient {
  return {
    capabilities: kafka.capabilities,
    admin: () => kafka.admin(),
    producer: (options) => kafka.producer(options),
    consumer: (options) => kafka.consumer(options),
  };
}

const SABOTAGES: Record<string, (kafka: KafkaClient) => KafkaClient> = {
  "none": bound,
  "acknowledge on receipt": acknowledgeOnReceipt,
  "skip the position check": skipPositionCheck,
  "alter a value": alterValue,
};

const [sabotage, path] = Deno.args;
const job = JSON.parse(Deno.readTextFileSync(path!));
const log = createLog({
  job: job.name,
  write: (line) => Deno.stderr.writeSync(new TextEncoder().encode(line)),
  now: Date.now,
});
const context = { name: job.name, version: "0", log, now: Date.now };
const [Mysql, Postgres] = [await sources.mysql(), await sources.postgresql()];
const createSource = () =>
  job.job === "capture-mysql"
    ? new Mysql(mysqlOptions.parse(job.source), context)
    : new Postgres(postgresOptions.parse(job.source), context);
const { topic, partitions, replication_factor } = captureTopicOptions;

await capture({
  name: job.name,
  kafka: {
    topic: topic.parse(undefined),
    partitions: partitions.parse(undefined),
    replication_factor: replication_factor.parse(undefined),
    send_bytes: 2 << 20,
  },
  format: job.format,
  mode: job.mode,
  on_history_lost: "fail",
  include_schema_changes: false,
  provide_transaction_metadata: false,
  source: { snapshot: "never" },
  columns: [],
  on_oversize: "fail",
}, {
  source: createSource,
  kafka: SABOTAGES[sabotage!]!(await openKafka(kafkaOptions.parse(job.kafka), log)),
  version: "0",
  log,
  metrics: createMetrics(),
  signal: new AbortController().signal,
  now: Date.now,
  ready: () => {},
});
