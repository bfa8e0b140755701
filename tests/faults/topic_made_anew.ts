/** Somebody deletes a topic and makes it anew while it is written and read. */
import assert from "node:assert/strict";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import { SILENT } from "../silent.ts";
import type { WorkerProcess } from "../worker_process.ts";
import type { Fault } from "./fault.ts";
import { Pipeline } from "./run/pipeline.ts";
import type { Run } from "./run/run.ts";

export const fault: Fault = {
  does: "A topic of another pipeline is deleted and made anew while it is written and read.",
  holds: "Its capture and its consumer name the topic and end: its changes are lost to readers.",
  async strike(run) {
    await run.each(async ({ db }) => {
      await using doomed = await Pipeline.start(db, run.servers, run.pipelineOptions);
      await remake(run, doomed.scenario.topic);
      await refused(doomed.consumer, doomed.scenario.topic);
      await refused(doomed.capture, doomed.scenario.topic);
    });
  },
};

async function remake({ servers }: Run, topic: string): Promise<void> {
  const { brokers } = servers.stack.kafka;
  const admin = await (await openKafka(kafkaOptions.parse({ brokers }), SILENT)).admin();
  try {
    await admin.deleteTopics([topic]);
    await admin.createTopics([{ name: topic, partitions: 3, replication_factor: 3, config: {} }]);
  } finally {
    await admin.close();
  }
}

async function refused(worker: WorkerProcess, topic: string): Promise<void> {
  const { error, kind } = await worker.event("failed");
  const told = `${worker.name} says: ${error}. Log: ${worker.log_file}`;
  assert.equal(kind, "HistoryLostError", told);
  assert.ok(String(error).includes(topic), told);
}
