/** How old changes are when a consumer has them: the time since their commit was asked for. */
import type { Consumer, InBatch } from "../shared/kafka/port.ts";
import { writers } from "../shared/seed/mod.ts";
import { seedOptions } from "../shared/seed/options.ts";
import { Random } from "../shared/seed/random.ts";
import { listRow } from "../shared/seed/values.ts";
import type { SeedWriter } from "../shared/seed/writer.ts";
import type { TestDatabase } from "../tests/databases.ts";
import type { Measured } from "./bench.ts";
import { quantile } from "./statistics.ts";
import { type BenchTopic, stackKafka } from "./topic.ts";

/** A transaction every 10 ms. */
const TRANSACTIONS_PER_SECOND = 100;
/** While one waits for its commit the other goes on. */
const CONNECTIONS = 2;
/** So long is written before it counts: a Java that has just started compiles for seconds. */
const WARM_UP_SECONDS = 10;
/** Of the rate: with less, the figure is one of another rate. */
const LEAST_SHARE = 0.9;
/** The last change is late by seconds at most; then something is lost. */
const PATIENCE_MS = 60_000;

/** What is written, and where it comes out. */
export interface Way {
  readonly db: TestDatabase;
  readonly table: string;
  readonly topic: BenchTopic;
}

/** Rows a second, and for how long. */
export interface Load {
  readonly rate: number;
  readonly seconds: number;
}

/**
 * Writes rows evenly and reads them from the topic. Writer and reader are one process, so the ages are
 * by one clock: from the moment just before COMMIT is sent (durable when answered) to the moment when
 * the consumer is handed the record.
 */
export async function commitLatency(way: Way, load: Load): Promise<Measured["figures"]> {
  const warm_up_seconds = Math.min(WARM_UP_SECONDS, load.seconds);
  const seconds = warm_up_seconds + load.seconds;
  const commits_ms = new Float64Array(seconds * TRANSACTIONS_PER_SECOND);
  const ages = new Ages(commits_ms, seconds * load.rate);
  const consumer = await readInto(ages, way.topic);
  try {
    await writeAll(way, load, commits_ms);
    await ages.complete(PATIENCE_MS);
  } finally {
    await consumer.close();
  }
  const counted = ages.values.subarray(warm_up_seconds * load.rate);
  return {
    p50_ms: quantile(counted, 0.5),
    p95_ms: quantile(counted, 0.95),
    p99_ms: quantile(counted, 0.99),
  };
}

/** Ages in the order of arrival. */
class Ages {
  readonly values: Float64Array<ArrayBuffer>;
  readonly #commits_ms: Float64Array;
  readonly #all = Promise.withResolvers<void>();
  readonly #text = new TextDecoder();
  #seen = 0;

  /** `commits_ms`: by the number of the transaction, which its rows carry as their category. */
  constructor(commits_ms: Float64Array, count: number) {
    this.#commits_ms = commits_ms;
    this.values = new Float64Array(count);
  }

  readonly take = ({ records }: InBatch): Promise<void> => {
    const now_ms = performance.now();
    for (const { value } of records) {
      const transaction = /"category":"(\d+)"/.exec(this.#text.decode(value!));
      if (transaction === null) continue; // a marker from before
      this.values[this.#seen++] = now_ms - this.#commits_ms[Number(transaction[1])]!;
    }
    if (this.#seen >= this.values.length) this.#all.resolve();
    return Promise.resolve();
  };

  readonly fail = (error: unknown): void => this.#all.reject(error);

  /** Waits until all have come. */
  async complete(patience_ms: number): Promise<void> {
    const timer = setTimeout(
      () => this.fail(new Error(`${this.#seen} of ${this.values.length} changes have come`)),
      patience_ms,
    );
    await this.#all.promise.finally(() => clearTimeout(timer));
  }
}

async function readInto(ages: Ages, topic: BenchTopic): Promise<Consumer> {
  const ends = await topic.ends();
  const kafka = await stackKafka();
  const { promise: assigned, resolve } = Promise.withResolvers<void>();
  const consumer = await kafka.consumer({
    group_id: `bench_${crypto.randomUUID()}`,
    topics: [topic.name],
    auto_offset_reset: "earliest",
    session_timeout_ms: 30_000,
    fetch_bytes: 1 << 20,
    handlers: {
      assigned(partitions) {
        resolve();
        return Promise.resolve(partitions.map(({ partition }) => ends[partition]));
      },
      revoked: () => Promise.resolve(),
      failed: ages.fail,
      outOfRange: (_at, _asked, first) => Promise.resolve(first),
      batch: ages.take,
    },
  });
  await assigned;
  return consumer;
}

async function writeAll({ db, table }: Way, load: Load, commits_ms: Float64Array): Promise<void> {
  const options = seedOptions.parse({ database: db.database, table: db.qualified(table) });
  const random = new Random(1);
  const began = performance.now();
  let next = 0;
  const work = async (writer: SeedWriter) => {
    while (next < commits_ms.length) {
      const number = next++;
      const due = began + number * 1000 / TRANSACTIONS_PER_SECOND;
      const early_ms = due - performance.now();
      if (early_ms > 0) await new Promise((resolve) => setTimeout(resolve, early_ms));
      const rows = Array.from(
        { length: load.rate / TRANSACTIONS_PER_SECOND },
        () => ({ ...listRow(random), category: String(number) }),
      );
      await writer.begin();
      await writer.insert(rows);
      commits_ms[number] = performance.now();
      await writer.commit();
    }
    await writer.close();
  };
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => writers[db.database.kind](options)),
  );
  await Promise.all(connections.map(work));
  const seconds = (performance.now() - began) / 1000;
  const rate = commits_ms.length / TRANSACTIONS_PER_SECOND * load.rate / seconds;
  if (rate < load.rate * LEAST_SHARE) {
    throw new Error(`${db.name} took ${Math.round(rate)} of ${load.rate} rows a second`);
  }
}
