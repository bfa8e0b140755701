/** What a job may say of the snapshot, the same for every source. */
import { z } from "zod";

/** Options of a snapshot, beside the others of a `source`. */
export const snapshotOptions = {
  // What a reader of the topic expects: the whole table. It is Debezium's default, too.
  snapshot: z.enum(["initial", "never", "only", "when_needed"]).default("initial")
    .describe(
      "Rows that are there already: `initial` reads them when the capture begins for the first time, `never` leaves them out, `only` reads them and ends, `when_needed` reads them again, too, when the log was lost.",
    ),
  // One reads while what the other has read is on its way; more only help where a server is slow.
  snapshot_workers: z.int().min(1).max(16).default(2)
    .describe("Connections that read rows at the same time."),
  // A tenth of a second of work: what is read again after a break, and seldom a question between.
  snapshot_chunk_rows: z.int().min(1).default(10_000)
    .describe("Rows of a chunk: an interrupted snapshot resumes after the last complete chunk."),
};

/** A table by whose rows a person tells the capture something. */
export const signalOptions = {
  signal_table: z.string().regex(/^[^.*?]+\.[^*?]+$/, "schema and table joined by a dot").optional()
    .describe(
      "Table whose rows (`id`, `type`, `data`) are signals; `deno task snapshot` writes them. It must be captured like the others, and goes to no topic.",
    ),
};

/** The options as validated. */
export type SnapshotOptions = z.infer<z.ZodObject<typeof snapshotOptions>>;

/** The columns of a signal table, in the words of both databases. */
export const SIGNAL_COLUMNS: Readonly<Record<string, string>> = {
  id: "VARCHAR(64) PRIMARY KEY",
  type: "VARCHAR(32) NOT NULL",
  data: "TEXT",
};

/** The statement that makes a signal table; `quoted`: its name. */
export function createSignalTable(quoted: string): string {
  const columns = Object.entries(SIGNAL_COLUMNS).map(([name, type]) => `${name} ${type}`);
  return `CREATE TABLE ${quoted} (${columns.join(", ")});`;
}

/** The statement that adds those columns that a signal table lacks; undefined: none. */
export function addSignalColumns(quoted: string, there: readonly string[]): string | undefined {
  const missing = Object.entries(SIGNAL_COLUMNS).filter(([name]) => !there.includes(name));
  if (missing.length === 0) return undefined;
  const columns = missing.map(([name, type]) => `ADD COLUMN ${name} ${type}`);
  return `ALTER TABLE ${quoted} ${columns.join(", ")};`;
}

/** As much as one read of a socket brings. */
const LEAST_QUEUE_BYTES = 65_536;

/** What each of a snapshot's connections may hold, in bytes. */
export function queueShare(
  { queue_bytes, snapshot_workers }: {
    readonly queue_bytes: number;
    readonly snapshot_workers: number;
  },
): number {
  return Math.max(LEAST_QUEUE_BYTES, Math.ceil(queue_bytes / snapshot_workers));
}
