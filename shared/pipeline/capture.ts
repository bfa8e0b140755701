/**
 * The capture loop: source -> transforms -> format -> Kafka. One send is in flight while the next is
 * gathered; the source is told only of what all in-sync replicas hold.
 */
import { z } from "zod";
import { HistoryLostError, RetryableError, SnapshotCutError } from "../errors.ts";
import { globSelection, isPattern } from "../jobs/glob.ts";
import { nearest } from "../jobs/nearest.ts";
import type { SnapshotOptions } from "../sources/snapshot_options.ts";
import { type FormatName, formats } from "../formats/mod.ts";
import { columnsOptions } from "../transforms/columns.ts";
import { transforms } from "../transforms/mod.ts";
import {
  type CaptureDeps,
  type CaptureJob,
  CaptureSession,
  type CaptureTotals,
} from "./capture_session.ts";
import { noChanges, type OpCounts } from "./counts.ts";
import { oversizeOptions } from "./oversize.ts";
import { retrying } from "./retry.ts";
import { TOPIC_TOKENS } from "./routing.ts";

const TOKEN = /\{(\w*)\}/g;

/** What a capture adds to the job's `kafka`. */
export const captureTopicOptions = {
  topic: z.string().min(1).default("{name}.{schema}.{table}")
    .refine(
      (template) =>
        [...template.matchAll(TOKEN)].every(([, token]) =>
          (TOPIC_TOKENS as readonly string[]).includes(token!)
        ),
      { message: `only ${TOPIC_TOKENS.map((token) => `{${token}}`).join(", ")} may stand in it` },
    )
    .describe(
      "Template of the topic names: `{name}` of the job, `{db}`, `{schema}` (the database where there are no schemas), `{table}`.",
    ),
  // Kafka's own default of 1 would leave consumers nothing to share.
  partitions: z.int().min(1).max(10_000).default(3)
    .describe("Partitions of the topics that the capture makes."),
  // The smallest that survives a broker without giving up min.insync.replicas=2.
  replication_factor: z.int().min(1).max(9).default(3)
    .describe("Replicas of the topics that the capture makes."),
};

/** What a capture job has beside `job`, `name`, `source`, `kafka` and `observe`. */
export const captureOptions = {
  format: z.enum(Object.keys(formats) as [FormatName, ...FormatName[]]).default("json")
    .describe("How changes are written on Kafka."),
  mode: z.enum(["stream", "batch"]).default("stream")
    .describe(
      "`stream` runs until it is stopped; `batch` ends when all that the log held at the start is written.",
    ),
  // What was lost is told, and a person decides: reading all rows again is work for everyone.
  on_history_lost: z.enum(["fail", "resync"]).default("fail")
    .describe(
      "What to do when the log or a topic no longer has what comes next: `fail`, or `resync`: truncate the topics and read all rows anew.",
    ),
  ...oversizeOptions,
  columns: columnsOptions.default([])
    .describe("Rules that leave columns out or mask them."),
  // A few records a year, and those who wonder about a column look there. It is Debezium's default, too.
  include_schema_changes: z.boolean().default(true)
    .describe(
      "Tell on the topic `NAME.schema-changes` whenever a table's rows come under another definition.",
    ),
  // Two records more for each transaction.
  provide_transaction_metadata: z.boolean().default(false)
    .describe(
      "Tell begin and end of each transaction on the topic `NAME.transaction`, and number its changes per table.",
    ),
};

/** What is wrong with the options of a capture job together; undefined: nothing. */
export function captureProblem(
  job: Pick<CaptureJob, "on_history_lost" | "columns"> & {
    readonly source: Pick<SnapshotOptions, "snapshot"> & {
      readonly tables: readonly string[];
      readonly exclude_tables: readonly string[];
    };
  },
): { field: readonly (string | number)[]; message: string } | undefined {
  if (job.on_history_lost === "resync" && job.source.snapshot === "never") {
    const message = "`resync` reads all rows anew, which `snapshot: never` forbids";
    return { field: ["on_history_lost"], message };
  }
  const { tables, exclude_tables } = job.source;
  const isCaptured = globSelection(tables, exclude_tables);
  const idle = job.columns.findIndex(({ table }) => !isPattern(table) && !isCaptured(table));
  if (idle < 0) return undefined;
  const { table } = job.columns[idle]!;
  const near = nearest(table, tables.filter((name) => !isPattern(name)));
  return {
    field: ["columns", idle, "table"],
    message: `${JSON.stringify(table)} is not captured${
      near === undefined ? "" : `; nearest is ${JSON.stringify(near)}`
    }. Allowed: what source.tables names and source.exclude_tables does not.`,
  };
}

/** What a capture did. */
export interface CaptureSummary {
  readonly changes: OpCounts;
  /** Changes that the topics already held. */
  readonly repetitions: number;
  /** Changes that were too large, and were set aside. */
  readonly oversize: number;
  readonly seconds: number;
}

/**
 * Captures until `signal` aborts or, in batch mode, the end is reached. Passing faults are retried
 * with backoff: each time everything is closed, fenced and started from the tails.
 */
export async function capture(job: CaptureJob, deps: CaptureDeps): Promise<CaptureSummary> {
  const { format } = await formats[job.format]();
  const transform = (await transforms.columns()).columns(job.columns);
  const totals: CaptureTotals = {
    changes: noChanges(),
    repetitions: 0,
    oversize: 0,
    lost: undefined,
  };
  const began = deps.now();
  await retrying(async () => {
    const session = new CaptureSession(job, deps, { format, transform }, totals);
    try {
      await session.run();
    } catch (error) {
      if (!beginsAnew(error, job)) throw error;
      totals.lost = error;
      throw new RetryableError("A new generation begins with a snapshot", { cause: error });
    } finally {
      deps.ready(false, "not connected");
      await session.close();
    }
  }, { signal: deps.signal, log: deps.log, metrics: deps.metrics });
  const { changes, repetitions, oversize } = totals;
  return { changes, repetitions, oversize, seconds: (deps.now() - began) / 1000 };
}

/** Whether reading all rows anew is the answer to an error. */
function beginsAnew(error: unknown, job: CaptureJob): error is Error {
  if (error instanceof SnapshotCutError) return true; // nothing is lost: it had not ended yet
  return error instanceof HistoryLostError && resyncs(job);
}

/** Whether lost history is answered by a new generation with a snapshot. */
export function resyncs(job: Pick<CaptureJob, "on_history_lost" | "source">): boolean {
  return job.on_history_lost === "resync" || job.source.snapshot === "when_needed";
}
