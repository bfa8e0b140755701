/**
 * How a record that could not be applied stands in a dead letter topic: key, value and headers as
 * they were, and headers of ours after them that say why, where from, when and by whom.
 */
import type { Bytes, InRecord, OutRecord, TopicPartition } from "../kafka/port.ts";

/**
 * Why a record could not be applied: `format`, it is no change in the job's format; `schema`, nobody
 * knows the definition that it names; `sink`, the target refuses the row.
 */
export const REASONS = ["format", "schema", "sink"] as const;
export type Reason = typeof REASONS[number];

/** Where a record was first read. A letter that is sent again carries the same. */
export interface Origin extends TopicPartition {
  /** The brokers' id of the topic: one made anew has another. */
  readonly topic_id: string;
  readonly offset: number;
}

/** One dead letter. */
export interface DeadLetter {
  readonly origin: Origin;
  readonly reason: Reason;
  /** What was wrong, and the cure. */
  readonly error: string;
  readonly job: string;
  readonly group_id: string;
  /** When it was set aside, milliseconds since the Unix epoch. */
  readonly failed_ms: number;
  /** How often it had been replayed before. */
  readonly replays: number;
  /** The record as it was. */
  readonly record: LostRecord;
}

/** A record's own parts, in memory of their own: what is read is a view of what was fetched. */
export type LostRecord = Pick<InRecord, "key" | "value" | "headers" | "timestamp_ms">;

/** A copy that may be kept. */
export function copyOf({ key, value, headers, timestamp_ms }: LostRecord): LostRecord {
  return {
    key: key?.slice() ?? null,
    value: value?.slice() ?? null,
    headers: headers.map(([name, bytes]) => [name, bytes.slice()] as const),
    timestamp_ms,
  };
}

/** What a record of a dead letter topic says: a letter, or that one has been replayed. */
export type Entry =
  | { readonly kind: "letter"; readonly letter: DeadLetter }
  | { readonly kind: "replayed"; readonly origin: Origin; readonly replays: number };

const PREFIX = "list-sync.dead-letter.";
const ORIGIN = ["topic", "topic_id", "partition", "offset"].map((name) => PREFIX + name);
const REPLAYS = `${PREFIX}replays`;
const ABOUT = ["reason", "error", "job", "group_id", "failed_ms", "timestamp_ms"]
  .map((name) => PREFIX + name);

/** Names the record that a replayed one repeats. */
const REPLAY = "list-sync.replay";

/** A text that somebody wants to read in a header. */
const ERROR_CHARACTERS = 2_000;

const utf8 = new TextDecoder();

type Headers = readonly (readonly [name: string, value: Bytes])[];

/** The record that carries a letter. */
export function letterRecord(letter: DeadLetter): OutRecord {
  const { origin, reason, error, job, group_id, failed_ms, replays, record } = letter;
  const about = [reason, error.slice(0, ERROR_CHARACTERS), job, group_id, failed_ms];
  return {
    key: record.key,
    value: record.value,
    timestamp_ms: failed_ms,
    headers: [
      ...record.headers,
      ...named(ABOUT, [...about, record.timestamp_ms]),
      ...named([REPLAYS, ...ORIGIN], [replays, ...originValues(origin)]),
    ],
  };
}

/** The record that says, after a letter, that it has been replayed. */
export function replayedRecord({ origin, replays }: DeadLetter, now_ms: number): OutRecord {
  const headers = named([REPLAYS, ...ORIGIN], [replays + 1, ...originValues(origin)]);
  return { key: null, value: null, timestamp_ms: now_ms, headers };
}

function originValues({ topic, topic_id, partition, offset }: Origin): (string | number)[] {
  return [topic, topic_id, partition, offset];
}

function named(names: readonly string[], values: readonly (string | number)[]): Headers {
  return names.map((name, index) => [name, String(values[index])]);
}

/** Reads a record of a dead letter topic; undefined: somebody else wrote it. */
export function readEntry(read: InRecord): Entry | undefined {
  const record = copyOf(read);
  // A dead letter may itself have become one: ours are the last of each name.
  const ours = new Map<string, number>();
  for (const [index, [name]] of record.headers.entries()) ours.set(name, index);
  const text = (name: string) => utf8.decode(record.headers[ours.get(PREFIX + name)!]![1]);

  if (![REPLAYS, ...ORIGIN].every((name) => ours.has(name))) return undefined;
  const origin: Origin = {
    topic: text("topic"),
    topic_id: text("topic_id"),
    partition: Number(text("partition")),
    offset: Number(text("offset")),
  };
  const replays = Number(text("replays"));
  if (record.value === null) return { kind: "replayed", origin, replays };
  if (!ABOUT.every((name) => ours.has(name))) return undefined;
  const own = new Set([...ABOUT, REPLAYS, ...ORIGIN].map((name) => ours.get(name)));
  const letter: DeadLetter = {
    origin,
    reason: text("reason") as Reason,
    error: text("error"),
    job: text("job"),
    group_id: text("group_id"),
    failed_ms: Number(text("failed_ms")),
    replays,
    record: {
      ...record,
      timestamp_ms: Number(text("timestamp_ms")),
      headers: record.headers.filter((_, index) => !own.has(index)),
    },
  };
  return { kind: "letter", letter };
}

/** What a replayed record says of itself. */
export interface Replay {
  /** Offset, in the same partition, of the record that it repeats. */
  readonly offset: number;
  /** The group that set that one aside; to others a replay is a repetition. */
  readonly group_id: string;
  /** Number of this replay, from 1. */
  readonly replays: number;
}

/** The record that goes to the end of the partition that the letter came from. */
export function replayRecord(letter: DeadLetter, now_ms: number): OutRecord {
  const { record, group_id, origin: { offset } } = letter;
  const replay: Replay = { offset, group_id, replays: letter.replays + 1 };
  return {
    key: record.key,
    value: record.value,
    timestamp_ms: now_ms,
    headers: [
      ...record.headers.filter(([name]) => name !== REPLAY),
      [REPLAY, JSON.stringify(replay)],
    ],
  };
}

/** Whether, and of what, a record is a replay. */
export function replayOf({ headers }: Pick<InRecord, "headers">): Replay | undefined {
  const header = headers.findLast(([name]) => name === REPLAY);
  if (header === undefined) return undefined;
  try {
    const { offset, group_id, replays } = JSON.parse(utf8.decode(header[1])) as Replay;
    return Number.isSafeInteger(offset) ? { offset, group_id, replays } : undefined;
  } catch {
    return undefined; // not ours, whatever it is called
  }
}
