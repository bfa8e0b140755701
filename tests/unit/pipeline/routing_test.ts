import assert from "node:assert/strict";
import type { TableSchema } from "../../../shared/change.ts";
import { ConfigError } from "../../../shared/errors.ts";
import { topicOf } from "../../../shared/pipeline/routing.ts";

const table = (schema: string | null, name: string): TableSchema => ({
  id: "0",
  db: "shop",
  schema,
  table: name,
  columns: [],
  key: [],
});

Deno.test("a topic is named by its template; without schemas the database stands in", () => {
  const template = "{name}.{schema}.{table}";
  assert.equal(topicOf(template, "orders", table("public", "list")), "orders.public.list");
  assert.equal(topicOf(template, "orders", table(null, "list")), "orders.shop.list");
  assert.equal(topicOf("{db}-all", "orders", table(null, "list")), "shop-all");
});

Deno.test("characters that Kafka refuses become underscores", () => {
  assert.equal(topicOf("{table}", "n", table(null, "../a b/雪$")), ".._a_b___");
});

Deno.test("a name that brokers would refuse is refused first", () => {
  for (const name of ["x".repeat(250), ".", ".."]) {
    assert.throws(() => topicOf("{table}", "n", table(null, name)), ConfigError);
  }
});
