/** Consumers come and go, so that the group hardly ever rests. */
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";

/** Consumers that come and go beside the one that stays. */
const GUESTS = ["2", "3"];
/** The longest that one stays. */
const LONGEST_STAY_MS = 2_500;
const ROUNDS = 3;

export const fault: Fault = {
  does: `${GUESTS.length} more consumers join each group and leave it within seconds, in order or` +
    ` killed, ${ROUNDS} times over.`,
  holds: "A partition changes hands without a change lost or written twice.",
  async strike(run) {
    await run.each(async (pipeline) => {
      await Promise.all(GUESTS.map((guest) => comeAndGo(run, pipeline, guest)));
    });
  },
};

async function comeAndGo(run: Run, pipeline: Pipeline, consumer_id: string): Promise<void> {
  for (let round = 0; round < ROUNDS; round++) {
    await using guest = pipeline.scenario.consume(consumer_id);
    await guest.event("consume_started");
    const stay_ms = run.random.below(LONGEST_STAY_MS);
    await new Promise((resolve) => setTimeout(resolve, stay_ms));
    if (run.random.below(2) === 0) await guest.stop();
    else {
      await guest.kill();
      run.kills++;
    }
  }
}
