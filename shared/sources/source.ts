/** What a database must do to be captured. One folder per technology implements it. */
import type { Change, Connector, TableSchema } from "../change.ts";
import type { Log } from "../observe/log.ts";
import type { KeyRange } from "./incremental.ts";

/**
 * Where a source starts again, in its own words (slot LSN, GTID set, server identity ...); plain JSON.
 * Never inside a transaction: a start there sends the whole transaction that was cut.
 */
export type ResumePoint = Readonly<Record<string, string | number>>;

/** Changes in source order, and where to start again once all of them are acknowledged. */
export interface SourceBatch {
  /** May be empty: then only `resume` has moved (other tables, keepalives, heartbeats). */
  readonly changes: readonly Change[];
  /** Covers every batch up to and including this one; unchanged while a transaction is not complete. */
  readonly resume: ResumePoint;
  /** Whether `resume` covers the last change too: its transaction has come whole. */
  readonly whole: boolean;
  /** With the batches of a snapshot. */
  readonly snapshot?: SnapshotState;
  /** Tables that went between the changes, in order; left out: none, or the log does not say so. */
  readonly dropped?: readonly DroppedTable[];
}

/** A table that is gone, by the log's word. */
export interface DroppedTable extends Pick<TableSchema, "db" | "schema" | "table"> {
  readonly position: string;
  /** Commit time, microseconds since the Unix epoch. */
  readonly ts_us: number;
  /** When it was captured, milliseconds since the Unix epoch. */
  readonly ts_ms: number;
  readonly statement: string;
}

/** How far a snapshot has come, all tables and attempts together; of an incremental one, its table. */
export interface SnapshotState {
  readonly rows: number;
  readonly rows_estimated: number;
  readonly finished: boolean;
}

/** Where a source's log stands, beside a stored position. */
export interface LogStanding {
  /** Bytes of the log after the position; undefined: there is none, or what comes next is lost. */
  readonly lag_bytes: number | undefined;
  /** Why the log cannot be read on from the position; undefined: it can. */
  readonly lost: string | undefined;
  /** What the server says, in its own words: plain JSON, for people. */
  readonly log: Readonly<Record<string, unknown>>;
}

/** Where a capture is to go on by a person's wish. */
export interface Move {
  readonly resume: ResumePoint;
  /** Changes come that came before; else what lies between is left out. */
  readonly back: boolean;
}

/** One thing that `check` looked at. */
export interface Finding {
  /** `error`: the job cannot run. `warning`: it runs, with a consequence. `ok`: as it should be. */
  readonly level: "ok" | "warning" | "error";
  /** What was looked at: `wal_level`, `table public.list`. */
  readonly subject: string;
  /** What was found, and what it means. */
  readonly found: string;
  /** A statement or command to paste, for warnings and errors. */
  readonly cure?: string;
}

/** What is said of the tables that are captured, as they are now, beside what their source knows. */
export type Judge = (tables: readonly TableSchema[]) => Finding[];

/** How `open` begins. */
export interface OpenOptions {
  /** Where to start; undefined: at the end of the log as it stands now, if the job wants it with a snapshot. */
  readonly resume: ResumePoint | undefined;
  /** The generation that the positions of this run begin with. */
  readonly generation: number;
}

/** How `batches` goes on. */
export interface BatchesOptions {
  readonly to_end: boolean;
  readonly signal: AbortSignal;
  readonly held?: string;
}

/** What a source is given beside its options. */
export interface SourceContext {
  /** The job's name. */
  readonly name: string;
  /** Version of list-sync, for `source.version`. */
  readonly version: string;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Lost history is answered by a new generation with a snapshot. */
  readonly resyncs?: boolean;
}

/** A source of changes. */
export interface Source {
  readonly connector: Connector;
  /**
   * Of the positions that come, once `open` has resolved: that which `open` was given, or the next where
   * another server goes on with the same history, for positions of two servers do not compare.
   */
  readonly generation: number;
  /** Looks at the server without changing anything. `judge` is shown the tables that are captured. */
  inspect(judge?: Judge): Promise<Finding[]>;
  /**
   * Makes what the capture needs (slot, publication), checks that the log still holds what comes
   * after `resume` and that the server is the same one, and answers where it will start: to be stored
   * before the first batch is asked for, for a snapshot that goes on counts its attempts there.
   * Throws HistoryLostError, SnapshotCutError, ConfigError, or a connection's error.
   */
  open(options: OpenOptions): Promise<ResumePoint>;
  /**
   * Of transactions that topics hold under positions of another server: those that come again. Throws
   * HistoryLostError for one that this server does not have. Absent: no other server can go on.
   */
  awaited?(transactions: ReadonlySet<string>): Promise<ReadonlySet<string>>;
  /**
   * The changes from there on. `to_end`: ends when all that the log held at `open` has come. `held`:
   * the highest position that a topic holds (default: none). Pulling slowly slows the server down:
   * at most `queue_bytes` are held.
   */
  batches(options: BatchesOptions): AsyncIterable<SourceBatch>;
  /** Everything up to `resume` is on all in-sync replicas: the server may forget it. */
  confirm(resume: ResumePoint): void;
  /** Bytes of the log after `resume`, as of a look some seconds ago; undefined before the first. */
  behind(resume: ResumePoint): number | undefined;
  close(): Promise<void>;
  /**
   * Writes the signal that asks a running capture to read these tables again, or a range of each.
   * Throws ConfigError.
   */
  signal(tables: readonly string[], range?: KeyRange): Promise<void>;
  /** Where the log stands, beside `resume` if there is one; changes nothing. */
  standing(resume: ResumePoint | undefined): Promise<LogStanding>;
  /**
   * Throws ConfigError, naming it, while a capture of this job runs; keeps others away until `close`
   * where the server can.
   */
  claim(): Promise<void>;
  /**
   * The point that `to` names in the source's own words, if a start can go on from there instead of
   * from `resume`. Throws ConfigError that says what is possible.
   */
  locate(to: string, resume: ResumePoint): Promise<Move>;
  /** Drops what `open` made; answers what was dropped, a sentence each. */
  remove(): Promise<string[]>;
}
