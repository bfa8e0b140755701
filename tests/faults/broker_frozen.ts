/** A broker that no longer answers, and whose connections stay open. */
import type { Fault } from "./fault.ts";
import { BROKERS } from "./run/servers.ts";

export const fault: Fault = {
  does:
    "The broker that clients ask first is frozen with SIGSTOP for longer than a request may take, and goes on; captures are killed.",
  holds:
    "Changes flow through the other two while it is frozen; what it still held is not doubled, and nobody believes what it still takes for the end of its partitions.",
  async strike(run) {
    const [name] = BROKERS;
    await run.servers.freeze(name);
    const thaw_at = performance.now() + run.options.freeze_ms;
    try {
      await run.each((pipeline) => pipeline.flows());
      const left_ms = Math.max(0, thaw_at - performance.now());
      await new Promise((resolve) => setTimeout(resolve, left_ms));
    } finally {
      await run.servers.thaw(name);
    }
    await run.each((pipeline) => run.killCapture(pipeline));
  },
};
