import assert from "node:assert/strict";
import { SendSize } from "../../../shared/pipeline/send_size.ts";

Deno.test("the longer the quickest small send takes, the more goes in one, within a bound", () => {
  const allowed = [0.5, 9, 14, 25, 60, 30_000].map((ms) => {
    const size = new SendSize(1_000);
    for (const took of [ms + 40, ms, ms + 1]) size.took(took);
    return size.bytes;
  });
  assert.deepEqual(allowed, [1_000, 1_000, 1_000, 3_000, 6_000, 8_000]);
});
