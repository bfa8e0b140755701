/** Record keys: the same JSON text in every format, so that a row stays in its partition. */
import type { Change, Row, TableSchema } from "../change.ts";
import { TRUNCATE_KEY } from "./format.ts";
import { rowWriter } from "../wire/value_text.ts";

const writers = new WeakMap<TableSchema, (row: Row) => string>();

/**
 * The columns that identify the changed row, as a JSON object in the key's own column order; the
 * whole row where the table has no key.
 */
export function keyText(change: Change): string {
  if (change.op === "t") return TRUNCATE_KEY;
  let write = writers.get(change.table);
  if (write === undefined) {
    const { columns, key } = change.table;
    write = rowWriter(columns, key.length === 0 ? undefined : key);
    writers.set(change.table, write);
  }
  return write((change.after ?? change.before)!);
}
