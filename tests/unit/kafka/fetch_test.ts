import assert from "node:assert/strict";
import { fetchBytes, giveBack } from "../../../shared/kafka/fetch.ts";

Deno.test("Memory given back is gone, and memory that others share stays", () => {
  const own = new Uint8Array(100);
  const shared = new Uint8Array(100);
  const part = shared.subarray(10, 20);
  const value = new Uint8Array(own.buffer, 5, 5);
  giveBack([own, part]);
  assert.deepEqual([own.length, value.length], [0, 0]);
  assert.deepEqual([shared.length, part.length], [100, 10]);
});

Deno.test("far from the brokers a fetch asks for more, within a bound", () => {
  const asked = [0, 1, 99, 149, 150, 400, 800, 30_000].map((ms) => fetchBytes(1_000, ms));
  assert.deepEqual(asked, [1_000, 1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 8_000]);
});
