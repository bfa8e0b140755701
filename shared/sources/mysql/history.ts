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

/** A replica that was just promoted may still be applying what it has received: asked a second each. */
const CATCH_UP_QUESTIONS = 3;

/**
 * Checks that the server has the history of the stored position and all that came behind it: the server
 * that wrote it, or by GTIDs another one. Throws HistoryLostError that says what is missing.
 */
export async function checkHistory(
  session: MysqlSession,
  facts: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<void> {
  if (resume.server_uuid !== facts.uuid) return await checkOtherServer(session, facts, resume);
  if (facts.gtid) {
    demandExecuted(resume.gtid_set, end.gtid_executed);
    await checkPurged(session, resume);
  }
  await checkPlace(session, facts, end, resume);
}

async function checkOtherServer(
  session: MysqlSession,
  facts: ServerFacts,
  resume: Resume,
): Promise<void> {
  if (!facts.gtid || resume.gtid_set.empty) {
    throw new HistoryLostError(
      `The server is ${facts.uuid}, and the stored position is of server ${resume.server_uuid}:` +
        ` without GTIDs nothing tells whether they have one history`,
      { cure: `connect to the server that was captured before, or ${NEW_GENERATION}` },
    );
  }
  await awaitExecuted(session, resume.gtid_set);
  await checkPurged(session, resume);
}

/** Throws HistoryLostError unless the server executes all of `set` within moments. */
async function awaitExecuted(session: MysqlSession, set: GtidSet): Promise<void> {
  // One long question would look like a server that is gone.
  for (let asked = 0; asked < CATCH_UP_QUESTIONS; asked++) {
    const answer = await session.value("SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)", [set.toString()]);
    if (answer === "0") return;
  }
  const executed = await session.value("SELECT @@GLOBAL.gtid_executed") ?? "";
  demandExecuted(set, GtidSet.parse(executed));
}

function demandExecuted(set: GtidSet, executed: GtidSet): void {
  const unknown = set.without(executed);
  if (unknown.empty) return;
  throw new HistoryLostError(
    `The server has never executed ${unknown}, which this capture has seen: its binlog was reset, its` +
      ` data restored, or it is a replica that these never reached`,
    { cure: NEW_GENERATION },
  );
}

/**
 * Those of the transactions that are not in `captured` and so come again from this server. Throws
 * HistoryLostError for one that it does not have.
 */
export async function awaitedTransactions(
  session: MysqlSession,
  captured: GtidSet,
  transactions: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const held = new GtidSet();
  const awaited = new Set<string>();
  for (const id of transactions) {
    const at = id.lastIndexOf(":");
    const [source, number] = [id.slice(0, at), Number(id.slice(at + 1))];
    if (!GtidSet.isSource(source)) {
      throw new HistoryLostError(
        `A topic holds transaction ${id}, which has no GTID: whether this server has it cannot be told`,
        { cure: NEW_GENERATION },
      );
    }
    held.add(source, number);
    if (!captured.has(source, number)) awaited.add(id);
  }
  if (!held.empty) await awaitExecuted(session, held);
  return awaited;
}

async function checkPurged(session: MysqlSession, resume: Resume): Promise<void> {
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
