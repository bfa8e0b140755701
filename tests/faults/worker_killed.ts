/** The workers are killed at random moments, while they start as well as while they work. */
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";

/** The longest life of a worker: some are killed before they have begun. */
const LONGEST_LIFE_MS = 2_500;
/** Kills between two looks at whether changes still come through. */
const KILLS_AT_ONCE = 5;

export const fault: Fault = {
  does: "Captures and consumers are killed with SIGKILL at random moments, --kills times in all.",
  holds: "Those that are started again go on after what is there.",
  async strike(run) {
    const each = Math.ceil(run.options.kills / run.pipelines.length);
    await run.each((pipeline) => killOften(run, pipeline, each));
  },
};

async function killOften(run: Run, pipeline: Pipeline, kills: number): Promise<void> {
  for (let kill = 1; kill <= kills; kill++) {
    const life_ms = run.random.below(LONGEST_LIFE_MS);
    await new Promise((resolve) => setTimeout(resolve, life_ms));
    if (run.random.below(2) === 0) await run.killCapture(pipeline);
    else await run.killConsumer(pipeline);
    if (kill % KILLS_AT_ONCE === 0) await pipeline.flows();
  }
}
