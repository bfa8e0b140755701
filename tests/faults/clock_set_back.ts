/** The clock of the workers is set back. */
import { fileURLToPath } from "node:url";
import type { Fault } from "./fault.ts";

const WORKER = fileURLToPath(new URL("run/other_clock.ts", import.meta.url));
/** Changes that come under both times, at the rate of the writers. */
const CHANGES = 2_000;

export const fault: Fault = {
  does: "Captures and consumers run with a clock that is set back by an hour while they work.",
  holds: "They go on: nothing but time stamps and intervals is taken from the clock.",
  async strike(run) {
    await run.each(async (pipeline) => {
      await run.killCapture(pipeline, () => pipeline.scenario.capture(WORKER));
      await run.killConsumer(pipeline, () => pipeline.scenario.consume("1", WORKER));
      await pipeline.writes(CHANGES);
      await pipeline.flows();
      await run.killCapture(pipeline);
      await run.killConsumer(pipeline);
    });
  },
};
