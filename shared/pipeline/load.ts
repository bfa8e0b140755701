/** What a capture has gathered for its next send. */
import type { Change } from "../change.ts";
import type { OutBatch, OutRecord } from "../kafka/port.ts";
import type { ResumePoint, SnapshotState } from "../sources/source.ts";
import { PackedRecords, type RecordArena } from "../wire/packed_records.ts";
import { noChanges } from "./counts.ts";
import type { Handover } from "./handover.ts";

/** A partition as a capture writes it. */
export interface Target {
  readonly topic: string;
  readonly partition: number;
  /** Changes up to here were in the topic when the session began. */
  readonly held: string;
  /** Position of the last change that was given to it. */
  last: string;
}

/** Records of one partition, in order. */
export interface LoadBatch extends OutBatch {
  readonly records: PackedRecords;
}

/** Changes on their way to Kafka, and where the source starts again once they are acknowledged. */
export class Load {
  readonly changes = noChanges();
  readonly #parts = new Map<Target, PackedRecords>();
  repetitions = 0;
  records = 0;
  /** Of keys, values and headers. */
  bytes = 0;
  /** The same with the repetitions that are dropped: the arena holds them as well. */
  held_bytes = 0;
  /** Undefined: the source batch that was gathered last is not whole yet. */
  resume: ResumePoint | undefined;
  /** Position up to which `resume` covers all changes. */
  covered = "";
  /** How far the snapshot is with this load; undefined: all of it is of the stream. */
  snapshot: SnapshotState | undefined;
  /** Changes that were added, repetitions among them. */
  taken = 0;
  /** Commit times of the first and the last of them, microseconds since the Unix epoch. */
  oldest_ts_us: number | undefined;
  newest_ts_us: number | undefined;

  /** Where the records are written; used again when this load is acknowledged. */
  readonly arena: RecordArena;

  constructor(arena: RecordArena) {
    this.arena = arena;
  }

  get isEmpty(): boolean {
    return this.records === 0 && this.resume === undefined;
  }

  /**
   * Adds a change, whose record was written last, to every target that does not hold it yet, be it
   * from another server (`handover`). Throws when positions do not grow: a repetition that nobody can
   * explain would be dropped as one.
   */
  add(change: Change, targets: readonly Target[], handover?: Handover): void {
    const { position, ts_ms, transaction: { ts_us } } = change;
    let isNew = false;
    this.held_bytes += this.arena.length;
    for (const target of targets) {
      if (handover?.holds(target, change) === true) continue;
      // Not the commit's time: topics keep records so long after it, and brokers may refuse those to come.
      if (this.#put(position, ts_ms, target)) isNew = true;
    }
    if (isNew) this.changes[change.op]++;
    else this.repetitions++;
    this.taken++;
    this.newest_ts_us = ts_us;
    this.oldest_ts_us ??= ts_us;
  }

  /** Adds a record about changes (see notes.ts) unless the target holds it. */
  note(position: string, record: OutRecord, target: Target): void {
    this.arena.add(record);
    this.held_bytes += this.arena.length;
    this.#put(position, record.timestamp_ms, target);
  }

  /** Answers false where the target holds it. */
  #put(position: string, timestamp_ms: number, target: Target): boolean {
    if (position <= target.held) return false;
    if (position <= target.last) throw disorder(position, target);
    target.last = position;
    let part = this.#parts.get(target);
    if (part === undefined) this.#parts.set(target, part = new PackedRecords());
    part.push(this.arena, timestamp_ms);
    this.records++;
    this.bytes += this.arena.length;
    return true;
  }

  /** One batch for each partition. */
  batches(): LoadBatch[] {
    return [...this.#parts].map(([{ topic, partition }, records]) => ({
      topic,
      partition,
      records,
    }));
  }

  /** The last position of each partition in this load. Asked for before more is gathered. */
  positions(): (Pick<Target, "topic" | "partition"> & { position: string })[] {
    return [...this.#parts.keys()].map(({ topic, partition, last }) => ({
      topic,
      partition,
      position: last,
    }));
  }
}

function disorder(position: string, { topic, partition, last }: Target): Error {
  return new Error(
    `Position ${position} comes after ${last} in ${topic}/${partition}:` +
      ` positions must grow; this is a fault of list-sync`,
  );
}
