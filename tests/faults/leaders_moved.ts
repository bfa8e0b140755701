/** The partitions get other leaders while they are written and read. */
import { Kafka, logLevel } from "kafkajs";
import type { Fault } from "./fault.ts";
import { waitUntil } from "../../compose/native/processes.ts";

/** Moving replicas of small partitions takes a second. */
const PATIENCE_MS = 60_000;

export const fault: Fault = {
  does: "Every partition's leader is taken from its replicas, and put back as a follower.",
  holds: "Producing and consuming find the new leaders.",
  async strike({ servers, pipelines }) {
    const { brokers } = servers.stack.kafka;
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    try {
      for (const { scenario: { topic } } of pipelines) await moveLeaders(admin, topic);
    } finally {
      await admin.disconnect();
    }
  },
};

type KafkaAdmin = ReturnType<Kafka["admin"]>;

async function moveLeaders(admin: KafkaAdmin, topic: string): Promise<void> {
  const before = await partitionsOf(admin, topic);
  const others = before.map(({ partition, leader, replicas }) => ({
    partition,
    replicas: replicas.filter((node) => node !== leader),
  }));
  await assign(admin, topic, others);
  const back = before.map(({ partition, leader, replicas }) => ({
    partition,
    replicas: [...replicas.filter((node) => node !== leader), leader],
  }));
  await assign(admin, topic, back);
}

/** Gives partitions other replicas and waits until all of them are in sync. */
async function assign(
  admin: KafkaAdmin,
  topic: string,
  partitionAssignment: { partition: number; replicas: number[] }[],
): Promise<void> {
  await admin.alterPartitionReassignments({ topics: [{ topic, partitionAssignment }] });
  const isDone = async () =>
    (await partitionsOf(admin, topic)).every(({ partition, replicas, isr }) => {
      const wanted = partitionAssignment.find((one) => one.partition === partition)!.replicas;
      return replicas.join() === wanted.join() && isr.length === wanted.length;
    });
  if (await waitUntil(isDone, PATIENCE_MS, 100)) return;
  throw new Error(`The replicas of ${topic} are not moved after ${PATIENCE_MS} ms`);
}

async function partitionsOf(admin: KafkaAdmin, topic: string) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0]!.partitions.map(({ partitionId, leader, replicas, isr }) => ({
    partition: partitionId,
    leader,
    replicas,
    isr,
  }));
}
