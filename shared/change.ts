/** The row change that every part of list-sync passes on: plain data, no behaviour. */

/** What may happen to a row: `c` create, `u` update, `d` delete, `r` snapshot read, `t` truncate. */
export const OPS = ["c", "u", "d", "r", "t"] as const;

/** What happened to the row. */
export type Op = (typeof OPS)[number];

/** Whether that is one. */
export function isOp(op: unknown): op is Op {
  return (OPS as readonly unknown[]).includes(op);
}

/**
 * One column's value in memory. 64-bit integers are `number` within ±(2^53-1) and `bigint` beyond;
 * decimals, temporals, JSON and the like are text exactly as the type table in the README says.
 */
export type Value = null | boolean | number | bigint | string | Uint8Array | readonly Value[];

/** Values in column order. `undefined` is a value that the log did not carry, never SQL NULL. */
export type Row = readonly (Value | undefined)[];

/** How a column's values are held in memory. */
export type Kind =
  | "integer"
  | "float32"
  | "float64"
  | "boolean"
  | "string"
  | "bytes"
  | "array";

/** One column of a table, in the table's own order. */
export interface Column {
  readonly name: string;
  /** The exact source type as the database writes it: `bigint unsigned`, `numeric(12,2)`. */
  readonly type: string;
  readonly kind: Kind;
  /** Kind of the elements, for `kind: "array"` (nested arrays have the same element kind). */
  readonly element?: Kind;
}

/** The definition of a table at one moment of its history. */
export interface TableSchema {
  /** Fingerprint of the columns and the key: 8 hexadecimal digits. */
  readonly id: string;
  readonly db: string;
  /** Null where the database knows no schemas inside a database (MySQL). */
  readonly schema: string | null;
  readonly table: string;
  readonly columns: readonly Column[];
  /** Indexes into `columns` of the columns that identify a row, in the key's own order; empty: no key. */
  readonly key: readonly number[];
}

/**
 * Where a row stands in the snapshot that read it, in Debezium's words: `first` and `last` of the
 * whole snapshot, of one table (`..._in_data_collection`), `true` between; `incremental`: read again
 * while the stream went on.
 */
export type SnapshotMark =
  | "first"
  | "first_in_data_collection"
  | "true"
  | "last_in_data_collection"
  | "last"
  | "incremental";

/** The kind of database a change comes from. */
export type Connector = "mariadb" | "mysql" | "postgresql";

/** The source as a whole; shared by all its changes. */
export interface SourceIdentity {
  readonly connector: Connector;
  /** The job's `name`. */
  readonly name: string;
  /** Version of list-sync that captured the change. */
  readonly version: string;
}

/** Where in the source's log a change stands, in the source's own words; written inside `source`. */
export type Coordinates = Readonly<Record<string, string | number | bigint | null>>;

/** The source transaction; shared by all its changes. */
export interface Transaction {
  /** PostgreSQL: the transaction id. MySQL: the GTID. Empty: of no transaction (snapshots). */
  readonly id: string;
  /** Commit time, or when a snapshot read the row; microseconds since the Unix epoch. */
  readonly ts_us: number;
}

/**
 * The rows of a change as the JSON text that they came in, for who writes text and copies it: null,
 * numbers, booleans, and string literals without escapes, in UTF-8.
 */
export interface RowsText {
  readonly bytes: Uint8Array;
  /** Where each column's value begins and ends, in pairs; -1 for one that the log did not carry. */
  readonly before: readonly number[] | null;
  readonly after: readonly number[] | null;
}

/** One row change. */
export interface Change {
  readonly op: Op;
  readonly source: SourceIdentity;
  readonly table: TableSchema;
  /** The row before the change; null for `c`, `r`, `t` and where the log carries no old row. */
  readonly before: Row | null;
  /** The row after the change; null for `d` and `t`. */
  readonly after: Row | null;
  /** The same rows as text, where the change came so. */
  readonly text?: RowsText | undefined;
  /** Text form of the position (see position.ts). */
  readonly position: string;
  readonly coordinates: Coordinates;
  readonly transaction: Transaction;
  /** Number of the change in its transaction, from 1, as this source saw them; 0: of no transaction. */
  readonly total_order: number;
  /** The same among those of its table; where the job provides transaction metadata. */
  readonly data_collection_order?: number;
  /** When the change was captured, milliseconds since the Unix epoch. */
  readonly ts_ms: number;
  /** For `r` alone. */
  readonly snapshot?: SnapshotMark;
}

/** The change as an object of its own, which may be kept and copied: one as read is a view of what came. */
export function plainChange(change: Change): Change {
  const { op, source, table, before, after, position, coordinates } = change;
  const { transaction, total_order, data_collection_order, ts_ms, snapshot } = change;
  return {
    op,
    source,
    table,
    before,
    after,
    position,
    coordinates,
    transaction,
    total_order,
    ts_ms,
    ...data_collection_order === undefined ? {} : { data_collection_order },
    ...snapshot === undefined ? {} : { snapshot },
  };
}
