/** What a database must do to be compared with files: one file per technology implements it. */

/** What the capture was told about the values of a table. */
export interface TableOptions {
  /** Whether TINYINT(1) of MySQL is true or false. */
  readonly tinyint1_as_boolean: boolean;
}

/** The definition of a table, as far as files hold it. */
export interface TableShape {
  /** Names of the columns in the table's order, generated ones left out where the capture leaves them out. */
  readonly columns: readonly string[];
  /** Names of the primary key's columns in its order; empty: none. */
  readonly key: readonly string[];
}

/** A table, read as it stands at one moment. Values are text as the CSV sink writes them, or null. */
export interface TableReader {
  /** Throws ConfigError when there is no such table. */
  shape(): Promise<TableShape>;
  /** Rows in the table, roughly: for progress only. */
  estimate(): Promise<number>;
  /** All rows, some at a time, cells in the order of `columns`. */
  rows(columns: readonly string[]): AsyncIterable<(string | null)[][]>;
  close(): Promise<void>;
}
