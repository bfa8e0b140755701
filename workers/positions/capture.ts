/** What is stored for a capture beside where its source's log stands now. */
import type { SourceIdentity } from "../../shared/change.ts";
import { RecordError } from "../../shared/errors.ts";
import { type Format, sourceId } from "../../shared/formats/format.ts";
import type { Admin } from "../../shared/kafka/port.ts";
import { recordsOf } from "../../shared/kafka/records.ts";
import { noteTopicNames } from "../../shared/pipeline/notes.ts";
import {
  type PositionRecord,
  readPositionRecord,
  type StoredPosition,
} from "../../shared/pipeline/positions.ts";
import { SchemaReader } from "../../shared/pipeline/schemas.ts";
import { ownStamp } from "../../shared/pipeline/tails.ts";
import type { LogStanding, Source } from "../../shared/sources/source.ts";
import { table } from "../cli/table.ts";

/** One partition of a topic that the capture writes. */
interface WrittenPartition {
  readonly topic: string;
  readonly partition: number;
  /** Position of the last change known to be there; empty: none. */
  readonly position: string;
  /** Offset after it. */
  readonly stored_offset: number;
  /** Where the partition ends now; null: it is gone. */
  readonly end_offset: number | null;
}

/** How far the capture is behind the end of the log. */
interface Lag {
  /** Null: nothing is stored, or what comes next is lost. */
  readonly bytes: number | null;
  /** Since the position was stored: about once a second while the capture runs. */
  readonly stored_seconds: number | null;
  /** Since the newest captured change was committed, however few there are; null: it is not to be had. */
  readonly newest_change_seconds: number | null;
}

/** A capture as `show` tells of it; plain JSON. */
export interface CaptureStanding {
  readonly job: string;
  readonly source: string;
  readonly lag: Lag;
  readonly lost: string | null;
  readonly stored: Omit<StoredPosition, "topics" | "version"> | null;
  readonly log: LogStanding["log"];
  readonly partitions: readonly WrittenPartition[];
}

/** Reads it all and changes nothing. */
export async function captureStanding(
  name: string,
  { source, admin, format }: {
    readonly source: Source;
    readonly admin: Admin;
    readonly format: Format;
  },
  now_ms: number,
): Promise<CaptureStanding> {
  const identity = { connector: source.connector, name };
  const record = await readPositionRecord(admin, identity);
  const resume = record?.stored.resume;
  const { lag_bytes, lost, log } = await source.standing(resume);
  const id = sourceId(identity);
  const shared = { job: name, source: id, lost: lost ?? null, log };
  if (record === undefined) {
    const lag = { bytes: null, stored_seconds: null, newest_change_seconds: null };
    return { ...shared, lag, stored: null, partitions: [] };
  }
  const newest_ms = await newestChange(admin, format, identity, record);
  const seconds = (since_ms: number) => Math.max(0, Math.round((now_ms - since_ms) / 1000));
  const { topics: _, version: __, ...stored } = record.stored;
  return {
    ...shared,
    lag: {
      bytes: lag_bytes ?? null,
      stored_seconds: seconds(record.stored_ms),
      newest_change_seconds: newest_ms === undefined ? null : seconds(newest_ms),
    },
    stored,
    partitions: await partitionsOf(admin, record.stored),
  };
}

async function partitionsOf(
  admin: Admin,
  { topics }: StoredPosition,
): Promise<WrittenPartition[]> {
  const there = new Set((await admin.topics((name) => Object.hasOwn(topics, name)))
    .map(({ name }) => name));
  const found: WrittenPartition[] = [];
  for (const [topic, { partitions }] of Object.entries(topics)) {
    const offsets = there.has(topic) ? await admin.offsets(topic) : [];
    for (const [partition, { position, end_offset: stored_offset }] of partitions.entries()) {
      const end_offset = offsets[partition]?.end ?? null;
      found.push({ topic, partition, position, stored_offset, end_offset });
    }
  }
  return found;
}

/** When the last change that the stored offsets tell of was committed; undefined: it is not to be had. */
async function newestChange(
  admin: Admin,
  format: Format,
  source: Pick<SourceIdentity, "connector" | "name">,
  { stored: { topics } }: PositionRecord,
): Promise<number | undefined> {
  const notes = noteTopicNames(source.name);
  const tables = Object.entries(topics).filter(([topic]) => !notes.includes(topic));
  const partitions = tables.flatMap(([topic, { partitions }]) =>
    partitions.map(({ position, end_offset }, partition) => ({
      topic,
      partition,
      position,
      end_offset,
    }))
  );
  const newest = partitions.reduce<typeof partitions[number] | undefined>(
    (last, one) => one.position > (last?.position ?? "") ? one : last,
    undefined,
  );
  if (newest === undefined) return undefined;
  const [info] = await admin.topics((name) => name === newest.topic);
  if (info === undefined) return undefined;
  const { first } = (await admin.offsets(newest.topic))[newest.partition]!;
  const from = newest.end_offset - 1;
  if (from < first) return undefined;
  const schemas = new SchemaReader(admin);
  await schemas.refresh();
  let at_ms: number | undefined;
  for await (const record of recordsOf(admin, newest, from, newest.end_offset)) {
    if (await ownStamp(record, format, sourceId(source)) === undefined) continue;
    try {
      at_ms = format.decode(record, schemas.lookup).transaction.ts_us / 1000;
    } catch (error) {
      if (!(error instanceof RecordError)) throw error; // its definition may be gone
    }
  }
  return at_ms;
}

/** The same for people. */
export function captureText(standing: CaptureStanding): string {
  const { job, source, stored, lag, lost, log, partitions } = standing;
  if (stored === null) {
    return [`Nothing is stored for ${source}: job ${job} has not captured yet.`, "", lines(log)]
      .join("\n");
  }
  const { resume: { snapshot, ...resume }, ...rest } = stored;
  const told = [
    `Stored for ${source}, ${age(lag.stored_seconds)}:`,
    lines({ ...resume, snapshot, ...rest }),
    "",
    "The source's log:",
    lines(log),
    "",
    lost === null ? `Lag: ${lagText(lag)}` : `Lost: ${lost}`,
  ];
  if (stored.reset) {
    told.push("Reset: the next start truncates the topics and reads all rows again.");
  }
  if (partitions.length === 0) return told.join("\n");
  const rows = partitions.map(({ topic, partition, position, stored_offset, end_offset }) => [
    topic,
    ...[partition, stored_offset, end_offset ?? "gone"].map(String),
    position,
  ]);
  const header = ["topic", "partition", "stored offset", "end offset", "position"];
  return [...told, "", table(header, rows)].join("\n");
}

function lagText({ bytes, newest_change_seconds }: Lag): string {
  const newest = newest_change_seconds === null
    ? "no change is captured yet"
    : `the newest captured change was committed ${age(newest_change_seconds)}`;
  return `${bytes ?? "?"} bytes; ${newest}`;
}

function age(seconds: number | null): string {
  return seconds === null ? "at an unknown time" : `${seconds} s ago`;
}

/** Names and values, one a line; what has parts is written as JSON. */
function lines(record: Readonly<Record<string, unknown>>): string {
  const entries = Object.entries(record).filter(([, value]) => value !== undefined);
  const width = Math.max(...entries.map(([name]) => name.length));
  return entries.map(([name, value]) => {
    const text = typeof value === "string" ? value || "-" : JSON.stringify(value);
    return `  ${name.padEnd(width)}  ${text}`;
  }).join("\n");
}
