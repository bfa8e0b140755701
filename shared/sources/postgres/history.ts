/** Which server it is, where its log ends, and whether it has the history of a stored position. */
import type pg from "pg";
import { placeOf } from "../../connect/postgres.ts";
import { HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import { formatLsn, parseLsn } from "../../wire/postgres_lsn.ts";
import { parsePosition } from "../../position.ts";
import type { ResumePoint } from "../source.ts";
import type { Session, TextRow } from "./connection.ts";
import type { PostgresOptions } from "./options.ts";

/** The server as it introduces itself. */
export interface Server {
  readonly system_identifier: string;
  readonly timeline: number;
  /** The timelines before it, the first one first, and where the log left each for the next. */
  readonly switches: readonly { readonly timeline: number; readonly left: bigint }[];
  readonly flushed_lsn: bigint;
}

/** The stored form of an LSN of the server. */
export function resumePoint(server: Server, lsn: bigint): ResumePoint {
  const { system_identifier, timeline } = server;
  const timeline_began = formatLsn(server.switches.at(-1)?.left ?? 0n);
  return { lsn: formatLsn(lsn), system_identifier, timeline, timeline_began };
}

/** Asks a replication client who the server is. */
export async function identify(client: pg.Client): Promise<Server> {
  const { rows } = await client.query({ text: "IDENTIFY_SYSTEM", rowMode: "array" });
  const [system_identifier, timeline, flushed] = rows[0] as TextRow;
  return {
    system_identifier: system_identifier!,
    timeline: Number(timeline),
    switches: await readSwitches(client, Number(timeline)),
    flushed_lsn: parseLsn(flushed!),
  };
}

/** Reads the history file of a timeline: lines of a timeline, the LSN at which it was left, and why. */
async function readSwitches(client: pg.Client, timeline: number): Promise<Server["switches"]> {
  if (timeline === FIRST_TIMELINE) return [];
  const question = { text: `TIMELINE_HISTORY ${timeline}`, rowMode: "array" } as const;
  const { rows } = await client.query(question);
  const [, content] = rows[0] as TextRow;
  const lines = content!.matchAll(/^\s*(\d+)\s+([0-9A-F]+\/[0-9A-F]+)/gmi);
  return [...lines].map(([, before, lsn]) => ({
    timeline: Number(before),
    left: parseLsn(lsn!),
  }));
}

/** It has no history. */
const FIRST_TIMELINE = 1;

/**
 * Where the server's history left the timeline of `resume`; undefined: it is still on it. After that
 * place the server has other changes under the same LSNs than the one before it.
 */
export function leftAt(resume: ResumePoint, server: Server): bigint | undefined {
  return server.switches.find(({ timeline }) => timeline === resume["timeline"])?.left;
}

/** Whether the timeline of `resume` is one of the server's: two standbys may give theirs one number. */
function isKnown(resume: ResumePoint, { timeline, switches }: Server): boolean {
  const timelines = [...switches.map((left) => left.timeline), timeline];
  const at = timelines.indexOf(Number(resume["timeline"]));
  const began = formatLsn(switches[at - 1]?.left ?? 0n);
  return at >= 0 && (resume["timeline_began"] ?? began) === began;
}

/** Where the server's log is to be read on: `resume`, or where it left that one's timeline before. */
export function startIn(resume: ResumePoint, server: Server): bigint {
  const lsn = parseLsn(String(resume["lsn"]));
  const left = leftAt(resume, server);
  return left !== undefined && left < lsn ? left : lsn;
}

/**
 * Throws HistoryLostError when a topic holds a change, `held` being the position of the last, that the
 * timeline of `resume` got after this server had left it. `generation`: that of `resume`.
 */
export function refuseOtherTimeline(
  held: string,
  generation: number,
  resume: ResumePoint,
  server: Server,
): void {
  const left = leftAt(resume, server);
  if (left === undefined || held === "") return;
  const last = parsePosition(held);
  if (last.generation < generation || last.major < left) return;
  throw new HistoryLostError(
    `The server left timeline ${resume["timeline"]} at ${formatLsn(left)}, and a change that was` +
      ` committed there at ${formatLsn(last.major)} is captured: the server does not have it`,
    { cure: READ_ALL_AGAIN },
  );
}

/**
 * Where the server's log ends. What is inserted but not yet flushed counts: with
 * synchronous_commit=off its transactions are visible already.
 */
export const LOG_END = `case when pg_is_in_recovery() then pg_last_wal_replay_lsn()
                             else pg_current_wal_insert_lsn() end`;

/** Asks where the log ends. */
export async function logEnd(session: Session): Promise<bigint> {
  const [row] = await session.query(`select ${LOG_END}`);
  return parseLsn(row![0]!);
}

/** Throws HistoryLostError unless the server still has the history that `resume` belongs to. */
export function checkHistory(resume: ResumePoint, server: Server, options: PostgresOptions): void {
  const cure = `point the job at the server that it captured before, or ${READ_ALL_AGAIN}`;
  const place = placeOf(options);
  if (resume["system_identifier"] !== server.system_identifier) {
    throw new HistoryLostError(
      `${place} is another server: system identifier ${server.system_identifier}, captured so far` +
        ` was ${resume["system_identifier"]}`,
      { cure },
    );
  }
  // A promoted standby may go on: whether all that was captured came before is asked of the topics.
  if (!isKnown(resume, server)) {
    throw new HistoryLostError(
      `${place} is on timeline ${server.timeline}, captured so far was a timeline ` +
        `${resume["timeline"]} that is no part of its history: another standby was promoted, or a` +
        ` backup restored`,
      { cure },
    );
  }
  if (startIn(resume, server) > server.flushed_lsn) {
    throw new HistoryLostError(
      `The log of ${place} ends at ${formatLsn(server.flushed_lsn)}, before ${
        resume["lsn"]
      }, up to` +
        ` where it was captured: an older copy of the server was restored`,
      { cure },
    );
  }
}
