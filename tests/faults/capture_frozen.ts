/** A capture that its database takes for dead, and that wakes up. */
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

/** MySQL ends the session of a capture that has asked nothing for three heartbeats, here 3 s. */
const FREEZE_MS = 6_000;

export const fault: Fault = {
  does: "Captures are frozen with SIGSTOP until MySQL has ended their sessions, and go on.",
  holds:
    "They reconnect (PostgreSQL waits longer, and they need not) and go on after what is there.",
  strike: (run) => run.each(freeze),
};

async function freeze(pipeline: Pipeline): Promise<void> {
  const { capture, db } = pipeline;
  const { pid } = capture;
  const before = capture.lines("retrying").length;
  Deno.kill(pid, "SIGSTOP");
  try {
    await new Promise((resolve) => setTimeout(resolve, FREEZE_MS));
  } finally {
    Deno.kill(pid, "SIGCONT");
  }
  // PostgreSQL waits for `wal_sender_timeout`, a minute.
  if (db.database.kind === "mysql") {
    await capture.until("connected anew", () => capture.lines("retrying")[before]);
  }
  await pipeline.flows();
}
