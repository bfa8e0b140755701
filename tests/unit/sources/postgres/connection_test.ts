import assert from "node:assert/strict";
import { classify, describe } from "../../../../shared/errors.ts";
import { explain } from "../../../../shared/sources/postgres/connection.ts";
import { postgresOptions } from "../../../../shared/sources/postgres/options.ts";

const OPTIONS = postgresOptions.parse({
  host: "db",
  port: 5432,
  database: "shop",
  user: "u",
  tables: ["public.a"],
});

for (
  const { message, ...told } of [
    { message: "write EPIPE", code: "EPIPE", syscall: "write" },
    { message: "read ECONNRESET", code: "ECONNRESET", syscall: "read" },
    { message: "Connection terminated unexpectedly" },
  ]
) {
  Deno.test(`a connection that ended with "${message}" is tried again, and the server is named`, () => {
    const explained = explain(Object.assign(new Error(message), told), OPTIONS);
    assert.equal(classify(explained), "retry");
    assert.match(describe(explained), new RegExp(`db:5432, database shop, broke: ${message}`));
  });
}

Deno.test("what the server itself said stays as it is", () => {
  const error = Object.assign(new Error("relation is gone"), { code: "42P01" });
  assert.equal(explain(error, OPTIONS), error);
});
