import assert from "node:assert/strict";
import { splitTableName } from "../../shared/table_name.ts";

Deno.test("a table's name is split at its first point; without one the table is in the schema given", () => {
  assert.deepEqual(splitTableName("shop.list"), ["shop", "list"]);
  assert.deepEqual(splitTableName("shop.list.old"), ["shop", "list.old"]);
  assert.deepEqual(splitTableName("list", "public"), ["public", "list"]);
  assert.deepEqual(splitTableName("list"), ["", "list"]);
});
