/** The databases go down in the middle of their work. */
import type { Fault } from "./fault.ts";

export const fault: Fault = {
  does: "All database servers are killed with SIGKILL and started again.",
  holds: "The captures connect again by themselves, and bring what is committed and nothing else.",
  async strike(run) {
    const { databases } = run.servers;
    await run.killServers(...databases.map((part) => part === "pg" ? "postgres" : part));
    await run.servers.restart(...databases);
  },
};
