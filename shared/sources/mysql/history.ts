/** Whether a server still holds what comes behind a stored position. */
import { ConfigError, HistoryLostError } from "../../errors.ts";
import { GtidSet } from "../../wire/gtid_set.ts";
import type { ResumePoint } from "../source.ts";
import { fileNumber } from "./change_reader.ts";
import type { MysqlSession } from "./connection.ts";
import { type LogEnd, readLogFiles, type ServerFacts } from "./server.ts";

/** A stored position, read. */
export interface Resume {
  readonly gtid_set: GtidSet;
  readonly file: string;
  readonly offset: number;
  readonly server_uuid: string;
}

/** Reads what `resume` of a batch was. Throws ConfigError when it is another source's. */
export function readResume(point: ResumePoint): Resume {
  const { gtid_set, file, offset, server_uuid } = point;
  if (
    typeof gtid_set !== "string" || typeof file !== "string" || typeof offset !== "number" ||
    typeof server_uuid !== "string"
  ) {
    throw new ConfigError(
      `The stored position ${JSON.stringify(point)} is none of a MySQL source`,
      { cure: "give the job a name that no other capture has used" },
    );
  }
  return { gtid_set: GtidSet.parse(gtid_set), file, offset, server_uuid };
}

const NEW_GENERATION = "run `deno task remove JOB`, then start the job anew";

/**
 * Checks that the server is the one that wrote the stored position and still has all behind it.
 * Positions hold numbers of that server's binlog files, so another server is a break even where the
 * GTID history is one. Throws HistoryLostError that says what is missing.
 */
export async function checkHistory(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<void> {
  if (resume.server_uuid !== facts.uuid) {
    throw new HistoryLostError(
      `The server is ${facts.uuid}, and the stored position is of server ${resume.server_uuid}:` +
        ` positions count the binlog files of one server`,
      { cure: `connect to the server that was captured before, or ${NEW_GENERATION}` },
    );
  }
  if (facts.gtid) await checkGtids(session, end, resume);
  await checkPlace(session, facts, end, resume);
}

async function checkGtids(session: MysqlSession, end: LogEnd, resume: Resume): Promise<void> {
  const unknown = resume.gtid_set.without(end.gtid_executed);
  if (!unknown.empty) {
    throw new HistoryLostError(
      `The server has never executed ${unknown}, which this capture has seen: its binlog was reset` +
        ` or its data restored`,
      { cure: NEW_GENERATION },
    );
  }
  const purged = GtidSet.parse(await session.value("SELECT @@GLOBAL.gtid_purged") ?? "");
  const missing = purged.without(resume.gtid_set);
  if (!missing.empty) {
    throw new HistoryLostError(
      `The server has purged ${missing} from its binlog, which this capture has not seen`,
      { cure: `${NEW_GENERATION}, and raise binlog_expire_logs_seconds` },
    );
  }
}

/** The stored place must be a boundary between transactions, and what follows must be new to us. */
async function checkPlace(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<void> {
  const place = `${resume.file}:${resume.offset}`;
  const ahead = fileNumber(resume.file) - fileNumber(end.file);
  if (ahead > 0 || (ahead === 0 && resume.offset > end.offset)) {
    throw new HistoryLostError(
      `The stored position ${place} is behind the end of the log at ${end.file}:${end.offset}: the` +
        ` binlog was reset`,
      { cure: NEW_GENERATION },
    );
  }
  const files = await readLogFiles(session);
  if (!files.some(({ file }) => file === resume.file)) {
    if (facts.gtid) return; // the purged set has been compared
    throw new HistoryLostError(
      `The server no longer has ${resume.file}; its oldest binlog file is ${files[0]?.file}`,
      { cure: `${NEW_GENERATION}, and raise binlog_expire_logs_seconds` },
    );
  }
  if (ahead === 0 && resume.offset === end.offset) return;
  await checkBoundary(session, resume, place);
}

async function checkBoundary(session: MysqlSession, resume: Resume, place: string): Promise<void> {
  let event: Record<string, string | null> | undefined;
  try {
    [event] = await session.records(
      `SHOW BINLOG EVENTS IN '${resume.file.replaceAll("'", "''")}' FROM ${resume.offset} LIMIT 1`,
    );
  } catch (cause) {
    if ((cause as { code?: unknown }).code !== "ER_ERROR_WHEN_EXECUTING_COMMAND") throw cause;
    throw new HistoryLostError(
      `No event begins at the stored position ${place}: the binlog was reset`,
      { cure: NEW_GENERATION, cause },
    );
  }
  const gtid = /GTID_NEXT= '([^']+)'/.exec(event?.Info ?? "")?.[1];
  if (gtid === undefined || gtid === "ANONYMOUS") return;
  if (!resume.gtid_set.contains(GtidSet.parse(gtid))) return;
  throw new HistoryLostError(
    `Transaction ${gtid} stands behind the stored position ${place} though it was captured before:` +
      ` the binlog was reset`,
    { cure: NEW_GENERATION },
  );
}
