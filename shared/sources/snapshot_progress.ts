/** How far a snapshot has come: stored with every position, so that a successor goes on from there. */
import { ConfigError, READ_ALL_AGAIN, SnapshotCutError } from "../errors.ts";
import type { SnapshotOptions } from "./snapshot_options.ts";
import type { ResumePoint } from "./source.ts";

/** Values of a table's key columns, each as a literal of the database's SQL. */
export type Key = readonly string[];

/** What is done. Tables without a key come first, then those with one, each in order of their names. */
export interface SnapshotProgress {
  /** Raised at every start and stored before a row is read: later readings outrank earlier ones. */
  readonly attempt: number;
  /** Tables without a key that were read. */
  readonly keyless: readonly string[];
  /** The last table with a key that was read whole; null: none yet. */
  readonly done: string | null;
  /** The table after it, as far as it was read. */
  readonly part: {
    readonly table: string;
    /** How its key is defined: under another one, order and `after` mean something else. */
    readonly key_id: string;
    readonly after: Key;
  } | null;
  /** Rows read so far. */
  readonly rows: number;
}

const BEGUN: SnapshotProgress = {
  attempt: 1,
  keyless: [],
  done: null,
  part: null,
  rows: 0,
};

function progressOf(resume: ResumePoint): SnapshotProgress | undefined {
  const { snapshot } = resume;
  if (snapshot === undefined) return undefined;
  try {
    return JSON.parse(String(snapshot)) as SnapshotProgress;
  } catch (cause) {
    throw new ConfigError(
      `The stored position holds ${
        JSON.stringify(snapshot)
      } where the progress of a snapshot belongs`,
      { cure: READ_ALL_AGAIN, cause },
    );
  }
}

/**
 * The progress with which a start begins; undefined: no snapshot is to be read. `resume`: the stored
 * position, if there is one.
 */
export function nextProgress(
  resume: ResumePoint | undefined,
  { snapshot }: Pick<SnapshotOptions, "snapshot">,
): SnapshotProgress | undefined {
  if (snapshot === "never") return undefined;
  if (resume === undefined) return BEGUN;
  const progress = progressOf(resume);
  return progress && { ...progress, attempt: progress.attempt + 1 };
}

/** Throws SnapshotCutError when a snapshot that goes on lacks tables that cannot be read later. */
export function refuseCut(
  { attempt, keyless }: SnapshotProgress,
  tables: readonly { readonly name: string; readonly keyless: boolean }[],
): void {
  if (attempt === 1) return;
  const missing = tables.filter((table) => table.keyless && !keyless.includes(table.name));
  if (missing.length === 0) return;
  const names = missing.map(({ name }) => name).join(", ");
  throw new SnapshotCutError(
    `The snapshot was interrupted before it had read ${names}: without a key, rows that are read` +
      " later than the stream begins cannot be told from those that the stream brings",
  );
}

/** `resume` with the progress of the snapshot that leads to it. */
export function withProgress(resume: ResumePoint, progress: SnapshotProgress): ResumePoint {
  return { ...resume, snapshot: JSON.stringify(progress) };
}
