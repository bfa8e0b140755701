/** The consume loop: Kafka -> format -> sink. What a batch is, and what is durable, the sink decides. */
import { z } from "zod";
import { ConfigError } from "../errors.ts";
import { type FormatName, formats } from "../formats/mod.ts";
import {
  type ConsumeDeps,
  type ConsumeJob,
  ConsumeSession,
  type ConsumeTotals,
} from "./consume_session.ts";
import { noChanges, type OpCounts } from "./counts.ts";
import { type PoisonJob, poisonOptions, poisonProblem } from "./poison.ts";
import { retrying } from "./retry.ts";
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
  ...poisonOptions,
};

/** Says what is wrong with options together: which field, and why; undefined: nothing. */
export function consumeProblem(
  job: TopicChoice & PoisonJob,
): { field: string; message: string } | undefined {
  return choiceProblem(job) ?? poisonProblem(job);
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
  /** Records that could not be applied and were passed over, or put on the dead letter topic. */
  readonly skipped: number;
  readonly dead_letters: number;
  /** Bytes of the records' keys and values. */
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Brings changes from the job's topics into the sink until `signal` aborts or, in batch mode, the
 * ends are reached that were there at start. Where the sink stands wins over the group's offset.
 * Passing faults are retried: everything is closed and begun again from what is durable. Throws
 * ConfigError, RecordError (a record that cannot be
 * applied, where `on_error` is `fail`, and one of another format) and HistoryLostError.
 */
export async function runConsume(job: ConsumeJob, deps: ConsumeDeps): Promise<ConsumeSummary> {
  const problem = consumeProblem(job);
  if (problem !== undefined) throw new ConfigError(`${problem.field}: ${problem.message}`);
  const totals: ConsumeTotals = {
    topics: new Set(),
    partitions: new Set(),
    records: 0,
    changes: noChanges(),
    repetitions: 0,
    skipped: 0,
    dead_letters: 0,
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
  const { records, changes, repetitions, skipped, dead_letters, bytes } = totals;
  return {
    topics: [...totals.topics].sort(),
    partitions: totals.partitions.size,
    records,
    changes,
    repetitions,
    skipped,
    dead_letters,
    bytes,
    seconds: (deps.now() - began) / 1000,
  };
}
