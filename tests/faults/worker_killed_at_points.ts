/** The workers are killed at every point of their work between reading and having it confirmed. */
import { fileURLToPath } from "node:url";
import type { Fault } from "./fault.ts";
import { CAPTURE_POINTS, CONSUMER_POINTS, death } from "./run/death.ts";
import type { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";

const CAPTURE = fileURLToPath(new URL("run/dying_capture.ts", import.meta.url));
const CONSUMER = fileURLToPath(new URL("run/dying_consumer.ts", import.meta.url));
/** The time at which a worker comes to its point and dies is one of the first so many. */
const LATEST_COUNT = 2;

export const fault: Fault = {
  does: "Captures and consumers are killed with SIGKILL as they come to each of these points: " +
    `${CAPTURE_POINTS.join(", ")}; ${CONSUMER_POINTS.join(", ")}.`,
  holds: "Those that are started again go on after what is there.",
  async strike(run) {
    await run.each(async (pipeline) => {
      await Promise.all([killCaptures(run, pipeline), killConsumers(run, pipeline)]);
    });
  },
};

async function killCaptures(run: Run, pipeline: Pipeline): Promise<void> {
  const { scenario } = pipeline;
  await pipeline.capture.kill();
  for (const point of CAPTURE_POINTS) {
    pipeline.capture = scenario.capture(CAPTURE, death(point, 1 + run.random.below(LATEST_COUNT)));
    await pipeline.capture.died();
  }
  run.kills += 1 + CAPTURE_POINTS.length;
  pipeline.capture = scenario.capture();
}

async function killConsumers(run: Run, pipeline: Pipeline): Promise<void> {
  const { scenario } = pipeline;
  await pipeline.consumer.kill();
  for (const point of CONSUMER_POINTS) {
    const env = death(point, 1 + run.random.below(LATEST_COUNT));
    pipeline.consumer = scenario.consume("1", CONSUMER, env);
    await pipeline.consumer.died();
  }
  run.kills += 1 + CONSUMER_POINTS.length;
  pipeline.consumer = scenario.consume();
}
