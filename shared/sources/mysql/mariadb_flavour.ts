/** MariaDB's own ways. */
import { HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import { GtidPosition } from "../../wire/mariadb_gtid.ts";
import { CONSISTENT_SNAPSHOT, type MysqlSession } from "./connection.ts";
import type { Ask, Flavour, Gtids } from "./flavour.ts";
import { FIRST_EVENT, isBefore, LAST_OFFSET } from "./history.ts";
import type { LogEnd } from "./server.ts";
import { MARIADB_SETTINGS } from "./settings.ts";

/** The server sends GTID events as they are (MARIA_SLAVE_CAPABILITY_GTID). */
const KNOWS_GTIDS = 4;

/** `file:offset`, the place in the log that the open transaction sees. */
const SNAPSHOT_PLACE = `SELECT GROUP_CONCAT(VARIABLE_VALUE ORDER BY VARIABLE_NAME SEPARATOR ':')
  FROM information_schema.SESSION_STATUS
  WHERE VARIABLE_NAME IN ('BINLOG_SNAPSHOT_FILE', 'BINLOG_SNAPSHOT_POSITION')`;
/** So many answers must agree: under four clients that ask all the time, 1 to 4 in 100 are wrong. */
const AGREEING = 5;
const SNAPSHOT_PLACES = Array<string>(AGREEING).fill(SNAPSHOT_PLACE).join(" UNION ALL ");

/**
 * The place in the log that the open transaction of a connection sees. The server keeps its answer in
 * variables of the whole server until it is sent: who asks at the same moment, be it a monitor with SHOW
 * GLOBAL STATUS, gets in between with another place (seen with 10.11).
 */
async function placeSeen(ask: Ask): Promise<string> {
  for (;;) {
    const [place, ...others] = new Set((await ask(SNAPSHOT_PLACES)).map(([cell]) => String(cell)));
    if (others.length === 0) return place!;
  }
}

/** File and offset of `file:offset`. */
function parsePlace(place: string): { file: string; offset: number } {
  const [, file = "", offset] = /^(.*):(\d+)$/.exec(place) ?? [];
  return { file, offset: Number(offset) };
}

/**
 * The last transaction of each domain before a place, as the server reads it from its own files;
 * undefined where it has no such place.
 */
async function gtidsAt(
  session: MysqlSession,
  file: string,
  offset: number,
): Promise<GtidPosition | undefined> {
  const text = await session.value("SELECT BINLOG_GTID_POS(?, ?)", [file, offset]);
  return text === null ? undefined : GtidPosition.parse(text);
}

async function endAt(session: MysqlSession, file: string, offset: number): Promise<LogEnd> {
  const gtid_executed = await gtidsAt(session, file, offset) ?? new GtidPosition();
  return { file, offset, gtid_executed };
}

function named(gtids: Gtids): string {
  return gtids.empty ? "no transaction" : gtids.toString();
}

/**
 * A server has no UUID here. Its `server_id` stands for it, and more than that: the stored place must
 * have before it, in this server's own files, just the transactions that were stored with it.
 */
export const MARIADB: Flavour = {
  connector: "mariadb",
  product: "MariaDB",
  // With full row metadata in the log.
  first_version: [10, 5],
  server_key: "server_id",
  is: (version) => /mariadb/i.test(version),
  hasGtids: () => true,
  parseGtids: (text) => GtidPosition.parse(text),
  async logEnd(session) {
    const [status] = await session.records("SHOW MASTER STATUS");
    if (status === undefined) return undefined;
    return await endAt(session, status.File ?? "", Number(status.Position));
  },
  starts_by_gtids: false,
  async checkGtids(session, end, resume) {
    const { file, offset } = resume;
    if (isBefore(end, resume)) return; // said better by its place
    const found = await gtidsAt(session, file, offset);
    if (found?.toString() === resume.gtid_set.toString()) return;
    if (found === undefined) {
      const isGone = await gtidsAt(session, file, FIRST_EVENT) === undefined;
      if (isGone || offset > LAST_OFFSET) return; // then the next file is asked
      throw new HistoryLostError(
        `No event begins at the stored position ${file}:${offset}: the binlog was reset`,
        { cure: READ_ALL_AGAIN },
      );
    }
    throw new HistoryLostError(
      `The server has ${named(found)} before ${file}:${offset}, where this capture has seen` +
        ` ${named(resume.gtid_set)}: what lies between is purged, or the binlog was reset`,
      { cure: `raise binlog_expire_logs_seconds, and ${READ_ALL_AGAIN}` },
    );
  },
  dumpSettings: (_identity, heartbeat_ns) => [
    `SET @master_binlog_checksum = 'CRC32', @mariadb_slave_capability = ${KNOWS_GTIDS}`,
    `SET @master_heartbeat_period = ${heartbeat_ns}`,
  ],
  dump_flags: 0,
  async sees(session, resume) {
    await session.query(CONSISTENT_SNAPSHOT);
    const place = parsePlace(await placeSeen((sql) => session.query(sql)));
    await session.query("COMMIT");
    return !isBefore(place, { file: String(resume["file"]), offset: Number(resume["offset"]) });
  },
  snapshot_place: {
    seen: placeSeen,
    async endAt(session, place) {
      const { file, offset } = parsePlace(place);
      return await endAt(session, file, offset);
    },
  },
  privileges: ["REPLICATION SLAVE", "BINLOG MONITOR"],
  settings: MARIADB_SETTINGS,
  logsCascades: () => false,
};
