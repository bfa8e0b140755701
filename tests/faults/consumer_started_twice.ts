/** Two processes run one job, which somebody has started twice. */
import type { Fault } from "./fault.ts";

export const fault: Fault = {
  does: "A second process with the same consumer_id runs beside each consumer, and is killed.",
  holds: "The two share the partitions like any two consumers, and no file is written by both.",
  async strike(run) {
    await run.each(async (pipeline) => {
      await using twin = pipeline.scenario.consume();
      await twin.event("partition_opened");
      await pipeline.flows();
      await twin.kill();
      run.kills++;
    });
  },
};
