/** ACL operations as brokers tell them. */
import assert from "node:assert/strict";
import { operationsOf } from "../../../shared/kafka/operations.ts";

Deno.test("operations are the bits that Kafka numbers them by; others are passed over", () => {
  assert.deepEqual([...operationsOf(0)], []);
  assert.deepEqual([...operationsOf(1 << 3 | 1 << 8)], ["Read", "Describe"]);
  assert.deepEqual([...operationsOf(1 << 2 | 1 << 6 | 1 << 10)], ["DescribeConfigs"]);
});
