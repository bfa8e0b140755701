/** A firewall forgets the captures' connections: no data comes any more, and no end either. */
import { until } from "../until.ts";
import type { Fault } from "./fault.ts";

export const fault: Fault = {
  does: "What is sent over the connections between captures and databases is dropped in silence.",
  holds: "After three heartbeats the captures connect anew.",
  async strike(run) {
    await run.each(async (pipeline) => {
      await until("there are connections to mute", () => pipeline.proxy.mute() > 0);
      await pipeline.flows();
    });
  },
};
