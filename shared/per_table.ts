/** What is worked out of a table definition: once, and as long as that is in use. */
import type { TableSchema } from "./change.ts";

/** `make`, asked once for each definition. */
export function perTable<Made extends NonNullable<unknown>>(
  make: (table: TableSchema) => Made,
): (table: TableSchema) => Made {
  const known = new WeakMap<TableSchema, Made>();
  return (table) => {
    let made = known.get(table);
    if (made === undefined) known.set(table, made = make(table));
    return made;
  };
}
