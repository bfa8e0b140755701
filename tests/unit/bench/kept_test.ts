import assert from "node:assert/strict";
import { kept } from "../../../bench/rows/kept.ts";

Deno.test("what rounds share is made once, and what failed is made again", async () => {
  const made: number[] = [];
  const make = kept((changes) => {
    made.push(changes);
    return made.length === 1 ? Promise.reject(new Error("no broker")) : Promise.resolve(changes);
  });
  await assert.rejects(make(5), /no broker/);
  assert.deepEqual([await make(5), await make(5), await make(6)], [5, 5, 6]);
  assert.deepEqual(made, [5, 5, 6]);
});
