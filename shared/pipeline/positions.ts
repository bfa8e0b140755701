/**
 * The compacted topic `list-sync.positions`: per source what is acknowledged, where to start again,
 * and what the partitions held then. With the tails after it, a restart loses and repeats nothing.
 */
import type { Connector } from "../change.ts";
import { ConfigError } from "../errors.ts";
import type { Admin, InRecord, NewTopic, OutBatch } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import type { ResumePoint } from "../sources/source.ts";

/** Name of the topic. */
export const POSITIONS_TOPIC = "list-sync.positions";

/** A source, as its positions are filed. */
export interface SourceName {
  readonly connector: Connector;
  readonly name: string;
}

/** One partition when the record was written. */
export interface StoredPartition {
  /** Offset after the last acknowledged record of this source. */
  end_offset: number;
  /** Position of that record; empty: none yet. */
  position: string;
  /** All records before it are covered by `resume`; absent: that is not known of any. */
  covered_offset?: number;
}

/** What stands in the topic for one source. */
export interface StoredPosition {
  version: 1;
  /** Where the source starts again. */
  resume: ResumePoint;
  /** Position up to which `resume` covers all changes; what the topics hold after it comes again. */
  covered: string;
  generation: number;
  /** The topics that this source writes, by name; `partitions` has their count of the first write. */
  topics: Record<string, { id: string; partitions: StoredPartition[] }>;
  /** Fingerprint of all that decides which partition a change goes to. */
  routing: string;
  /** Every transactional id that a producer of this source may be using. */
  transactional_ids: string[];
  /** The last run ended in order, and the topics held nothing that comes again. */
  clean: boolean;
  /** By a person's wish the next start begins a new generation with a snapshot. */
  reset?: true;
}

/** What stays of a source that was removed: should it come back, its generation must be a greater one. */
export interface RemovedPosition {
  version: 1;
  removed: true;
  generation: number;
}

/** What stands in the topic for one source, and when it was written. */
export interface PositionRecord {
  readonly stored: StoredPosition;
  /** Milliseconds since the Unix epoch. */
  readonly stored_ms: number;
}

/** The generation that follows `known`; the time is greater even where the topic itself was lost. */
export function nextGeneration(known: number | undefined, now_ms: number): number {
  return Math.max((known ?? 0) + 1, Math.floor(now_ms / 1000));
}

/** The topic as it is to be made. */
export function positionsTopic(replication_factor: number): NewTopic {
  return {
    name: POSITIONS_TOPIC,
    partitions: 1,
    replication_factor,
    config: {
      "cleanup.policy": "compact",
      "min.insync.replicas": minInsync(replication_factor),
      // A record a second, and each start reads them all: what is obsolete must go soon, and the
      // segment being written is never compacted.
      "segment.bytes": String(8 << 20),
      "min.cleanable.dirty.ratio": "0.1",
    },
  };
}

/** In-sync replicas to ask of a topic: one replica may fail without stopping or losing anything. */
export function minInsync(replication_factor: number): string {
  return String(Math.max(1, replication_factor - 1));
}

/** Names the producer of a source across restarts. */
export function transactionalId(source: SourceName): string {
  return `list-sync.${source.connector}.${source.name}`;
}

/** The record that stores `stored` for a source. */
export function positionBatch(
  source: SourceName,
  stored: StoredPosition | RemovedPosition,
  now_ms: number,
): OutBatch {
  return {
    topic: POSITIONS_TOPIC,
    partition: 0,
    records: [{ key: keyOf(source), value: JSON.stringify(stored), timestamp_ms: now_ms }],
  };
}

/** Reads what the topic holds for a source; undefined: nothing. */
export async function readPosition(
  admin: Admin,
  source: SourceName,
): Promise<StoredPosition | undefined> {
  return (await readPositionRecord(admin, source))?.stored;
}

/** The same, with the time at which it was written. */
export async function readPositionRecord(
  admin: Admin,
  source: SourceName,
): Promise<PositionRecord | undefined> {
  const last = await readLast(admin, source);
  if (last === undefined || "removed" in last.value) return undefined;
  return { stored: last.value, stored_ms: last.timestamp_ms };
}

/** The latest generation that the topic knows of a source, be it removed; undefined: it knows none. */
export async function lastGeneration(
  admin: Admin,
  source: SourceName,
): Promise<number | undefined> {
  return (await readLast(admin, source))?.value.generation;
}

interface LastRecord {
  readonly value: StoredPosition | RemovedPosition;
  readonly timestamp_ms: number;
}

async function readLast(admin: Admin, source: SourceName): Promise<LastRecord | undefined> {
  if ((await admin.topics((name) => name === POSITIONS_TOPIC)).length === 0) return undefined;
  const [partition] = await admin.offsets(POSITIONS_TOPIC);
  const key = keyOf(source);
  let last: InRecord | undefined;
  const at = { topic: POSITIONS_TOPIC, partition: 0 };
  for await (const record of recordsOf(admin, at, partition!.first, partition!.end)) {
    if (record.key !== null && text.decode(record.key) === key) last = record;
  }
  if (last === undefined || last.value === null) return undefined;
  const value = JSON.parse(text.decode(last.value)) as LastRecord["value"];
  if (value.version !== 1) {
    throw new ConfigError(
      `Topic ${POSITIONS_TOPIC} holds version ${value.version} for ${key}; this program reads 1`,
      { cure: "run the version of list-sync that wrote it, or a later one" },
    );
  }
  return { value, timestamp_ms: last.timestamp_ms };
}

function keyOf(source: SourceName): string {
  return JSON.stringify([source.connector, source.name]);
}

const text = new TextDecoder();
