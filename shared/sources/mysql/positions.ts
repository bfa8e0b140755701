/** Places in a binlog, as people name them: where the log stands, and where a start can go on. */
import { quoteLiteral } from "../../connect/mysql.ts";
import { ConfigError, describe, HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import type { LogStanding, Move, ResumePoint } from "../source.ts";
import { fileNumber } from "./change_reader.ts";
import type { MysqlSession } from "./connection.ts";
import type { Flavour, Gtids } from "./flavour.ts";
import {
  checkHistory,
  FIRST_EVENT,
  isBefore,
  readResume,
  type Resume,
  resumePoint,
} from "./history.ts";
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

/** Event types that stand between transactions. */
const BETWEEN = [
  ...["Format_desc", "Previous_gtids", "Rotate", "Stop"],
  ...["Gtid_list", "Binlog_checkpoint", "Start_encryption"],
];

/** Where the log stands, beside `resume` where there is one. */
export async function readStanding(
  session: MysqlSession,
  flavour: Flavour,
  resume: ResumePoint | undefined,
): Promise<LogStanding> {
  const facts = await readServerFacts(session, flavour);
  const end = await readLogEnd(session, facts);
  const files = await readLogFiles(session);
  const stored = resume && readResume(resume, flavour);
  const log = {
    [flavour.server_key]: facts.server,
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
    lag_bytes: stored.server === facts.server ? bytesBehind(files, stored) : undefined,
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

/** Bytes of the files after a place. */
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
  flavour: Flavour,
  to: string,
  resume: ResumePoint,
): Promise<Move> {
  const facts = await readServerFacts(session, flavour);
  const end = await readLogEnd(session, facts);
  const stored = readResume(resume, flavour);
  const place = /^(\S+\.\d+):(\d+)$/.exec(to);
  const found = place === null
    ? await placeOf(session, facts, end, to)
    : await gtidsAt(session, flavour, end, { file: place[1]!, offset: Number(place[2]) });
  const lost = await lostBehind(session, facts, end, { ...found, server: facts.server });
  if (lost !== undefined) throw new ConfigError(`The capture cannot go on from ${to}. ${lost}`);
  return {
    resume: resumePoint(found, facts),
    back: facts.gtid ? !found.gtid_set.contains(stored.gtid_set) : isBefore(found, stored),
  };
}

type Place = Omit<Resume, "server">;

/** The transactions before a place: those of earlier files, and those of the file up to there. */
async function gtidsAt(
  session: MysqlSession,
  flavour: Flavour,
  end: LogEnd,
  { file, offset }: Omit<Place, "gtid_set">,
): Promise<Place> {
  const files = await readLogFiles(session);
  const there = files.find((one) => one.file === file);
  if (there === undefined) {
    throw new ConfigError(`The server has no binlog file ${file}`, {
      cure: `name one of ${files[0]?.file} to ${files.at(-1)?.file}`,
    });
  }
  const size = file === end.file ? end.offset : there.bytes;
  const gtid_set = flavour.parseGtids("");
  let begun = FIRST_EVENT;
  let isBoundary = offset === size;
  for await (const event of events(session, file)) {
    if (event.at > offset) break;
    const isBetween = event.gtid !== undefined || BETWEEN.includes(event.type);
    if (event.at === offset) {
      isBoundary ||= isBetween;
      if (event.gtid !== undefined) break;
    }
    if (isBetween) begun = event.at;
    const gtids = before(flavour, event) ?? (event.gtid && flavour.parseGtids(event.gtid));
    if (gtids) gtid_set.union(gtids);
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
  const { flavour } = facts;
  const gtid_set = flavour.parseGtids(text);
  if (gtid_set.empty) {
    throw new ConfigError("--to names no place", { cure: "--to binlog.000003:1547" });
  }
  const form = "binlog.000003:1547, a place from `deno task positions show JOB`";
  if (!facts.gtid) {
    throw new ConfigError(`${text} is a set of GTIDs, and the server has none: gtid_mode is off`, {
      cure: `--to ${form}`,
    });
  }
  return await placeBehind(session, flavour, end, gtid_set);
}

/** The place of the first transaction that is not in the set. Throws ConfigError where it is purged. */
export async function placeBehind(
  session: MysqlSession,
  flavour: Flavour,
  end: LogEnd,
  gtid_set: Gtids,
): Promise<Place> {
  const files = await readLogFiles(session);
  for (const { file } of files.toReversed()) {
    if (!gtid_set.contains(await previousGtids(session, flavour, file))) continue;
    for await (const { gtid, at } of events(session, file)) {
      if (gtid !== undefined && !gtid_set.contains(flavour.parseGtids(gtid))) {
        return { gtid_set, file, offset: at };
      }
    }
    return { gtid_set, file: end.file, offset: end.offset };
  }
  const oldest = files[0]!.file;
  const missing = (await previousGtids(session, flavour, oldest)).without(gtid_set);
  throw new ConfigError(
    `The server no longer has ${missing}, which ${gtid_set} leaves out: its oldest file is ${oldest}`,
    {
      cure: `--to ${oldest}:${FIRST_EVENT}, or ${READ_ALL_AGAIN}`,
    },
  );
}

async function previousGtids(
  session: MysqlSession,
  flavour: Flavour,
  file: string,
): Promise<Gtids> {
  for await (const event of events(session, file, HEAD_EVENTS)) {
    const gtids = before(flavour, event);
    if (gtids !== undefined) return gtids;
  }
  return flavour.parseGtids("");
}

/** The transactions of earlier files, where the event tells them. */
function before(flavour: Flavour, { type, info }: ShownEvent): Gtids | undefined {
  if (type === "Previous_gtids") return flavour.parseGtids(info);
  if (type === "Gtid_list") return flavour.parseGtids(info.replace(/^\[|\]$/g, ""));
  return undefined;
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
  let from = FIRST_EVENT;
  let skipped = 0;
  for (;;) {
    const rows = await session.query(
      `SHOW BINLOG EVENTS IN ${quoteLiteral(file)} FROM ${from} LIMIT ${skipped}, ${page_events}`,
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
  const begins = /gtid/i.test(type) && type !== "Previous_gtids" && type !== "Gtid_list";
  if (!begins) return { at, type, info, gtid: undefined };
  const [, mysql, mariadb] = /GTID_NEXT= '([^']+)'|\bGTID (\d+-\d+-\d+)/.exec(info) ?? [];
  const name = mysql ?? mariadb ?? "";
  return { at, type, info, gtid: name === "ANONYMOUS" ? "" : name };
}
