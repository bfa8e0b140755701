import assert from "node:assert/strict";
import type { Change, TableSchema } from "../../../shared/change.ts";
import {
  columns,
  columnsOptions,
  idleRules,
  ruleFaults,
} from "../../../shared/transforms/columns.ts";

const table: TableSchema = {
  id: "00000000",
  db: "shop",
  schema: "public",
  table: "users",
  columns: [
    { name: "email", type: "text", kind: "string" },
    { name: "id", type: "bigint", kind: "integer" },
    { name: "age", type: "integer", kind: "integer" },
    { name: "note", type: "text", kind: "string" },
  ],
  key: [1],
};

const change: Change = {
  op: "u",
  source: { connector: "postgresql", name: "orders", version: "0" },
  table,
  before: ["a@b", 7, 30, null],
  after: ["c@d", 7, 31, undefined],
  position: "p",
  coordinates: {},
  transaction: { id: "1", ts_us: 0 },
  total_order: 1,
  ts_ms: 0,
};

const rules = (...rules: unknown[]) => columns(columnsOptions.parse(rules));

Deno.test("excluded columns are left out of rows, definition and fingerprint", () => {
  const out = rules({ table: "public.*", exclude: ["age", "email"] })(change);
  assert.deepStrictEqual(out.before, [7, null]);
  assert.deepStrictEqual(out.after, [7, undefined]);
  assert.deepStrictEqual(out.table.columns.map(({ name }) => name), ["id", "note"]);
  assert.deepStrictEqual(out.table.key, [0]);
  assert.notEqual(out.table.id, table.id);
});

Deno.test("included columns are all that stays, in the table's order", () => {
  const out = rules({ table: "public.users", include: ["note", "id"] })(change);
  assert.deepStrictEqual(out.table.columns.map(({ name }) => name), ["id", "note"]);
});

Deno.test("masked text is replaced, null and absent values stay what they are", () => {
  const out = rules({ table: "public.users", mask: ["email", "note"] })(change);
  assert.deepStrictEqual(out.before, ["***", 7, 30, null]);
  assert.deepStrictEqual(out.after, ["***", 7, 31, undefined]);
});

Deno.test("a table that no rule names passes as it is", () => {
  assert.equal(rules({ table: "public.other", exclude: ["id"] })(change), change);
});

Deno.test("a rule that cannot fit is refused with the column's name", () => {
  const refusals: [unknown, RegExp][] = [
    [{ table: "public.users", exclude: ["id"] }, /key column id cannot be left out/],
    [{ table: "public.users", include: ["note"] }, /key column id cannot be left out/],
    [{ table: "public.users", mask: ["age"] }, /column age has type integer/],
    [
      { table: "public.users", exclude: ["ago"] },
      /no column ago; nearest is "age"; its columns are email, id, age/,
    ],
  ];
  for (const [rule, message] of refusals) assert.throws(() => rules(rule)(change), { message });
});

Deno.test("include and exclude cannot stand in one rule", () => {
  const both = columnsOptions.safeParse([{ table: "t", include: ["a"], exclude: ["b"] }]);
  assert.match(both.error!.issues[0]!.message, /cannot stand in one rule/);
});

Deno.test("rules that cannot be applied, and rules that no table has, are told before any row comes", () => {
  const parsed = columnsOptions.parse([
    { table: "public.users", mask: ["emial"] },
    { table: "public.usres", mask: ["email"] },
  ]);
  const faults = ruleFaults(parsed, [table]);
  assert.deepEqual(faults.map(({ rule }) => rule), ["public.users"]);
  assert.match(faults[0]!.error.message, /no column emial; nearest is "email"/);
  assert.deepEqual(idleRules(parsed, [table]), ["public.usres"]);
});
