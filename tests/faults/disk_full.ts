/** There is no room for the files any more, or nobody may write them. */
import assert from "node:assert/strict";
import type { WorkerProcess } from "../worker_process.ts";
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";
import { SmallDisk } from "./run/small_disk.ts";

export const fault: Fault = {
  does: "The output folder is on a file system that is full, and then on one that is read-only.",
  holds: "The consumer names the file and what to do, and ends; when there is room it goes on.",
  strike: (run) => run.each((pipeline) => strike(run, pipeline)),
};

async function strike(run: Run, pipeline: Pipeline): Promise<void> {
  const { scenario } = pipeline;
  const kill = async () => {
    await pipeline.consumer.kill();
    run.kills++;
  };
  await kill();
  {
    await using disk = await SmallDisk.mount(scenario.output);
    pipeline.consumer = scenario.consume();
    await pipeline.consumer.event("partition_opened");
    await disk.fill();
    await refused(pipeline.consumer, scenario.output);
    await disk.empty();
    pipeline.consumer = scenario.consume();
    await pipeline.flows();
    await kill();
    await disk.setReadOnly(true);
    pipeline.consumer = scenario.consume();
    await refused(pipeline.consumer, scenario.output);
    await disk.setReadOnly(false);
  }
  pipeline.consumer = scenario.consume();
}

async function refused(consumer: WorkerProcess, folder: string): Promise<void> {
  const { error } = await consumer.event("failed");
  const told = `the consumer says: ${error}. Log: ${consumer.log_file}`;
  assert.ok(String(error).includes(folder), told);
  assert.match(String(error), /To mend: .*(space|write)/, told);
  await consumer.died(2);
}
