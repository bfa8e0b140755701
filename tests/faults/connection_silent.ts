/** A firewall forgets the captures' connections: no data comes any more, and no end either. */
import assert from "node:assert/strict";
import type { Fault } from "./fault.ts";

export const fault: Fault = {
  does: "What is sent over the connections between captures and databases is dropped in silence.",
  holds: "After three heartbeats the captures connect anew.",
  async strike(run) {
    await run.each(async (pipeline) => {
      assert.ok(pipeline.proxy.mute() > 0, "there are connections to mute");
      await pipeline.flows();
    });
  },
};
