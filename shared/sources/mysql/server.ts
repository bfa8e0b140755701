/** What a server says of itself. */
import { quoteLiteral } from "../../connect/mysql.ts";
import { ConfigError } from "../../errors.ts";
import type { MysqlSession } from "./connection.ts";
import type { Flavour, Gtids } from "./flavour.ts";

/** A server's settings, as far as a capture cares. */
export interface ServerFacts {
  readonly flavour: Flavour;
  readonly version: string;
  /** What its log is known by: the value of the flavour's `server_key`. */
  readonly server: string;
  /** Whether transactions have GTIDs. */
  readonly gtid: boolean;
  readonly lower_case: boolean;
  /** Lower-case names of system variables and their values. */
  readonly variables: ReadonlyMap<string, string>;
}

/** Where the log ends. */
export interface LogEnd {
  readonly file: string;
  readonly offset: number;
  readonly gtid_executed: Gtids;
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
  "log_bin_compress",
  "lower_case_table_names",
  "mysql56_temporal_format",
  "server_id",
  "server_uuid",
  "version",
  "version_comment",
];

/** Asks the server for its settings. Throws ConfigError for servers that cannot be captured so. */
export async function readServerFacts(
  session: MysqlSession,
  flavour: Flavour,
): Promise<ServerFacts> {
  const rows = await session.query(
    `SHOW GLOBAL VARIABLES WHERE Variable_name IN (${VARIABLES.map(() => "?").join(", ")})`,
    VARIABLES,
  );
  const variables = new Map(rows.map(([name, value]) => [name!.toLowerCase(), value ?? ""]));
  const version = variables.get("version") ?? "";
  checkVersion(flavour, version + (variables.get("version_comment") ?? ""));
  return {
    flavour,
    version,
    server: variables.get(flavour.server_key) ?? "",
    gtid: flavour.hasGtids(variables),
    lower_case: variables.get("lower_case_table_names") === "1",
    variables,
  };
}

/** The account that the server takes this session's user for, plain and quoted. */
export async function accountOf(
  session: MysqlSession,
): Promise<{ user: string; account: string }> {
  const user = (await session.value("SELECT CURRENT_USER()"))!;
  const account = user.split("@").map(quoteLiteral).join("@");
  return { user, account };
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

function checkVersion({ product, first_version, is }: Flavour, version: string): void {
  const first = `${product} ${first_version.join(".")} or later`;
  if (!is(version)) {
    const other = product === "MySQL" ? "MariaDB" : "MySQL";
    throw new ConfigError(`The server is ${other} (${version}), and this job is for ${first}`, {
      cure: `job: capture-${other.toLowerCase()}`,
    });
  }
  if (atLeast(version, first_version)) return;
  throw new ConfigError(
    `The server is ${product} ${version}; its binlog lacks the row metadata that a capture needs`,
    { cure: `capture from ${first}` },
  );
}

/** Where the log ends now. Throws ConfigError when the server writes none. */
export async function readLogEnd(session: MysqlSession, facts: ServerFacts): Promise<LogEnd> {
  const end = await facts.flavour.logEnd(session, facts.version);
  if (end !== undefined) return end;
  throw new ConfigError("The server writes no binlog", {
    cure: "start the server with --log-bin=binlog --server-id=1",
  });
}

/** The files that the server still has, oldest first. */
export async function readLogFiles(session: MysqlSession): Promise<LogFile[]> {
  const rows = await session.query("SHOW BINARY LOGS");
  return rows.map(([file, bytes]) => ({ file: file ?? "", bytes: Number(bytes) }));
}

/** Whether a version is that one or a later one. */
export function atLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [, a = 0, b = 0] = /^(\d+)\.(\d+)/.exec(version)?.map(Number) ?? [];
  return a > major || (a === major && b >= minor);
}
