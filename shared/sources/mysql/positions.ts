/** Places in MySQL's binlog, as people name them: where the log stands, and where a start can go on. */
import { ConfigError, describe, HistoryLostError } from "../../errors.ts";
import { GtidSet } from "../../wire/gtid_set.ts";
import type { LogStanding, Move, ResumePoint } from "../source.ts";
import { fileNumber } from "./change_reader.ts";
import type { MysqlSession } from "./connection.ts";
import { checkHistory, readResume, type Resume } from "./history.ts";
import {
  type LogEnd,
  type LogFile,
  readLogEnd,
  readLogFiles,
  readServerFacts,
  type ServerFacts,
} from "./server.ts";

/** Rows that one question brings: a few megabytes of the server's text. */
const PAGE_EVENTS = 10_000;

/** Enough to see what a file begins with. */
const HEAD_EVENTS = 3;

/** Behind the magic bytes at the start of every file. */
const FILE_START = 4;

/** Event types that stand between transactions. */
const BETWEEN = ["Format_desc", "Previous_gtids", "Rotate", "Stop"];

/** Where the log stands, beside `resume` where there is one. */
export async function readStanding(
  session: MysqlSession,
  resume: ResumePoint | undefined,
): Promise<LogStanding> {
  const facts = await readServerFacts(session);
  const end = await readLogEnd(session, facts);
  const files = await readLogFiles(session);
  const stored = resume && readResume(resume);
  const log = {
    server_uuid: facts.uuid,
    log_end: `${end.file}:${end.offset}`,
    gtid_executed: end.gtid_executed.toString(),
    files: files.map(({ file, bytes }) => ({ file, bytes })),
  };
  if (stored === undefined) return { lag_bytes: undefined, lost: undefined, log };
  const lost = await lostBehind(session, facts, end, stored);
  if (lost !== undefined) return { lag_bytes: undefined, lost, log };
  const gtid_missing = end.gtid_executed.without(stored.gtid_set).toString();
  return {
    // The place in another server's files tells nothing of these.
    lag_bytes: stored.server_uuid === facts.uuid ? bytesBehind(files, stored) : undefined,
    lost,
    log: facts.gtid ? { ...log, gtid_missing } : log,
  };
}

/** Why the log cannot be read on from a stored position; undefined: it can. */
async function lostBehind(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  stored: Resume,
): Promise<string | undefined> {
  try {
    await checkHistory(session, facts, end, stored);
    return undefined;
  } catch (error) {
    if (!(error instanceof HistoryLostError)) throw error;
    return describe(error);
  }
}

/** Bytes of the files behind a place. */
export function bytesBehind(
  files: readonly LogFile[],
  { file, offset }: { readonly file: string; readonly offset: number },
): number {
  const number = fileNumber(file);
  let bytes = -offset;
  for (const there of files) if (fileNumber(there.file) >= number) bytes += there.bytes;
  return Math.max(0, bytes);
}

/**
 * Finds the place that `to` names: `binlog.000003:1547`, or a set of GTIDs, of which all others come.
 * Throws ConfigError for a place inside a transaction, and for one that the server does not have.
 */
export async function locate(
  session: MysqlSession,
  to: string,
  resume: ResumePoint,
): Promise<Move> {
  const facts = await readServerFacts(session);
  const end = await readLogEnd(session, facts);
  const stored = readResume(resume);
  const place = /^(\S+\.\d+):(\d+)$/.exec(to);
  const found = place === null
    ? await placeOf(session, facts, end, to)
    : await gtidsAt(session, end, place[1]!, Number(place[2]));
  const lost = await lostBehind(session, facts, end, { ...found, server_uuid: facts.uuid });
  if (lost !== undefined) throw new ConfigError(`The capture cannot go on from ${to}. ${lost}`);
  const { gtid_set, file, offset } = found;
  return {
    resume: { gtid_set: gtid_set.toString(), file, offset, server_uuid: facts.uuid },
    back: facts.gtid ? !gtid_set.contains(stored.gtid_set) : isBefore(found, stored),
  };
}

type Place = Omit<Resume, "server_uuid">;

function isBefore(one: Place, other: Place): boolean {
  const files = fileNumber(one.file) - fileNumber(other.file);
  return files < 0 || files === 0 && one.offset < other.offset;
}

