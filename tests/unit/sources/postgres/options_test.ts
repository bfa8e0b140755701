import assert from "node:assert/strict";
import { objectNames, postgresOptions } from "../../../../shared/sources/postgres/options.ts";
import { tableMatcher } from "../../../../shared/sources/postgres/tables.ts";

const LEAST = { host: "h", database: "shop", user: "u", tables: ["public.list"] };

Deno.test("slot and publication are named after the job, in letters that PostgreSQL takes", () => {
  const derived = { slot: "list_sync_orders_1", publication: "list_sync_orders_1" };
  assert.deepEqual(objectNames({}, "orders-1"), derived);
  assert.equal(objectNames({}, "x".repeat(80)).slot.length, 63);
});

Deno.test("names that the job gives are taken as they are", () => {
  assert.deepEqual(objectNames({ slot: "s", publication: "p" }, "orders"), {
    slot: "s",
    publication: "p",
  });
});

Deno.test("a table is wanted when a pattern names it and none excludes it", () => {
  const wanted = tableMatcher({ tables: ["public.*", "shop.order?"], exclude_tables: ["*.log_*"] });
  const names = ["public.list", "public.log_1", "shop.orders", "shop.order", "other.list"];
  assert.deepEqual(
    names.filter((name) => wanted(...name.split(".") as [string, string])),
    ["public.list", "shop.orders"],
  );
});

Deno.test("the least that a job must say is accepted, with defaults for the rest", () => {
  const options = postgresOptions.parse(LEAST);
  assert.deepEqual([options.port, options.plugin, options.tls], [5432, "pgoutput", false]);
});

for (
  const [what, wrong] of [
    ["a table without its schema", { tables: ["list"] }],
    ["no table", { tables: [] }],
    ["an unknown plugin", { plugin: "decoderbufs" }],
    ["a slot name that PostgreSQL refuses", { slot: "Orders" }],
    ["an unknown key", { tabels: [] }],
    ["a certificate without its key", { tls: { cert_file: "c.pem" } }],
  ] as const
) {
  Deno.test(`${what} is refused`, () => {
    assert.equal(postgresOptions.safeParse({ ...LEAST, ...wrong }).success, false);
  });
}
