/** The consume loop: Kafka → format → sink. What a batch is, and what is durable, the sink decides. */
import { z } from "zod";
import { ConfigError } from "../errors.ts";
import type { Format } from "../formats/format.ts";
import { type FormatName, formats } from "../formats/mod.ts";
import type { KafkaClient } from "../kafka/port.ts";
import type { Health } from "../observe/health.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Sink } from "../sinks/sink.ts";
import { ConsumeSession } from "./consume_session.ts";
import { noChanges, type OpCounts } from "./lane.ts";
import { retrying } from "./retry.ts";
import type { Target } from "./targets.ts";
import { choiceProblem, type TopicChoice } from "./topics.ts";

/** What a consume job has beside `job`, `name`, `kafka`, `sink` and `observe`. */
export const consumeOptions = {
  topics: z.array(z.string().min(1)).min(1).optional()
    .describe("Names of the topics to read."),
  topic_pattern: z.string().min(1).optional()
    .describe("Instead of `topics`: a regular expression that whole names must match."),
  group_id: z.string().min(1).optional()
    .describe("Consumer group; left out, the job's name. Consumers of one group share partitions."),
  consumer_id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 letters, digits, `.`, `_`, `-`")
    .default("1")
    .describe("Tells this consumer from others of its group in file names."),
  format: z.enum(Object.keys(formats) as [FormatName, ...FormatName[]]).default("json")
    .describe("How the changes were written on Kafka; records of another format stop the job."),
  mode: z.enum(["stream", "batch"]).default("stream")
    .describe(
      "`stream` runs until it is stopped; `batch` ends at the ends that were there at start.",
    ),
  // A crash repeats at most this much work; each flush waits for the disk.
  flush_interval_ms: z.int().min(10).max(600_000).default(1_000)
    .describe("Changes are made durable, and the group's offsets committed, at least this often."),
  // A tenth of a second of the fastest stream seen, far more than a disk's cache wants at once.
  flush_bytes: z.int().min(1_024).max(1 << 30).default(32 << 20)
    .describe("The same after so many bytes of records, over all partitions of this consumer."),
  // Topics are made rarely, and asking is one small request.
  topic_refresh_ms: z.int().min(100).max(3_600_000).default(10_000)
    .describe("How often to look for topics that are chosen and new, in `mode: stream`."),
  on_history_lost: z.literal("fail").default("fail")
    .describe(
      "What to do when the topic no longer has what comes next (retention, or made anew): `fail`.",
    ),
};

/** What the loop needs of a job. */
export interface ConsumeJob extends TopicChoice {
  readonly name: string;
  readonly group_id?: string | undefined;
  readonly mode: "stream" | "batch";
  readonly flush_interval_ms: number;
  readonly flush_bytes: number;
  readonly topic_refresh_ms: number;
  readonly kafka: {
    readonly fetch_bytes: number;
    readonly session_timeout_ms: number;
    readonly auto_offset_reset: "earliest" | "latest";
  };
}

/** What the loop is given to work with. */
export interface ConsumeDeps {
  readonly kafka: KafkaClient;
  /** Closed by the loop when it ends. */
  readonly sink: Sink;
  readonly format: Format;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly health: Health;
  /** Ends the loop in order: what was accepted is made durable and committed first. */
  readonly signal: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** What a consume did. */
export interface ConsumeSummary {
  /** Topics that were read. */
  readonly topics: string[];
  /** Partitions that this consumer had, at one time or another. */
  readonly partitions: number;
  /** Records read, repetitions and tombstones included. */
  readonly records: number;
  /** Changes made durable in the sink. */
  readonly changes: OpCounts;
  /** Changes dropped because they had come before. */
  readonly repetitions: number;
  /** Bytes of the records' keys and values. */
  readonly bytes: number;
  readonly seconds: number;
}

/** What sessions have in common: counts that they add to, and where a batch ends. */
export interface ConsumeTotals {
  targets?: ReadonlyMap<string, Target>;
  readonly topics: Set<string>;
  readonly partitions: Set<string>;
  records: number;
  changes: OpCounts;
  repetitions: number;
  bytes: number;
}

/**
 * Brings changes from the job's topics into the sink until `signal` aborts or, in batch mode, the
 * ends are reached that were there at start. Where the sink stands wins over the group's offset.
 * Passing faults are retried: everything is closed and begun again from what is durable. Throws
 * ConfigError, RecordError (a record of another format) and HistoryLostError.
 */
export async function runConsume(job: ConsumeJob, deps: ConsumeDeps): Promise<ConsumeSummary> {
  const problem = choiceProblem(job);
  if (problem !== undefined) throw new ConfigError(`${problem.field}: ${problem.message}`);
  const totals: ConsumeTotals = {
    topics: new Set(),
    partitions: new Set(),
    records: 0,
    changes: noChanges(),
    repetitions: 0,
    bytes: 0,
  };
  const began = deps.now();
  try {
    await retrying(async () => {
      let ended: "done" | "stopped" | "topics_changed";
      do ended = await new ConsumeSession(job, deps, totals).run(); while (
        ended === "topics_changed"
      );
    }, deps);
  } finally {
    await deps.sink.close();
  }
  const { records, changes, repetitions, bytes } = totals;
  return {
    topics: [...totals.topics].sort(),
    partitions: totals.partitions.size,
    records,
    changes,
    repetitions,
    bytes,
    seconds: (deps.now() - began) / 1000,
  };
}
