/** Reads what a dead letter topic holds, and brings letters back to where they came from. */
import { describe, RecordError } from "../errors.ts";
import type { Format } from "../formats/format.ts";
import { type Admin, type OutRecord, partitionId, type Producer } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import {
  type DeadLetter,
  type Entry,
  type Origin,
  readEntry,
  type Reason,
  replayedRecord,
  replayRecord,
} from "./dead_letter.ts";
import type { SchemaReader } from "./schemas.ts";

/** Which letters are asked for; what is left out allows all. */
export interface LetterFilter {
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly offset?: number | undefined;
  readonly reason?: Reason | undefined;
}

/** A letter as its topic tells of it. */
export interface StoredLetter extends DeadLetter {
  /** `replayed`: it went back, and has not become a dead letter again since. */
  readonly status: "waiting" | "replayed";
}

/** Letters at a time: a replay holds no more in memory. */
const BATCH_LETTERS = 500;

/**
 * The letters of a topic that `filter` allows, oldest first, each once: the last that was said of
 * its origin counts. Reads the topic twice, so that no more than origins are held in memory.
 */
export async function* readLetters(
  admin: Admin,
  topic: string,
  filter: LetterFilter,
): AsyncGenerator<StoredLetter> {
  const last = new Map<string, { readonly place: string; readonly replays: number }>();
  const replayed = new Map<string, number>();
  for await (const { entry, place } of entries(admin, topic)) {
    const id = originId(entry);
    if (entry.kind === "replayed") {
      replayed.set(id, Math.max(entry.replays, replayed.get(id) ?? 0));
      continue;
    }
    const { replays } = entry.letter;
    if (replays >= (last.get(id)?.replays ?? 0)) last.set(id, { place, replays });
  }
  for await (const { entry, place } of entries(admin, topic)) {
    if (entry.kind !== "letter" || !allows(filter, entry.letter)) continue;
    const id = originId(entry);
    if (last.get(id)?.place !== place) continue;
    const isReplayed = (replayed.get(id) ?? 0) > entry.letter.replays;
    yield { ...entry.letter, status: isReplayed ? "replayed" : "waiting" };
  }
}

async function* entries(
  admin: Admin,
  topic: string,
): AsyncGenerator<{ entry: Entry; place: string }> {
  if ((await admin.topics((name) => name === topic)).length === 0) return;
  for (const [partition, { first, end }] of (await admin.offsets(topic)).entries()) {
    for await (const record of recordsOf(admin, { topic, partition }, first, end)) {
      const entry = readEntry(record);
      const place = `${partition}/${record.offset}`;
      if (entry !== undefined) yield { entry, place };
    }
  }
}

function originId(entry: Entry): string {
  const { topic_id, partition, offset } = entry.kind === "letter"
    ? entry.letter.origin
    : entry.origin;
  return `${topic_id}/${partition}/${offset}`;
}

function allows(filter: LetterFilter, { origin, reason }: DeadLetter): boolean {
  return (filter.topic ?? origin.topic) === origin.topic &&
    (filter.partition ?? origin.partition) === origin.partition &&
    (filter.offset ?? origin.offset) === origin.offset &&
    (filter.reason ?? reason) === reason;
}

/** What replaying needs. */
export interface ReplayDeps {
  readonly admin: Admin;
  readonly producer: Producer;
  /** The job's. */
  readonly format: Format;
  readonly schemas: SchemaReader;
  /** The dead letter topic. */
  readonly topic: string;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** What a replay did. */
export interface Replayed {
  readonly replayed: Origin[];
  readonly refused: { readonly origin: Origin; readonly why: string }[];
}

/**
 * Writes waiting letters to the ends of the partitions that they came from, in the order in which
 * they were set aside, and notes it after them. Refuses letters of topics that were made anew and
 * those that still cannot be read. Broken off in the middle it may be started again: consumers
 * apply a letter once.
 */
export async function replay(
  letters: AsyncIterable<StoredLetter>,
  deps: ReplayDeps,
): Promise<Replayed> {
  const topics = new Map((await deps.admin.topics(() => true)).map(({ name, id }) => [name, id]));
  const result: Replayed = { replayed: [], refused: [] };
  let batch: DeadLetter[] = [];
  for await (const { status, ...letter } of letters) {
    if (status === "replayed") continue;
    const why = refusal(letter, topics, deps);
    if (why !== undefined) {
      result.refused.push({ origin: letter.origin, why });
      continue;
    }
    batch.push(letter);
    if (batch.length < BATCH_LETTERS) continue;
    result.replayed.push(...await sendBack(batch, deps));
    batch = [];
  }
  if (batch.length > 0) result.replayed.push(...await sendBack(batch, deps));
  return result;
}

/** Why a letter cannot go back; `topics`: the ids of those that are there, by name. */
function refusal(
  { origin, record }: DeadLetter,
  topics: ReadonlyMap<string, string>,
  { format, schemas }: ReplayDeps,
): string | undefined {
  const id = topics.get(origin.topic);
  if (id === undefined) return `there is no topic ${origin.topic} any more`;
  if (id !== origin.topic_id) return `topic ${origin.topic} was recreated since`;
  try {
    format.decode({ ...record, offset: origin.offset, size: 0 }, schemas.lookup);
    return undefined;
  } catch (error) {
    if (error instanceof RecordError) return describe(error);
    throw error;
  }
}

async function sendBack(
  letters: readonly DeadLetter[],
  { producer, topic, now }: ReplayDeps,
): Promise<Origin[]> {
  const records = Map.groupBy(letters, ({ origin }) => partitionId(origin));
  await producer.send([...records.values()].map((of) => ({
    topic: of[0]!.origin.topic,
    partition: of[0]!.origin.partition,
    records: of.map((letter): OutRecord => replayRecord(letter, now())),
  })));
  const notes = letters.map((letter) => replayedRecord(letter, now()));
  await producer.send([{ topic, partition: 0, records: notes }]);
  return letters.map(({ origin }) => origin);
}
