/** Two brokers of three are killed: too few replicas are in sync, so producing must wait. */
import type { Fault } from "./fault.ts";
import { BROKERS } from "./run/servers.ts";

/** Changes that are committed while the brokers are away. */
const BACKLOG = 1_000;

export const fault: Fault = {
  does: "Two brokers are killed with SIGKILL at once; before they are back the captures are, too.",
  holds: "The workers wait, and nothing that one replica alone holds is confirmed to a database.",
  async strike(run) {
    const left = run.random.pick(BROKERS);
    await run.killServers(...BROKERS.filter((name) => name !== left));
    await run.each(async (pipeline) => {
      await pipeline.writes(BACKLOG);
      // What was confirmed too early would be lost with the process that still holds it.
      await run.killCapture(pipeline);
    });
    await run.servers.restart("kafka");
  },
};
