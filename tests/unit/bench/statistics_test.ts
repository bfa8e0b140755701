import assert from "node:assert/strict";
import { arrivalRate, quantile, spread } from "../../../bench/statistics.ts";

Deno.test("a spread has the middle value, or the middle of the middle two, and keeps the rounds' order", () => {
  assert.deepEqual(spread([9, 1, 4]), { median: 4, least: 1, most: 9, rounds: [9, 1, 4] });
  assert.deepEqual(spread([10, 2, 4, 8]), { median: 6, least: 2, most: 10, rounds: [10, 2, 4, 8] });
  assert.deepEqual(spread([7]), { median: 7, least: 7, most: 7, rounds: [7] });
  assert.throws(() => spread([]), /no values/);
});

Deno.test("values are ordered as numbers", () => {
  assert.equal(spread([100, 20, 3]).median, 20);
});

Deno.test("a quantile is the value that so large a share does not exceed", () => {
  const values = Float64Array.from({ length: 100 }, (_, at) => 100 - at);
  assert.equal(quantile(values, 0.5), 50);
  assert.equal(quantile(values, 0.99), 99);
  assert.equal(quantile(values, 1), 100);
  assert.equal(quantile(Float64Array.of(3), 0.5), 3);
  assert.equal(values[0], 100, "the values stay as they are");
});

Deno.test("the rate is that of the second half, whatever order the moments come in", () => {
  // 600 slow ones, then 600 in half a second.
  const arrivals = new Map([[13_500, 300], [1_000, 100], [13_000, 500], [13_250, 300]]);
  assert.deepEqual(arrivalRate(arrivals), { records: 1200, last_ms: 13_500, per_second: 1200 });
});

Deno.test("a moment that reaches just half is the last of the first half", () => {
  assert.equal(arrivalRate(new Map([[0, 50], [1_000, 50]])).per_second, 50);
});

Deno.test("records that all came at one moment have no rate, and the cure is named", () => {
  assert.throws(() => arrivalRate(new Map([[5, 1000]])), /1000 records .* raise --changes/);
  assert.throws(() => arrivalRate(new Map()), /0 records/);
});
