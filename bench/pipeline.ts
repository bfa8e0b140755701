/** How fast each worker is on a backlog, what memory it takes, and how old a change is on arrival. */
import { openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { CaptureSummary } from "../shared/pipeline/capture.ts";
import type { ConsumeSummary } from "../shared/pipeline/consume.ts";
import { databases, type TestDatabase } from "../tests/databases.ts";
import { Scenario, SILENT } from "../tests/scenario.ts";
import { testStack } from "../tests/stack.ts";

/** One line of the result. */
export interface PipelineRow {
  readonly database: TestDatabase["name"];
  readonly work: string;
  /** Changes (capture) or CSV rows (consume) a second; absent for latencies. */
  readonly per_second?: number;
  readonly seconds?: number;
  readonly peak_megabytes?: number;
  /** Commit to consumer, in milliseconds. */
  readonly p50_ms?: number;
  readonly p95_ms?: number;
  readonly p99_ms?: number;
}

/** What is measured. */
export interface PipelineOptions {
  /** Changes of the backlog, for each database. */
  readonly changes: number;
  /** How long each latency is measured. */
  readonly latency_seconds: number;
  readonly tell: (row: PipelineRow) => void;
}

/** Changes of each database that are not measured, and for how long latency is not. */
const WARM_UP = { changes: 200_000, latency_seconds: 5, tell() {} };

/** Changes a second at which latency is measured. */
const RATES = [1_000, 10_000];

/** Measures on the stack that LIST_SYNC_STACK names; each row is told as soon as it is there. */
export async function benchPipeline(options: PipelineOptions): Promise<void> {
  // Brokers that have just started run interpreted code, and large sends compile little of what
  // small ones need: whichever database came first would be charged for it.
  for (const db of databases()) {
    await backlog(db, WARM_UP);
    for (const rate of RATES) await latency(db, rate, WARM_UP);
  }
  for (const db of databases()) {
    await backlog(db, options);
    for (const rate of RATES) await latency(db, rate, options);
  }
}

async function backlog(db: TestDatabase, { changes, tell }: PipelineOptions): Promise<void> {
  const scenario = new Scenario(db, { format: "json", mode: "batch" });
  await scenario.createTable();
  await scenario.capture().ended();
  await scenario.seed(changes);

  const capture = scenario.capture();
  const captured = await capture.result<CaptureSummary>();
  tell({
    database: db.name,
    work: "capture",
    seconds: captured.seconds,
    per_second: changes / captured.seconds,
    peak_megabytes: capture.peak_bytes / 1e6,
  });

  const consume = scenario.consume();
  const consumed = await consume.result<ConsumeSummary>();
  const { c, u, d } = consumed.changes;
  tell({
    database: db.name,
    work: "consume-csv",
    seconds: consumed.seconds,
    per_second: (c + 2 * u + d) / consumed.seconds,
    peak_megabytes: consume.peak_bytes / 1e6,
  });
}

async function latency(db: TestDatabase, rate: number, options: PipelineOptions): Promise<void> {
  const scenario = new Scenario(db, { format: "json", mode: "stream" });
  await scenario.createTable();
  await using capture = scenario.capture();
  await capture.event("capture_started");
  const seed = scenario.startSeed(rate * options.latency_seconds, { rate });
  const ages = await agesOf(scenario.topic, rate * options.latency_seconds);
  await seed.ended();
  await capture.stop();
  const sorted = ages.subarray(ages.length / 5).sort(); // the first fifth warms the processes up
  const quantile = (q: number) => sorted[Math.floor(q * (sorted.length - 1))]!;
  options.tell({
    database: db.name,
    work: `commit → consumer at ${rate.toLocaleString("en")}/s`,
    peak_megabytes: capture.peak_bytes / 1e6,
    p50_ms: quantile(0.5),
    p95_ms: quantile(0.95),
    p99_ms: quantile(0.99),
  });
}

const COMMITTED = /"ts_us":(\d+)/;

/** Reads `count` records of the topic as they come; answers their ages on arrival in milliseconds. */
async function agesOf(topic: string, count: number): Promise<Float64Array> {
  const kafka = await openKafka(
    kafkaOptions.parse({ brokers: testStack().kafka.brokers }),
    "consume",
    SILENT,
  );
  const admin = await kafka.admin();
  while ((await admin.topics((name) => name === topic)).length === 0) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await admin.close();
  const ages = new Float64Array(count);
  const text = new TextDecoder();
  let seen = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const consumer = await kafka.consumer({
    group_id: `bench_${crypto.randomUUID()}`,
    topics: [topic],
    auto_offset_reset: "earliest",
    session_timeout_ms: 30_000,
    fetch_bytes: 1 << 20,
    handlers: {
      assigned: (partitions) => Promise.resolve(partitions.map(() => 0)),
      revoked: () => Promise.resolve(),
      failed: reject,
      out_of_range: (_at, _asked, first) => Promise.resolve(first),
      batch({ records }) {
        const now_us = (performance.timeOrigin + performance.now()) * 1000;
        for (const { value } of records) {
          ages[seen++] = (now_us - Number(COMMITTED.exec(text.decode(value!))![1])) / 1000;
        }
        if (seen >= count) resolve();
        return Promise.resolve();
      },
    },
  });
  await promise;
  await consumer.close();
  return ages;
}
