import assert from "node:assert/strict";
import { templateMatcher } from "../../../shared/pipeline/preflight.ts";

Deno.test("a template accepts the topics that it can make, and no others", () => {
  const matches = templateMatcher("{name}.{schema}.{table}", "orders");
  assert.ok(matches("orders.public.list"));
  assert.ok(!matches("orders2.public.list"));
  assert.ok(!matches("orders.public"));
  assert.ok(!matches("other.orders.public.list"));
});

Deno.test("signs of a template mean themselves, and those that Kafka refuses stand as _", () => {
  const matches = templateMatcher("a.b+{table}", "orders");
  assert.ok(matches("a.b_list"));
  assert.ok(!matches("axb_list"));
});
