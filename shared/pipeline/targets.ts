/** Where a batch ends: the offsets at which the partitions ended when it began. */
import type { Admin, TopicPartition } from "../kafka/port.ts";
import { partitionId } from "../kafka/port.ts";

/** A partition's end as a batch takes it. */
export interface BatchEnd extends TopicPartition {
  /** Nothing to read when it equals `end`. */
  readonly first: number;
  /** Offset after the last record that the batch reads. */
  readonly end: number;
}

/** The ends of all partitions of `topics` as they are now, by `partitionId`. */
export async function takeTargets(
  admin: Admin,
  topics: Iterable<string>,
): Promise<ReadonlyMap<string, BatchEnd>> {
  const targets = new Map<string, BatchEnd>();
  for (const topic of topics) {
    for (const [partition, { first, end }] of (await admin.offsets(topic)).entries()) {
      targets.set(partitionId({ topic, partition }), { topic, partition, first, end });
    }
  }
  return targets;
}

/**
 * Whether the group has committed every one of `targets`: then the partitions that other members
 * read are done as well, and whoever leaves leaves nothing to anybody.
 */
export async function groupIsDone(
  admin: Admin,
  group_id: string,
  targets: readonly BatchEnd[],
): Promise<boolean> {
  for (const [topic, ends] of Map.groupBy(targets, (target) => target.topic)) {
    const committed = await admin.committed(group_id, topic);
    const done = ends.every(({ partition, first, end }) =>
      end <= first || (committed[partition] ?? 0) >= end
    );
    if (!done) return false;
  }
  return true;
}

/**
 * Whether nothing but control records (the markers of transactions) stands from `from` to the end:
 * no consumer delivers those, so a batch would wait for them without end.
 */
export async function onlyMarkersLeft(
  admin: Admin,
  target: BatchEnd,
  from: number,
): Promise<boolean> {
  for await (const batch of admin.read(target, from, target.end)) {
    if (batch.records.some((record) => record.offset < target.end)) return false;
  }
  return true;
}
