/** What a source's partitions already hold: read after fencing, before the first send. */
import type { SourceIdentity } from "../change.ts";
import { HistoryLostError, READ_ALL_AGAIN } from "../errors.ts";
import { type Format, sourceId, type Stamp } from "../formats/format.ts";
import type { Admin, InRecord } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import { otherFormat } from "./foreign.ts";
import { noteStamp } from "./notes.ts";
import type { StoredPosition } from "./positions.ts";

/** Throws HistoryLostError when a topic is gone or was made anew: to be asked before it is fenced. */
export async function refuseLostTopics(admin: Admin, stored: StoredPosition): Promise<void> {
  const infos = await admin.topics((name) => Object.hasOwn(stored.topics, name));
  for (const [topic, { id }] of Object.entries(stored.topics)) {
    const info = infos.find(({ name }) => name === topic);
    if (info?.id !== id) throw topicLost(topic, info === undefined);
  }
}

/**
 * Moves `stored.topics` forward over the records after the stored end offsets: afterwards each
 * partition holds exactly the source's changes up to its `position`.
 * Throws HistoryLostError when a topic was cut after the stored offset, RecordError for changes in
 * another format than the job's.
 */
export async function readTails(
  admin: Admin,
  stored: StoredPosition,
  format: Format,
  source: SourceIdentity,
): Promise<{ records: number }> {
  const own = sourceId(source);
  let records = 0;
  for (const [topic, { partitions }] of Object.entries(stored.topics)) {
    const offsets = await admin.offsets(topic);
    for (const [partition, state] of partitions.entries()) {
      const { first, end } = offsets[partition]!;
      if (end < state.end_offset) throw topicCut(topic, partition, end, state.end_offset);
      const from = Math.max(first, state.end_offset);
      for await (const record of recordsOf(admin, { topic, partition }, from, end)) {
        records++;
        const stamp = await ownStamp(record, format, own);
        if (stamp !== undefined && stamp.position > state.position) {
          state.position = stamp.position;
        }
      }
      state.end_offset = end;
    }
  }
  return { records };
}

/**
 * The stamp of a record that the source `own` wrote; undefined: another did. Throws RecordError for a
 * change in another format.
 */
export async function ownStamp(
  record: InRecord,
  format: Format,
  own: string,
): Promise<Stamp | undefined> {
  try {
    const stamp = noteStamp(record) ?? format.stamp(record);
    return stamp?.source === own ? stamp : undefined;
  } catch (error) {
    // Bytes that are no change are not ours; a change in another format may be.
    if (await otherFormat(record, format) !== undefined) throw error;
    return undefined;
  }
}

const FORGET = `if the loss is intended, ${READ_ALL_AGAIN}`;

function topicLost(topic: string, gone: boolean): HistoryLostError {
  const what = gone ? "is gone" : "was deleted and recreated";
  return new HistoryLostError(
    `Topic ${topic} ${what} since this capture wrote to it: its changes are lost to every reader`,
    { cure: FORGET },
  );
}

/** The error for a partition that ends at `end`, where `stored` was acknowledged before. */
export function topicCut(
  topic: string,
  partition: number,
  end: number,
  stored: number,
): HistoryLostError {
  return new HistoryLostError(
    `Partition ${partition} of topic ${topic} ends at offset ${end}, yet offset ${stored} was` +
      ` acknowledged: acknowledged records are lost (a recreated topic, unclean leader election, or a restored cluster)`,
    { cure: FORGET },
  );
}
