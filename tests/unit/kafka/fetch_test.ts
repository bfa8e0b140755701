import assert from "node:assert/strict";
import { AnswerMemory, fetchBytes, giveBack } from "../../../shared/kafka/fetch.ts";

Deno.test("Memory given back is gone, and memory that others share stays", () => {
  const own = new Uint8Array(100);
  const shared = new Uint8Array(100);
  const part = shared.subarray(10, 20);
  const value = new Uint8Array(own.buffer, 5, 5);
  giveBack([own, part]);
  assert.deepEqual([own.length, value.length], [0, 0]);
  assert.deepEqual([shared.length, part.length], [100, 10]);
});

Deno.test("An answer's memory is gone when all partitions that it brought something of are done", () => {
  const answer = new Uint8Array(100);
  const brought = (partition: number, from: number, to: number) => ({
    ...{ topic: "t", partition, error_code: 0, end_offset: 9, bytes: answer.subarray(from, to) },
  });
  const memory = new AnswerMemory([brought(0, 10, 40), brought(1, 40, 40), brought(2, 40, 90)]);
  memory.done();
  assert.equal(answer.length, 100);
  memory.done();
  assert.equal(answer.length, 0);
});

Deno.test("far from the brokers a fetch asks for more, within a bound", () => {
  const asked = [0, 1, 99, 149, 150, 400, 800, 30_000].map((ms) => fetchBytes(1_000, ms));
  assert.deepEqual(asked, [1_000, 1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 8_000]);
});