/** The transactions before a place: those of earlier files, and those of the file up to there. */
async function gtidsAt(
  session: MysqlSession,
  end: LogEnd,
  file: string,
  offset: number,
): Promise<Place> {
  const files = await readLogFiles(session);
  const there = files.find((one) => one.file === file);
  if (there === undefined) {
    throw new ConfigError(`The server has no binlog file ${file}`, {
      cure: `name one of ${files[0]?.file} to ${files.at(-1)?.file}`,
    });
  }
  const size = file === end.file ? end.offset : there.bytes;
  const gtid_set = new GtidSet();
  let begun = FILE_START;
  let isBoundary = offset === size;
  for await (const event of events(session, file)) {
    if (event.at > offset) break;
    const isBetween = event.gtid !== undefined || BETWEEN.includes(event.type);
    if (event.at === offset) {
      isBoundary ||= isBetween;
      if (event.gtid !== undefined) break;
    }
    if (isBetween) begun = event.at;
    if (event.type === "Previous_gtids") gtid_set.union(GtidSet.parse(event.info));
    else if (event.gtid) gtid_set.union(GtidSet.parse(event.gtid));
  }
  if (isBoundary) return { gtid_set, file, offset };
  throw new ConfigError(
    `No transaction begins at ${file}:${offset}: the last one before it begins at ${begun}, and the` +
      ` file ends at ${size}`,
    { cure: `--to ${file}:${begun}` },
  );
}

/** The place that a set of GTIDs names. */
async function placeOf(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  text: string,
): Promise<Place> {
  const gtid_set = readSet(text);
  const form = "binlog.000003:1547, a place from `deno task positions show JOB`";
  if (!facts.gtid) {
    throw new ConfigError(`${text} is a set of GTIDs, and the server has none: gtid_mode is off`, {
      cure: `--to ${form}`,
    });
  }
  return await placeBehind(session, end, gtid_set);
}

/** The place of the first transaction that is not in the set. Throws ConfigError where it is purged. */
export async function placeBehind(
  session: MysqlSession,
  end: LogEnd,
  gtid_set: GtidSet,
): Promise<Place> {
  const files = await readLogFiles(session);
  for (const { file } of files.toReversed()) {
    if (!gtid_set.contains(await previousGtids(session, file))) continue;
    for await (const { gtid, at } of events(session, file)) {
      if (gtid !== undefined && !gtid_set.contains(GtidSet.parse(gtid))) {
        return { gtid_set, file, offset: at };
      }
    }
    return { gtid_set, file: end.file, offset: end.offset };
  }
  const oldest = files[0]!.file;
  const before = (await previousGtids(session, oldest)).without(gtid_set);
  throw new ConfigError(
    `The server no longer has ${before}, which ${gtid_set} leaves out: its oldest file is ${oldest}`,
    { cure: `--to ${oldest}:${FILE_START}, or \`deno task positions reset JOB\` to read all rows` },
  );
}

function readSet(text: string): GtidSet {
  const set = GtidSet.parse(text);
  if (!set.empty) return set;
  throw new ConfigError("--to names no place", { cure: "--to binlog.000003:1547" });
}

async function previousGtids(session: MysqlSession, file: string): Promise<GtidSet> {
  for await (const { type, info } of events(session, file, HEAD_EVENTS)) {
    if (type === "Previous_gtids") return GtidSet.parse(info);
  }
  return new GtidSet();
}

/** One event of a file as the server describes it. */
interface ShownEvent {
  readonly at: number;
  readonly type: string;
  readonly info: string;
  /** Set for the event with which a transaction begins; empty: the transaction has no GTID. */
  readonly gtid: string | undefined;
}

/**
 * The events of a file, in order. What is inside a compressed transaction stands at the transaction's
 * end: a page begins anew at the start of a transaction, or further down in a large one.
 */
async function* events(
  session: MysqlSession,
  file: string,
  page_events = PAGE_EVENTS,
): AsyncGenerator<ShownEvent> {
  const name = file.replaceAll("'", "''");
  let from = FILE_START;
  let skipped = 0;
  for (;;) {
    const rows = await session.query(
      `SHOW BINLOG EVENTS IN '${name}' FROM ${from} LIMIT ${skipped}, ${page_events}`,
    );
    const page = rows.map(([, at, type, , , info]) => shown(Number(at), type ?? "", info ?? ""));
    const isLast = page.length < page_events;
    const next = isLast ? -1 : page.findLastIndex(({ gtid }) => gtid !== undefined);
    const isCut = next > 0;
    yield* isCut ? page.slice(0, next) : page;
    if (isLast) return;
    skipped = isCut ? 0 : skipped + page_events;
    if (isCut) from = page[next]!.at;
  }
}

function shown(at: number, type: string, info: string): ShownEvent {
  if (!/gtid/i.test(type) || type === "Previous_gtids") return { at, type, info, gtid: undefined };
  const [, name = ""] = /GTID_NEXT= '([^']+)'/.exec(info) ?? [];
  return { at, type, info, gtid: name === "ANONYMOUS" ? "" : name };
}
