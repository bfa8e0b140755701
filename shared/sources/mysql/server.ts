/** What a MySQL server says of itself. */
import { ConfigError } from "../../errors.ts";
import { GtidSet } from "../../wire/gtid_set.ts";
import type { MysqlSession } from "./connection.ts";

/** First version with full row metadata, commit times and transaction lengths in the log. */
const FIRST_VERSION = [8, 0] as const;
/** From here on SHOW BINARY LOG STATUS is the name. */
const BINARY_LOG_STATUS = [8, 2] as const;

/** A server's settings, as far as a capture cares. */
export interface ServerFacts {
  readonly version: string;
  readonly uuid: string;
  readonly gtid: boolean;
  readonly lower_case: boolean;
  /** Lower-case names of system variables and their values. */
  readonly variables: ReadonlyMap<string, string>;
}

/** Where the log ends. */
export interface LogEnd {
  readonly file: string;
  readonly offset: number;
  readonly gtid_executed: GtidSet;
}

/** A binlog file. */
export interface LogFile {
  readonly file: string;
  readonly bytes: number;
}

const VARIABLES = [
  "binlog_expire_logs_seconds",
  "binlog_format",
  "binlog_row_image",
  "binlog_row_metadata",
  "binlog_row_value_options",
  "binlog_transaction_compression",
  "gtid_mode",
  "log_bin",
  "lower_case_table_names",
  "server_id",
  "server_uuid",
  "version",
  "version_comment",
];

/** Asks the server for its settings. Throws ConfigError for servers that cannot be captured. */
export async function readServerFacts(session: MysqlSession): Promise<ServerFacts> {
  const rows = await session.query(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${VARIABLES.map(() => "?").join(", ")})`,
    VARIABLES,
  );
  const variables = new Map(rows.map(([name, value]) => [name!.toLowerCase(), value ?? ""]));
  const version = variables.get("version") ?? "";
  if (/mariadb/i.test(version + variables.get("version_comment"))) {
    throw new ConfigError(`The server is MariaDB ${version}, whose binlog has its own events`, {
      cure: "capture from MySQL 8.0 or later; MariaDB is not supported yet",
    });
  }
  if (!atLeast(version, FIRST_VERSION)) {
    throw new ConfigError(
      `The server is MySQL ${version}; its binlog tells too little of its rows`,
      {
        cure: "capture from MySQL 8.0 or later",
      },
    );
  }
  return {
    version,
    uuid: variables.get("server_uuid") ?? "",
    gtid: variables.get("gtid_mode") === "ON",
    lower_case: variables.get("lower_case_table_names") === "1",
    variables,
  };
}

/** What a server that logs JSON in parts must be told. */
export const WHOLE_ROWS = "SET PERSIST binlog_row_image = FULL;";

/** Whether the log tells of every row what JSON is in it: whole, or as changes to the one before. */
export function tellsJson({ variables }: ServerFacts): boolean {
  return (variables.get("binlog_row_value_options") ?? "") === "" ||
    variables.get("binlog_row_image") === "FULL";
}

/** Throws ConfigError where updates would hold parts of JSON documents, and the log not the rest. */
export function refusePartialRows(facts: ServerFacts): void {
  if (tellsJson(facts)) return;
  const image = facts.variables.get("binlog_row_image");
  throw new ConfigError(
    "The server logs updates of JSON in parts (binlog_row_value_options=PARTIAL_JSON) and leaves out" +
      ` the documents that they belong to (binlog_row_image=${image})`,
    { cure: WHOLE_ROWS },
  );
}

/** Where the log ends now. Throws ConfigError when the server writes none. */
export async function readLogEnd(session: MysqlSession, facts: ServerFacts): Promise<LogEnd> {
  const [status] = await session.records(
    atLeast(facts.version, BINARY_LOG_STATUS) ? "SHOW BINARY LOG STATUS" : "SHOW MASTER STATUS",
  );
  if (status === undefined) {
    throw new ConfigError("The server writes no binlog", {
      cure: "start mysqld with --log-bin=binlog --server-id=1",
    });
  }
  return {
    file: status.File ?? "",
    offset: Number(status.Position),
    gtid_executed: GtidSet.parse(status.Executed_Gtid_Set ?? ""),
  };
}

/** The files that the server still has, oldest first. */
export async function readLogFiles(session: MysqlSession): Promise<LogFile[]> {
  const rows = await session.query("SHOW BINARY LOGS");
  return rows.map(([file, bytes]) => ({ file: file ?? "", bytes: Number(bytes) }));
}

function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, a = 0, b = 0] = /^(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
