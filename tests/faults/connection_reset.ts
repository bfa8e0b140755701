/** The captures' connections to their databases break. */
import assert from "node:assert/strict";
import type { Fault } from "./fault.ts";

/** One break may come while the capture recovers from the last. */
const TIMES = 3;

export const fault: Fault = {
  does: `All connections between captures and databases are reset, ${TIMES} times.`,
  holds: "The captures connect again by themselves.",
  async strike(run) {
    await run.each(async (pipeline) => {
      for (let time = 0; time < TIMES; time++) {
        assert.ok(pipeline.proxy.cut() > 0, "there are connections to reset");
        await pipeline.flows();
      }
    });
  },
};
