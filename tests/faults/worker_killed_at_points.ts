/** The workers are killed at every point of their work between reading and having it confirmed. */
import { fileURLToPath } from "node:url";
import type { Fault } from "./fault.ts";
import { CAPTURE_POINTS, CONSUMER_POINTS, death } from "./run/death.ts";
import type { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";

const CAPTURE = fileURLToPath(new URL("run/dying_capture.ts", import.meta.url));
const CONSUMER = fileURLToPath(new URL("run/dying_consumer.ts", import.meta.url));
/** The time at which a worker comes to its point and dies is one of the first so many. */
const LATEST_COUNT = 4;

export const fault: Fault = {
  does: "Captures and consumers are killed with SIGKILL as they come to each of these points: " +
    `${CAPTURE_POINTS.join(", ")}; ${CONSUMER_POINTS.join(", ")}.`,
  holds: "Those that are started again go on behind what is there.",
  async strike(run) {
    await run.each(async (pipeline) => {
      for (const point of CAPTURE_POINTS) await captureDies(run, pipeline, point);
      for (const point of CONSUMER_POINTS) await consumerDies(run, pipeline, point);
    });
  },
};

async function captureDies(run: Run, pipeline: Pipeline, point: string): Promise<void> {
  const env = death(point, 1 + run.random.below(LATEST_COUNT));
  await run.killCapture(pipeline, () => pipeline.scenario.capture(CAPTURE, env));
  await pipeline.capture.died();
  pipeline.capture = pipeline.scenario.capture();
  run.kills++;
}

async function consumerDies(run: Run, pipeline: Pipeline, point: string): Promise<void> {
  const env = death(point, 1 + run.random.below(LATEST_COUNT));
  await run.killConsumer(pipeline, () => pipeline.scenario.consume("1", CONSUMER, env));
  await pipeline.consumer.died();
  pipeline.consumer = pipeline.scenario.consume();
  run.kills++;
}
