/** What a capture job says, apart from the loop: whoever only reads jobs loads no more. */
import { z } from "zod";
import { type FormatName, formats } from "../formats/mod.ts";
import { globSelection, isPattern } from "../jobs/glob.ts";
import { nearestHint } from "../jobs/nearest.ts";
import type { SnapshotOptions } from "../sources/snapshot_options.ts";
import { columnsOptions } from "../transforms/columns.ts";
import type { CaptureJob } from "./capture_session.ts";
import { TOPIC_TOKENS, topicName } from "./routing.ts";

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
      "What to do when the log or a topic no longer has what comes next: `fail`, or `resync`: truncate the topics and read all rows again.",
    ),
  // What is left out of the topic is missing for every reader, and nobody may have asked for that.
  on_oversize: z.enum(["fail", "dead_letter"]).default("fail")
    .describe(
      "What to do with a change that is larger than its topic allows (`max.message.bytes`, as" +
        " compressed): `fail` stops the job with the cure, `dead_letter` puts a reference to it on" +
        " another topic and goes on without it.",
    ),
  dead_letter_topic: topicName.optional()
    .describe(
      "Topic for `on_oversize: dead_letter`, made when the first change needs it; left out," +
        " `{name}.oversize.dead-letters`.",
    ),
  columns: columnsOptions.default([])
    .describe("Rules that leave columns out or mask them."),
  // A few records a year, and those who wonder about a column look there. It is Debezium's default, too.
  include_schema_changes: z.boolean().default(true)
    .describe(
      "Report on the topic `NAME.schema-changes` whenever a table's rows come under another definition.",
    ),
  // Two records more for each transaction.
  provide_transaction_metadata: z.boolean().default(false)
    .describe(
      "Report begin and end of each transaction on the topic `NAME.transaction`, and number its changes per table.",
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
    const message = "`resync` reads all rows again, which `snapshot: never` forbids";
    return { field: ["on_history_lost"], message };
  }
  const { tables, exclude_tables } = job.source;
  const isCaptured = globSelection(tables, exclude_tables);
  const idle = job.columns.findIndex(({ table }) => !isPattern(table) && !isCaptured(table));
  if (idle < 0) return undefined;
  const { table } = job.columns[idle]!;
  return {
    field: ["columns", idle, "table"],
    message: `${JSON.stringify(table)} is not captured${
      nearestHint(table, tables.filter((name) => !isPattern(name)))
    }. Allowed: what source.tables names and source.exclude_tables does not.`,
  };
}

/** Whether lost history is answered by a new generation with a snapshot. */
export function resyncs(job: Pick<CaptureJob, "on_history_lost" | "source">): boolean {
  return job.on_history_lost === "resync" || job.source.snapshot === "when_needed";
}

/** The part of a job that says what becomes of changes that are larger than their topic takes. */
export interface OversizeJob {
  readonly name: string;
  readonly on_oversize: "fail" | "dead_letter";
  readonly dead_letter_topic?: string | undefined;
}

/** The topic of the references to such changes. */
export function oversizeTopic({ name, dead_letter_topic }: OversizeJob): string {
  return dead_letter_topic ?? `${name}.oversize.dead-letters`;
}
