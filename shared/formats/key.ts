/** Record keys: the same JSON text in every format, so that a row stays in its partition. */
import type { Change } from "../change.ts";
import { perTable } from "../per_table.ts";
import { TRUNCATE_KEY } from "./format.ts";
import { rowWriter } from "../wire/value_text.ts";

const keyWriter = perTable(({ columns, key }) =>
  rowWriter(columns, key.length === 0 ? undefined : key)
);

/**
 * The columns that identify the changed row, as a JSON object in the key's own column order; the
 * whole row where the table has no key.
 */
export function keyText(change: Change): string {
  if (change.op === "t") return TRUNCATE_KEY;
  return keyWriter(change.table)((change.after ?? change.before)!);
}
