/** Places in PostgreSQL's log, as people name them: where the log stands, and where a start can go on. */
import { quoteLiteral } from "../../connect/postgres.ts";
import { ConfigError, describe, HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import { formatLsn, parseLsn } from "../../wire/postgres_lsn.ts";
import type { LogStanding, Move, ResumePoint } from "../source.ts";
import { connect, type Session } from "./connection.ts";
import { objectNames, type PostgresOptions } from "./options.ts";
import { checkHistory, identify, logEnd, resumePoint, type Server, startIn } from "./history.ts";
import { checkSlot, findSlot, requirePublication } from "./slot.ts";

/** Where the log stands, beside `resume` where there is one, and what the slot keeps of it. `name`: the job's. */
export async function readStanding(
  session: Session,
  options: PostgresOptions,
  name: string,
  resume: ResumePoint | undefined,
): Promise<LogStanding> {
  const { slot, publication } = objectNames(options, name);
  const server = await identifyServer(options);
  const end = await logEnd(session);
  const { system_identifier, timeline } = server;
  const log = {
    system_identifier,
    timeline,
    log_end: formatLsn(end),
    slot: await describeSlot(session, slot, end),
  };
  if (resume === undefined) return { lag_bytes: undefined, lost: undefined, log };
  const lost = await lostBehind(session, options, { slot, publication }, server, resume);
  if (lost !== undefined) return { lag_bytes: undefined, lost, log };
  const behind = end - startIn(resume, server);
  return { lag_bytes: Math.max(0, Number(behind)), lost, log };
}

async function describeSlot(session: Session, name: string, end: bigint) {
  const [row] = await session.query(
    `select active, confirmed_flush_lsn, restart_lsn, wal_status
     from pg_replication_slots where slot_name = $1`,
    [name],
  );
  if (row === undefined) return null;
  const [active, confirmed_lsn, restart_lsn, wal_status] = row;
  return {
    name,
    active: active === "t",
    confirmed_lsn,
    restart_lsn,
    wal_status,
    retained_bytes: restart_lsn == null ? null : Number(end - parseLsn(restart_lsn)),
  };
}

/** Why the log cannot be read on from a stored position; undefined: it can. */
async function lostBehind(
  session: Session,
  options: PostgresOptions,
  names: ReturnType<typeof objectNames>,
  server: Server,
  resume: ResumePoint,
): Promise<string | undefined> {
  try {
    checkHistory(resume, server, options);
    const slot = await findSlot(session, names.slot);
    if (slot === undefined) return `Slot ${names.slot} is gone.`;
    checkSlot(slot, options);
    if (options.plugin === "pgoutput") {
      await requirePublication(session, names.publication, [], options);
    }
    if (slot.confirmed_lsn <= startIn(resume, server)) return undefined;
    return `Slot ${names.slot} stands at ${formatLsn(slot.confirmed_lsn)}, ahead of the position.`;
  } catch (error) {
    if (!(error instanceof HistoryLostError)) throw error;
    return describe(error);
  }
}

/**
 * The place that `to` names, an LSN: everything that commits there or later comes. Throws ConfigError
 * for one that is not in the log, or that the slot has left behind.
 */
export async function locate(
  session: Session,
  options: PostgresOptions,
  name: string,
  { to, resume }: { readonly to: string; readonly resume: ResumePoint },
): Promise<Move> {
  const server = await identifyServer(options);
  checkHistory(resume, server, options);
  const lsn = readLsn(to);
  const slot = await findSlot(session, name);
  if (slot === undefined) {
    throw new ConfigError(`Slot ${name} is gone, and with it the log that it kept`, {
      cure: READ_ALL_AGAIN,
    });
  }
  checkSlot(slot, options);
  if (lsn < slot.confirmed_lsn) throw behindSlot(name, lsn, slot.confirmed_lsn);
  const end = await logEnd(session);
  if (lsn > end) {
    throw new ConfigError(`${to} is not in the log yet: it ends at ${formatLsn(end)}`, {
      cure: `--to ${formatLsn(end)} or an earlier place`,
    });
  }
  return { resume: resumePoint(server, lsn), back: lsn < parseLsn(String(resume["lsn"])) };
}

function readLsn(text: string): bigint {
  try {
    return parseLsn(text);
  } catch (cause) {
    throw new ConfigError(`--to takes a place in PostgreSQL's log; found ${JSON.stringify(text)}`, {
      cure: "write an LSN, such as --to 0/16B3748",
      cause,
    });
  }
}

function behindSlot(name: string, lsn: bigint, confirmed: bigint): ConfigError {
  const copy = `${name}_back`.slice(-63);
  return new ConfigError(
    `Slot ${name} cannot go back to ${formatLsn(lsn)}: it stands at ${formatLsn(confirmed)}, and` +
      " PostgreSQL has forgotten what it would take to decode the log before it",
    {
      cure: `--to ${formatLsn(confirmed)} or later, or ${READ_ALL_AGAIN}.` +
        " To keep a way back for the next time, copy the slot before it" +
        ` moves on: select pg_copy_logical_replication_slot(${quoteLiteral(name)},` +
        ` ${quoteLiteral(copy)}); it keeps the log from there on, and with source.slot: ${copy}` +
        " the job can be set to it",
    },
  );
}

async function identifyServer(options: PostgresOptions): Promise<Server> {
  const client = await connect(options, { application_name: "list-sync", replication: true });
  try {
    return await identify(client);
  } finally {
    await client.end();
  }
}
