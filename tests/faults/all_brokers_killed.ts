/** The whole cluster goes down at once. */
import type { Fault } from "./fault.ts";
import { BROKERS } from "./run/servers.ts";

/** Changes that are committed while the brokers are away. */
const BACKLOG = 1_000;

export const fault: Fault = {
  does: "All three brokers are killed with SIGKILL at once and started again.",
  holds: "The workers wait and go on by themselves.",
  async strike(run) {
    await run.killServers(...BROKERS);
    await run.each((pipeline) => pipeline.writes(BACKLOG));
    await run.servers.restart("kafka");
  },
};
