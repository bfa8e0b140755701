import assert from "node:assert/strict";
import { AnswerMemory, giveBack } from "../../../shared/kafka/fetch.ts";

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
    topic: "t",
    partition,
    error_code: 0,
    end_offset: 9,
    bytes: answer.subarray(from, to),
  });
  const memory = new AnswerMemory([brought(0, 10, 40), brought(1, 40, 40), brought(2, 40, 90)]);
  memory.done();
  assert.equal(answer.length, 100);
  memory.done();
  assert.equal(answer.length, 0);
});
