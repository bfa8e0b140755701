import assert from "node:assert/strict";
import { bytesFor } from "../../../shared/kafka/distance.ts";

Deno.test("the farther the brokers, the more goes at once, within a bound", () => {
  const bytes = [0, 1, 99, 149, 150, 400, 800, 30_000, Infinity].map((ms) =>
    bytesFor(1_000, ms, 100)
  );
  assert.deepEqual(bytes, [1_000, 1_000, 1_000, 1_000, 2_000, 4_000, 8_000, 8_000, 8_000]);
});
