/** A consumer that its group takes for dead, and that wakes up. */
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

/** Changes that come while nobody may write them. */
const BACKLOG = 200;

export const fault: Fault = {
  does: "A consumer is frozen with SIGSTOP until its group has given its partitions to another," +
    " and goes on.",
  holds: "Nobody else writes its files while it holds their locks; awake, it hands them over.",
  strike: (run) => run.each(freeze),
};

async function freeze(pipeline: Pipeline): Promise<void> {
  const { consumer, scenario } = pipeline;
  await using successor = scenario.consume("2");
  await successor.event("consume_started");
  Deno.kill(consumer.pid, "SIGSTOP");
  try {
    await successor.event("partition_locked");
    await pipeline.writes(BACKLOG);
  } finally {
    Deno.kill(consumer.pid, "SIGCONT");
  }
  await pipeline.flows();
  await successor.stop();
}
