/** One broker of three is killed and comes back. */
import type { Fault } from "./fault.ts";
import { BROKERS } from "./run/servers.ts";

export const fault: Fault = {
  does: "One broker is killed with SIGKILL and started again.",
  holds: "While it is away changes flow on through the other two.",
  async strike(run) {
    await run.killServers(run.random.pick(BROKERS));
    await run.each((pipeline) => pipeline.flows());
    await run.servers.restart("kafka");
  },
};
