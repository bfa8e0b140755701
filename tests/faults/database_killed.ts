/** The databases go down in the middle of their work. */
import type { Fault } from "./fault.ts";

export const fault: Fault = {
  does: "Both database servers are killed with SIGKILL and started again.",
  holds: "The captures connect again by themselves, and bring what is committed and nothing else.",
  async strike(run) {
    await run.killServers("postgres", "mysql");
    await run.servers.restart("pg", "mysql");
  },
};
