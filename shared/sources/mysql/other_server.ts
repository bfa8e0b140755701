/** Another MySQL server that goes on with the history of the one that was captured: told by GTIDs. */
import { HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import { GtidSet } from "../../wire/gtid_set.ts";
import type { MysqlSession } from "./connection.ts";
import type { Gtids } from "./flavour.ts";
import type { Resume } from "./history.ts";
import type { LogEnd, ServerFacts } from "./server.ts";

/** A replica that was just promoted may still be applying what it has received: asked a second each. */
const CATCH_UP_QUESTIONS = 3;

/** Throws HistoryLostError unless the server has all that the stored position has seen, and what comes then. */
export async function checkOtherServer(
  session: MysqlSession,
  { flavour, server, gtid }: ServerFacts,
  end: LogEnd,
  resume: Resume,
): Promise<void> {
  const byId = flavour.server_key === "server_id";
  if (byId || !gtid || resume.gtid_set.empty) {
    throw new HistoryLostError(
      `The server is ${
        byId ? `that of server_id ${server}` : server
      }, and the stored position is of` +
        ` server ${resume.server}: positions count the binlog files of one server`,
      { cure: `connect to the server that was captured before, or ${READ_ALL_AGAIN}` },
    );
  }
  const gtid_executed = await executedSoon(session, resume.gtid_set);
  await flavour.checkGtids(session, { ...end, gtid_executed }, resume);
}

/** What the server has executed, once that is all of `set` or some seconds have passed. */
async function executedSoon(session: MysqlSession, set: Gtids): Promise<GtidSet> {
  // One long question would look like a server that is gone.
  for (let asked = 0; asked < CATCH_UP_QUESTIONS; asked++) {
    const question = "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 1)";
    if (await session.value(question, [set.toString()]) === "0") break;
  }
  return GtidSet.parse(await session.value("SELECT @@GLOBAL.gtid_executed") ?? "");
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
        `A topic holds transaction ${id}, which has no GTID: so whether this server has it is unknown`,
        { cure: READ_ALL_AGAIN },
      );
    }
    held.add(source, number);
    if (!captured.has(source, number)) awaited.add(id);
  }
  const missing = held.empty ? held : held.without(await executedSoon(session, held));
  if (missing.empty) return awaited;
  throw new HistoryLostError(
    `The server has never executed ${missing}, of which a topic holds changes: it is a replica that` +
      " these never reached",
    { cure: READ_ALL_AGAIN },
  );
}
