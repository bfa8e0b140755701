/** How fast each worker is on a backlog, what memory it takes, and how old a change is on arrival. */
import { openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { CaptureSummary } from "../shared/pipeline/capture.ts";
import type { ConsumeSummary } from "../shared/pipeline/consume.ts";
import { databases, type TestDatabase } from "../tests/databases.ts";
import { Scenario, SILENT } from "../tests/scenario.ts";
import { testStack } from "../tests/stack.ts";
import type { BenchOptions } from "./bench.ts";

/** Changes of each database that are not measured, and for how long latency is not. */
const WARM_UP = { changes: 200_000, latency_seconds: 5, tell() {} };

/** Changes a second at which latency is measured. */
const RATES = [1_000, 10_000];

/** Changes or rows a second, seconds and peak memory of each worker; latency from commit to consumer. */
export async function bench(options: BenchOptions): Promise<void> {
  // Brokers that have just started run interpreted code, and large sends compile little of what
  // small ones need: whichever database came first would be charged for it.
  const warmUp = { ...options, ...WARM_UP };
  for (const db of databases()) {
    await backlog(db, warmUp);
    for (const rate of RATES) await latency(db, rate, warmUp);
  }
  for (const db of databases()) {
    await backlog(db, options);
    for (const rate of RATES) await latency(db, rate, options);
  }
}

async function backlog(db: TestDatabase, { changes, tell }: BenchOptions): Promise<void> {
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

async function latency(db: TestDatabase, rate: number, options: BenchOptions): Promise<void> {
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
