/** A consumer that gets hardly any time to work. */
import assert from "node:assert/strict";
import { type Fault, MOST_BYTES } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

/** Of each second it is frozen for most. */
const FROZEN_MS = 900;
const AWAKE_MS = 100;
const TIMES = 10;

export const fault: Fault = {
  does: `Each consumer is frozen with SIGSTOP for ${FROZEN_MS} ms of every second, ${TIMES} times.`,
  holds: "It keeps its partitions, its memory stays bounded, and it catches up.",
  strike: (run) => run.each(slowDown),
};

async function slowDown(pipeline: Pipeline): Promise<void> {
  const { consumer } = pipeline;
  const before = consumer.lines("partitions_assigned").length;
  for (let time = 0; time < TIMES; time++) {
    Deno.kill(consumer.pid, "SIGSTOP");
    await new Promise((resolve) => setTimeout(resolve, FROZEN_MS));
    Deno.kill(consumer.pid, "SIGCONT");
    await new Promise((resolve) => setTimeout(resolve, AWAKE_MS));
  }
  await pipeline.flows();
  const { peak_bytes } = consumer;
  assert.ok(peak_bytes < MOST_BYTES, `${consumer.name} took ${peak_bytes} bytes`);
  const again = consumer.lines("partitions_assigned").slice(before);
  assert.deepEqual(again, [], `${consumer.name} lost its partitions. Log: ${consumer.log_file}`);
}
