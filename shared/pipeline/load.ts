/** What a capture has gathered for its next send. */
import type { Change, Op } from "../change.ts";
import type { OutBatch, OutRecord } from "../kafka/port.ts";
import type { ResumePoint, SnapshotState } from "../sources/source.ts";
import type { ByteArena } from "../wire/byte_arena.ts";
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

/** A record that knows its change's position. */
export interface PlacedRecord extends OutRecord {
  readonly position: string;
}

/** Records of one partition, in order. */
export interface LoadBatch extends OutBatch {
  readonly records: readonly PlacedRecord[];
}

/** The same while they are gathered. */
interface Part {
  readonly target: Target;
  readonly records: PlacedRecord[];
}

/** Changes on their way to Kafka, and where the source starts again once they are acknowledged. */
export class Load {
  readonly began_ms: number;
  readonly changes: Record<Op, number> = { c: 0, u: 0, d: 0, r: 0, t: 0 };
  readonly #parts = new Map<Target, Part>();
  repetitions = 0;
  records = 0;
  /** Of keys and values: characters of text, bytes of the rest. */
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

  /** Where the format writes the records; used again when this load is acknowledged. */
  readonly arena: ByteArena;

  constructor(began_ms: number, arena: ByteArena) {
    this.began_ms = began_ms;
    this.arena = arena;
  }

  get isEmpty(): boolean {
    return this.records === 0 && this.resume === undefined;
  }

  /**
   * Adds a change's record to every target that does not hold it yet, be it from another server
   * (`handover`). Throws when positions do not grow: a repetition that nobody can explain would be
   * dropped as one.
   */
  add(
    change: Change,
    record: PlacedRecord,
    targets: readonly Target[],
    handover?: Handover,
  ): void {
    let isNew = false;
    const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    this.held_bytes += bytes;
    for (const target of targets) {
      if (handover?.holds(target, change) === true) continue;
      if (this.#put(record, target, bytes)) isNew = true;
    }
    if (isNew) this.changes[change.op]++;
    else this.repetitions++;
    this.taken++;
    this.newest_ts_us = change.transaction.ts_us;
    this.oldest_ts_us ??= this.newest_ts_us;
  }

  /** Adds a record about changes (see notes.ts) unless the target holds it. */
  note(record: PlacedRecord, target: Target): void {
    const bytes = (record.key?.length ?? 0) + (record.value?.length ?? 0);
    this.held_bytes += bytes;
    this.#put(record, target, bytes);
  }

  /** Answers false where the target holds it. */
  #put(record: PlacedRecord, target: Target, bytes: number): boolean {
    const { position } = record;
    if (position <= target.held) return false;
    if (position <= target.last) throw disorder(position, target);
    target.last = position;
    this.#part(target).records.push(record);
    this.records++;
    this.bytes += bytes;
    return true;
  }

  #part(target: Target): Part {
    let part = this.#parts.get(target);
    if (part === undefined) {
      part = { target, records: [] };
      this.#parts.set(target, part);
    }
    return part;
  }

  /** One batch for each partition. */
  batches(): LoadBatch[] {
    return [...this.#parts.values()].map(({ target: { topic, partition }, records }) => ({
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
