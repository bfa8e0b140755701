import assert from "node:assert/strict";
import { giveBack } from "../../../shared/kafka/fetch.ts";

Deno.test("Memory given back is gone, and memory that others share stays", () => {
  const own = new Uint8Array(100);
  const shared = new Uint8Array(100);
  const part = shared.subarray(10, 20);
  const value = new Uint8Array(own.buffer, 5, 5);
  giveBack([own, part]);
  assert.deepEqual([own.length, value.length], [0, 0]);
  assert.deepEqual([shared.length, part.length], [100, 10]);
});
