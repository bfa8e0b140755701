/** What a database must do to be seeded: one file per technology implements it. */
import type { ListRow, ListUpdate } from "./values.ts";

/** One connection that writes to one table. Each call answers when the server has done it. */
export interface SeedWriter {
  /** Makes the table and its index where they are missing. */
  create(): Promise<void>;
  /** The ids that the table holds, page by page. */
  ids(): AsyncIterable<number[]>;
  begin(): Promise<void>;
  /** Answers the new rows' ids. */
  insert(rows: readonly ListRow[]): Promise<number[]>;
  /** Ids differ from each other; answers how many rows really changed. */
  update(rows: readonly ListUpdate[]): Promise<number>;
  /** Ids differ from each other; answers how many rows are gone. */
  delete(ids: readonly number[]): Promise<number>;
  commit(): Promise<void>;
  /** Ends a transaction as if it had never begun. */
  rollback(): Promise<void>;
  close(): Promise<void>;
}
