/** Somebody gives a topic more partitions while it is written and read. */
import assert from "node:assert/strict";
import { Kafka, logLevel } from "kafkajs";
import type { Fault } from "./fault.ts";
import type { Pipeline } from "./run/pipeline.ts";

const ADDED = 2;
/** Changes on either side of a restart. */
const CHANGES = 200;

export const fault: Fault = {
  does:
    `Each topic gets ${ADDED} more partitions while it is written, and the captures are killed.`,
  holds: "Every key stays in its partition: what was added is left empty.",
  async strike(run) {
    const { brokers } = run.servers.stack.kafka;
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const counts = new Map<Pipeline, number>();
    try {
      for (const pipeline of run.pipelines) {
        const { topic } = pipeline.scenario;
        const before = (await admin.fetchTopicOffsets(topic)).length;
        counts.set(pipeline, before);
        await admin.createPartitions({ topicPartitions: [{ topic, count: before + ADDED }] });
      }
      await run.each(async (pipeline) => {
        await pipeline.writes(CHANGES);
        await run.killCapture(pipeline);
        await pipeline.writes(CHANGES);
        await pipeline.flows();
      });
      for (const [{ scenario: { topic } }, before] of counts) {
        const ends = (await admin.fetchTopicOffsets(topic)).toSorted((a, b) =>
          a.partition - b.partition
        ).map(({ high }) => high);
        assert.equal(ends.length, before + ADDED);
        assert.deepEqual(ends.slice(before), Array(ADDED).fill("0"), `${topic} ends at ${ends}`);
      }
    } finally {
      await admin.disconnect();
    }
  },
};
