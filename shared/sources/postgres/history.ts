/** Which server it is, where its log ends, and whether it has the history of a stored position. */
import type pg from "pg";
import { placeOf } from "../../connect/postgres.ts";
import { HistoryLostError } from "../../errors.ts";
import { formatLsn, parseLsn } from "../../wire/postgres_lsn.ts";
import type { ResumePoint } from "../source.ts";
import type { Session, TextRow } from "./connection.ts";
import type { PostgresOptions } from "./options.ts";

/** The server as it introduces itself. */
export interface Server {
  readonly system_identifier: string;
  readonly timeline: number;
  readonly flushed_lsn: bigint;
}

/** The stored form of an LSN of the server. */
export function resumePoint(server: Server, lsn: bigint): ResumePoint {
  const { system_identifier, timeline } = server;
  return { lsn: formatLsn(lsn), system_identifier, timeline };
}

/** Asks a replication client who the server is. */
export async function identify(client: pg.Client): Promise<Server> {
  const { rows } = await client.query({ text: "IDENTIFY_SYSTEM", rowMode: "array" });
  const [system_identifier, timeline, flushed] = rows[0] as TextRow;
  return {
    system_identifier: system_identifier!,
    timeline: Number(timeline),
    flushed_lsn: parseLsn(flushed!),
  };
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
  const cure =
    "point the job at the server that it captured before, or run `deno task remove JOB` and start the job anew";
  const place = placeOf(options);
  if (resume["system_identifier"] !== server.system_identifier) {
    throw new HistoryLostError(
      `${place} is another server: system identifier ${server.system_identifier}, captured so far` +
        ` was ${resume["system_identifier"]}`,
      { cure },
    );
  }
  // A promoted standby writes other changes under the same LSNs. Whether the switch came after all
  // that was captured cannot be told from here: changes beyond `resume` may be on Kafka already.
  if (resume["timeline"] !== server.timeline) {
    throw new HistoryLostError(
      `${place} is on timeline ${server.timeline}, captured so far was timeline ` +
        `${resume["timeline"]}: a standby was promoted or a backup restored`,
      { cure },
    );
  }
  if (parseLsn(String(resume["lsn"])) > server.flushed_lsn) {
    throw new HistoryLostError(
      `The log of ${place} ends at ${formatLsn(server.flushed_lsn)}, before ${
        resume["lsn"]
      }, up to` +
        ` where it was captured: an older copy of the server was restored`,
      { cure },
    );
  }
}
