/** A capture that its database takes for dead, and that wakes up. */
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

/** MySQL ends the session of a capture that has asked nothing for three heartbeats, here 3 s. */
const FREEZE_MS = 6_000;

export const fault: Fault = {
  does: "Captures are frozen with SIGSTOP until MySQL has ended their sessions, and go on.",
  holds: "They connect anew, behind what is there.",
  strike: (run) => run.each(freeze),
};

async function freeze(pipeline: Pipeline): Promise<void> {
  const { pid } = pipeline.capture;
  Deno.kill(pid, "SIGSTOP");
  try {
    await new Promise((resolve) => setTimeout(resolve, FREEZE_MS));
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  await pipeline.flows();
}
