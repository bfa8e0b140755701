/** Who reads what in a group, and how its members stay in it: what both clients must do alike. */
import type { TopicPartition } from "./port.ts";

/** Name under which members agree on it; both clients speak it, so they may share a group. */
export const ASSIGNMENT_PROTOCOL = "roundrobin";

/** Three heartbeats must be lost before the session ends. */
const HEARTBEATS_PER_SESSION = 3;
/** Kafka's own heartbeat.interval.ms: longer makes every rebalance slower. */
const LONGEST_HEARTBEAT_MS = 3_000;

/** How often a member shows that it lives, in milliseconds. */
export function heartbeatMs(session_timeout_ms: number): number {
  return Math.min(LONGEST_HEARTBEAT_MS, session_timeout_ms / HEARTBEATS_PER_SESSION);
}

/** How often it is looked whether topics have got partitions. */
export const METADATA_MS = 30_000;

/** A member and what it wants to read. */
export interface Subscriber {
  readonly member_id: string;
  readonly topics: readonly string[];
}

/**
 * Deals all partitions in the order of topic and number to the members in the order of their ids,
 * passing over members that do not read the topic, as the Java client's `roundrobin` assignor does.
 * Each partition goes to one member.
 * @param partitions number of partitions by topic.
 */
export function dealPartitions(
  members: readonly Subscriber[],
  partitions: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const order = [...members].sort((a, b) => a.member_id < b.member_id ? -1 : 1);
  const hands = new Map(order.map(({ member_id }) => [member_id, [] as TopicPartition[]]));
  let turn = 0;
  for (const topic of [...partitions.keys()].sort()) {
    if (!order.some(({ topics }) => topics.includes(topic))) continue;
    for (let partition = 0; partition < partitions.get(topic)!; partition++) {
      while (!order[turn % order.length]!.topics.includes(topic)) turn++;
      hands.get(order[turn % order.length]!.member_id)!.push({ topic, partition });
      turn++;
    }
  }
  return hands;
}

/** Partitions of each topic, sorted, as the group protocol groups them. */
export function byTopic(partitions: readonly TopicPartition[]): Map<string, number[]> {
  const topics = new Map<string, number[]>();
  for (const { topic, partition } of partitions) {
    topics.set(topic, [...topics.get(topic) ?? [], partition].sort((a, b) => a - b));
  }
  return topics;
}
