import assert from "node:assert/strict";
import type { TableSchema } from "../../../shared/change.ts";
import { alterations, SchemaChanges } from "../../../shared/pipeline/schema_changes.ts";
import { schemaFingerprint } from "../../../shared/wire/schema_fingerprint.ts";
import { change } from "../sinks/fixtures.ts";

/** A table of text columns, or `name:type`, with the first as its key. */
function tableOf(names: string[], key: string[] = [names[0]!]): TableSchema {
  const columns = names.map((text) => {
    const [name, type = "text"] = text.split(":");
    return { name: name!, type, kind: "string" } as const;
  });
  const indexes = key.map((name) => columns.findIndex((column) => column.name === name));
  const id = schemaFingerprint(columns, indexes);
  return { id, db: "shop", schema: "public", table: "list", columns, key: indexes };
}

Deno.test("what differs between two definitions is told column by column", () => {
  const before = tableOf(["id", "a", "b"]);
  const told = (after: TableSchema) => alterations(before, after);
  assert.deepEqual(told(tableOf(["id", "a", "b"])), []);
  assert.deepEqual(told(tableOf(["id", "a", "b", "c"])), [
    { change: "column_added", column: "c", type: "text" },
  ]);
  assert.deepEqual(told(tableOf(["id", "b"])), [
    { change: "column_dropped", column: "a", type: "text" },
  ]);
  assert.deepEqual(told(tableOf(["id", "z", "b"])), [
    { change: "column_replaced", from: "a", to: "z", type: "text" },
  ]);
  assert.deepEqual(told(tableOf(["id", "z:int", "b"])), [
    { change: "column_dropped", column: "a", type: "text" },
    { change: "column_added", column: "z", type: "int" },
  ]);
  assert.deepEqual(told(tableOf(["id", "b", "a:int"])), [
    { change: "column_retyped", column: "a", from: "text", to: "int" },
    { change: "columns_reordered", columns: ["id", "b", "a"] },
  ]);
  assert.deepEqual(told(tableOf(["id", "a", "b"], ["b", "id"])), [
    { change: "key_changed", from: ["id"], to: ["b", "id"] },
  ]);
  assert.deepEqual(told(tableOf(["number", "a", "b"])), [
    { change: "column_replaced", from: "id", to: "number", type: "text" },
  ], "the key has another name, and is the same");
});

Deno.test("a definition is told when it comes, when it comes back, and anew after a drop", () => {
  const source = { connector: "postgresql", name: "orders", version: "0.1.0" } as const;
  const teller = new SchemaChanges(source);
  const [one, two] = [tableOf(["id"]), tableOf(["id", "a"])];
  const typeAt = (n: number, table: TableSchema) => {
    const note = teller.of(change(n, "c", { after: ["1"] }, table));
    return note && JSON.parse(note.value).tableChanges[0].type;
  };
  assert.deepEqual(
    [one, one, two, one, { ...one }].map((table, at) => typeAt(at, table)),
    ["CREATE", undefined, "ALTER", "ALTER", undefined],
  );
  const place = { db: "shop", schema: "public", table: "list" };
  const gone = { ...place, position: "p", ts_us: 1, ts_ms: 1, statement: "DROP TABLE list" };
  const { ddl, tableChanges: [told], source: from } = JSON.parse(teller.dropped(gone)!.value);
  assert.deepEqual([ddl, told.type, told.table, told.previous_schema_id, from.schema_id], [
    ...["DROP TABLE list", "DROP", null, one.id, null],
  ]);
  assert.equal(teller.dropped(gone), undefined, "nothing is left of it");
  assert.equal(typeAt(9, one), "CREATE");
});
