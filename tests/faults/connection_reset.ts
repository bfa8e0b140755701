/** The captures' connections to their databases break. */
import { until } from "../until.ts";
import type { Fault } from "./fault.ts";

/** One break may come while the capture recovers from the last. */
const TIMES = 3;

export const fault: Fault = {
  does: `All connections between captures and databases are reset, ${TIMES} times.`,
  holds: "The captures connect again by themselves.",
  async strike(run) {
    await run.each(async (pipeline) => {
      for (let time = 0; time < TIMES; time++) {
        await until("there are connections to reset", () => pipeline.proxy.cut() > 0);
        await pipeline.flows();
      }
    });
  },
};
