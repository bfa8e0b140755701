/** The consume loop: Kafka -> format -> sink. What a batch is, and what is durable, the sink decides. */
import { ConfigError } from "../errors.ts";
import { consumeProblem } from "./consume_options.ts";
import {
  type ConsumeDeps,
  type ConsumeJob,
  ConsumeSession,
  type ConsumeTotals,
} from "./consume_session.ts";
import { noChanges, type OpCounts } from "./counts.ts";
import { retrying } from "./retry.ts";

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
