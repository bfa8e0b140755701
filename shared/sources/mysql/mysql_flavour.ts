/** MySQL's own ways. */
import { HistoryLostError, READ_ALL_AGAIN } from "../../errors.ts";
import { GtidSet } from "../../wire/gtid_set.ts";
import type { Flavour } from "./flavour.ts";
import { atLeast } from "./server.ts";
import { MYSQL_SETTINGS } from "./settings.ts";

/** From here on SHOW BINARY LOG STATUS is the name. */
const BINARY_LOG_STATUS = [8, 2] as const;
/** Servers before carry out cascades below the binlog. */
const CASCADES_LOGGED = [9, 6] as const;

/** The server may make up heartbeats with 64-bit positions (8.0.26 and later; others ignore it). */
const USE_HEARTBEAT_V2 = 2;

export const MYSQL: Flavour = {
  connector: "mysql",
  product: "MySQL",
  // With full row metadata, commit times and transaction lengths in the log.
  first_version: [8, 0],
  server_key: "server_uuid",
  is: (version) => !/mariadb/i.test(version),
  hasGtids: (variables) => variables.get("gtid_mode") === "ON",
  parseGtids: (text) => GtidSet.parse(text),
  async logEnd(session, version) {
    const [status] = await session.records(
      atLeast(version, BINARY_LOG_STATUS) ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
    );
    if (status === undefined) return undefined;
    const { File, Position, Executed_Gtid_Set } = status;
    const gtid_executed = GtidSet.parse(Executed_Gtid_Set ?? "");
    return { file: File ?? "", offset: Number(Position), gtid_executed };
  },
  starts_by_gtids: true,
  async checkGtids(session, end, resume) {
    const unknown = resume.gtid_set.without(end.gtid_executed);
    if (!unknown.empty) {
      throw new HistoryLostError(
        `The server has never executed ${unknown}, which this capture has seen: its binlog was` +
          ` reset or its data restored`,
        { cure: READ_ALL_AGAIN },
      );
    }
    const purged = GtidSet.parse(await session.value("SELECT @@GLOBAL.gtid_purged") ?? "");
    const missing = purged.without(resume.gtid_set as GtidSet);
    if (missing.empty) return;
    throw new HistoryLostError(
      `The server has purged ${missing} from its binlog, which this capture has not seen`,
      { cure: `raise binlog_expire_logs_seconds, and ${READ_ALL_AGAIN}` },
    );
  },
  // Both spellings: the server renamed them in 8.0.26 and looks at the new ones first.
  dumpSettings: ({ uuid }, heartbeat_ns) => [
    `SET @source_binlog_checksum = 'CRC32', @master_binlog_checksum = 'CRC32'`,
    `SET @source_heartbeat_period = ${heartbeat_ns}, @master_heartbeat_period = ${heartbeat_ns}`,
    `SET @replica_uuid = '${uuid}', @slave_uuid = '${uuid}'`,
  ],
  dump_flags: USE_HEARTBEAT_V2,
  // Counted once a transaction can be seen, so a transaction that begins now sees all of these.
  async sees(session, resume) {
    const executed = GtidSet.parse(await session.value("SELECT @@GLOBAL.gtid_executed") ?? "");
    return executed.contains(GtidSet.parse(String(resume["gtid_set"])));
  },
  snapshot_place: undefined,
  privileges: ["REPLICATION SLAVE", "REPLICATION CLIENT"],
  settings: MYSQL_SETTINGS,
  logsCascades: (version) => atLeast(version, CASCADES_LOGGED),
};
