/** The journal of one partition: what its files hold, and where the next record stands. */
import { crc32 } from "node:zlib";
import { z } from "zod";
import { HistoryLostError } from "../../errors.ts";
import type { TopicPartition } from "../../kafka/port.ts";
import type { Disk } from "./disk.ts";
import { safeName, STATE_FOLDER } from "./filename.ts";

const file = z.strictObject({
  /** Path inside the output folder, without `.part`. */
  name: z.string().refine(isInside, "names no file inside the output folder"),
  operation: z.enum(["inserts", "deletes", "changes"]),
  bytes: z.int().min(0),
  rows: z.int().min(0),
  /** CRC-32 of the last 4 KiB (or of all, when shorter) of those bytes. */
  tail_crc32: z.int().min(0),
});

const schema = z.strictObject({
  version: z.literal(1),
  topic: z.string(),
  topic_id: z.string(),
  partition: z.int().min(0),
  /** Offset of the next record to write; null before the first flush. */
  next_offset: z.int().min(0).nullable(),
  /** Last position written, by source. */
  positions: z.record(z.string(), z.string()),
  /** Offsets of dead letters that may be replayed, with digests of their keys. */
  set_aside: z.array(z.tuple([z.int().min(0), z.string()])),
  /** Number of the set being written, or, when `files` is empty, of the next one. */
  sequence: z.int().min(1),
  /** Number of the first set after the last truncate: rows of lower sets are gone from the table. */
  since_sequence: z.int().min(1),
  /** Names that the table has had in this generation, the latest last; older journals lack them. */
  tables: z.array(z.string()).default([]),
  /** Tells sets apart whose lines do not have the same columns; null when `files` is empty. */
  layout: z.string().nullable(),
  /** When the set was begun, milliseconds since the Unix epoch. */
  opened_ms: z.number(),
  /** Files being written, under `name` and `.part`. */
  files: z.array(file),
  /** Whole files that may still have to lose their `.part`. */
  completing: z.array(file),
});

/** Whether a path, however it came into the journal, stays where it begins. */
function isInside(path: string): boolean {
  return !path.includes("\0") &&
    path.split("/").every((step) => step !== "" && step !== "." && step !== "..");
}

/** A journal as it stands on disk. */
export type Journal = z.infer<typeof schema>;

/** A file as the journal knows it. */
export type JournalFile = z.infer<typeof file>;

/** The folder of a topic's journals and locks. */
export function stateFolder(output: string, topic: string): string {
  return `${output}/${STATE_FOLDER}/${safeName(topic)}`;
}

/** Path of a partition's journal. */
export function journalPath(output: string, { topic, partition }: TopicPartition): string {
  return `${stateFolder(output, topic)}/${partition}.json`;
}

/** Reads a journal; undefined: there is none. Throws HistoryLostError when it cannot be read as one. */
export function readJournal(disk: Disk, path: string): Journal | undefined {
  if (!disk.exists(path)) return undefined;
  const handle = disk.open(path, "read");
  try {
    const text = new TextDecoder().decode(handle.read(0, handle.size()));
    return schema.parse(JSON.parse(checked(text)));
  } catch (error) {
    throw new HistoryLostError(`Cannot read the journal ${path}: it was changed or damaged`, {
      cure: "restore it together with the files beside it, or start over in an empty output folder",
      cause: error instanceof z.ZodError ? new Error(z.prettifyError(error)) : error,
    });
  } finally {
    handle.close();
  }
}

/** The text of a journal with its checksum as the last member. */
export function sealed(text: string): string {
  return `${text.slice(0, -1)},"crc32":${crc32(text)}}\n`;
}

/** The inverse of `sealed`. */
function checked(text: string): string {
  const [, members, checksum] = /^(.*),"crc32":(\d+)\}\n$/s.exec(text) ?? [];
  if (members === undefined) throw new Error("it does not end in its checksum");
  const found = crc32(`${members}}`);
  if (found === Number(checksum)) return `${members}}`;
  throw new Error(`its checksum says ${checksum}, and its text has ${found}`);
}

/**
 * Replaces a journal in one step: a crash leaves the old one or the new one. `folder` is the one that
 * `path` stands in.
 */
export async function writeJournal(
  disk: Disk,
  folder: string,
  path: string,
  journal: Journal,
): Promise<void> {
  const temporary = `${path}.tmp`;
  const handle = disk.open(temporary, "create");
  try {
    handle.write(new TextEncoder().encode(sealed(JSON.stringify(journal))));
    await handle.sync();
  } finally {
    handle.close();
  }
  disk.rename(temporary, path);
  await disk.syncFolder(folder);
}
