/** Whether a server still holds what comes after a stored position. */
import { quoteLiteral } from "../../connect/mysql.ts";
import { ConfigError, HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import type { ResumePoint } from "../source.ts";
import { fileNumber } from "./change_reader.ts";
import type { MysqlSession } from "./connection.ts";
import type { Flavour, Gtids } from "./flavour.ts";
import { checkOtherServer } from "./other_server.ts";
import { type LogEnd, readLogFiles, type ServerFacts } from "./server.ts";

/** A stored position, read. */
export interface Resume {
  readonly gtid_set: Gtids;
  readonly file: string;
  readonly offset: number;
  /** The server's identity, as in ServerFacts. */
  readonly server: string;
}

/** A place as it is stored. */
export function resumePoint(
  { gtid_set, file, offset }: Omit<Resume, "server">,
  { flavour, server }: ServerFacts,
): ResumePoint {
  return { gtid_set: gtid_set.toString(), file, offset, [flavour.server_key]: server };
}

/** Reads what `resume` of a batch was. Throws ConfigError when it is another source's. */
export function readResume(point: ResumePoint, flavour: Flavour): Resume {
  const { gtid_set, file, offset, [flavour.server_key]: server } = point;
  if (
    typeof gtid_set !== "string" || typeof file !== "string" || typeof offset !== "number" ||
    typeof server !== "string"
  ) {
    throw new ConfigError(
      `The stored position ${JSON.stringify(point)} was not written by a ${flavour.product} source`,
      { cure: "give the job a name that no other capture has used" },
    );
  }
  return { gtid_set: flavour.parseGtids(gtid_set), file, offset, server };
}

/** Offset of the first event of every binlog file, after its magic bytes. */
export const FIRST_EVENT = 4;
/** The request for a dump by place has room for no more. */
export const LAST_OFFSET = 0xffff_ffff;

/**
 * Checks that the server has the history of the stored position and all after it, and answers where a
 * dump by place begins: the stored place, or the start of a later file that goes on from it. By MySQL's
 * GTIDs another server than the stored one may have it; then the place is none of its own. Throws
 * HistoryLostError that says what is missing.
 */
export async function checkHistory(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<Resume> {
  const { flavour, server, gtid } = facts;
  if (resume.server !== server) {
    await checkOtherServer(session, facts, end, resume);
    return resume;
  }
  if (gtid) await flavour.checkGtids(session, end, resume);
  return await checkPlace(session, facts, end, resume);
}

/** A place in the log. */
type Place = Pick<Resume, "file" | "offset">;

/** Whether one place comes before the other. */
export function isBefore(one: Place, other: Place): boolean {
  const files = fileNumber(one.file) - fileNumber(other.file);
  return files < 0 || (files === 0 && one.offset < other.offset);
}

/** The stored place must be a boundary between transactions, and what follows must be new to us. */
async function checkPlace(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<Resume> {
  const place = `${resume.file}:${resume.offset}`;
  if (isBefore(end, resume)) {
    throw new HistoryLostError(
      `The stored position ${place} lies beyond the end of the log at ${end.file}:${end.offset}: the` +
        ` binlog was reset`,
      { cure: READ_ALL_AGAIN },
    );
  }
  const files = await readLogFiles(session);
  const isThere = files.some(({ file }) => file === resume.file);
  const by_gtids = facts.gtid && facts.flavour.starts_by_gtids;
  if (!isThere && by_gtids) return resume; // the purged set has been compared
  if (!isThere || (!by_gtids && resume.offset > LAST_OFFSET)) {
    const next = files.find(({ file }) => fileNumber(file) > fileNumber(resume.file));
    if (facts.gtid && next !== undefined) {
      const begin = { ...resume, file: next.file, offset: FIRST_EVENT };
      await facts.flavour.checkGtids(session, end, begin);
      return begin;
    }
    throw new HistoryLostError(
      `The server no longer has ${resume.file}; its oldest binlog file is ${files[0]?.file}`,
      { cure: `raise binlog_expire_logs_seconds, and ${READ_ALL_AGAIN}` },
    );
  }
  if (isBefore(resume, end)) {
    await checkBoundary(session, facts.flavour, resume, place);
  }
  return resume;
}

async function checkBoundary(
  session: MysqlSession,
  flavour: Flavour,
  resume: Resume,
  place: string,
): Promise<void> {
  let event: Record<string, string | null> | undefined;
  try {
    [event] = await session.records(
      `SHOW BINLOG EVENTS IN ${quoteLiteral(resume.file)} FROM ${resume.offset} LIMIT 1`,
    );
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ER_ERROR_WHEN_EXECUTING_COMMAND") throw cause;
    throw new HistoryLostError(
      `No event begins at the stored position ${place}: the binlog was reset`,
      { cure: READ_ALL_AGAIN, cause },
    );
  }
  const gtid = /GTID_NEXT= '([^']+)'/.exec(event?.Info ?? "")?.[1];
  if (gtid === undefined || gtid === "ANONYMOUS") return;
  if (!resume.gtid_set.contains(flavour.parseGtids(gtid))) return;
  throw new HistoryLostError(
    `Transaction ${gtid} follows the stored position ${place}, yet it was captured before:` +
      ` the binlog was reset`,
    { cure: READ_ALL_AGAIN },
  );
}
