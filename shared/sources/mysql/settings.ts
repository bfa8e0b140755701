/** What a capture wants of the servers' settings, each with a statement that mends it. */
import type { Finding } from "../source.ts";
import type { SettingCheck } from "./flavour.ts";
import { tellsJson, WHOLE_ROWS } from "./server.ts";

/** Below this a capture that stands still over a weekend has lost its place. */
const SHORT_RETENTION_S = 3 * 86_400;

/** What follows from a log that holds changed values alone. */
const PARTIAL_ROWS =
  "changes leave out columns: sinks keep what they have, a list of inserts and deletes cannot be made," +
  " and an update of a key stops the capture";

/** The mode is turned on step by step. */
export const GTIDS_ON =
  "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE;" +
  " SET PERSIST gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON;";

/** MySQL's, in the order of their weight. */
export const MYSQL_SETTINGS: Readonly<Record<string, SettingCheck>> = {
  log_bin: must(
    "log_bin",
    "ON",
    "error",
    "no binlog is written",
    "start mysqld with --log-bin=binlog",
  ),
  binlog_format: must(
    "binlog_format",
    "ROW",
    "error",
    "statements are logged instead of the rows that they change",
    "SET PERSIST binlog_format = ROW;",
  ),
  server_id: (value) =>
    Number(value) > 0
      ? ok("server_id", value)
      : bad("error", "server_id", value, "no replica can connect", "SET PERSIST server_id = 1;"),
  binlog_row_image: must(
    "binlog_row_image",
    "FULL",
    "warning",
    PARTIAL_ROWS,
    "SET PERSIST binlog_row_image = FULL;",
  ),
  binlog_row_metadata: must(
    "binlog_row_metadata",
    "FULL",
    "warning",
    "the binlog does not name columns: rows read after the table was altered stop the capture, or" +
      " get the new column names where number and types match; and in members of ENUM and SET it has" +
      " ? for characters beyond U+FFFF",
    "SET PERSIST binlog_row_metadata = FULL;",
  ),
  gtid_mode: must(
    "gtid_mode",
    "ON",
    "warning",
    "the capture goes on by file and offset, and may take a binlog that was reset for the old one",
    GTIDS_ON,
  ),
  binlog_row_value_options: (value, facts) =>
    tellsJson(facts)
      ? ok(
        "binlog_row_value_options",
        value === "" ? "empty" : `${value}: partial updates are read`,
      )
      : bad(
        "error",
        "binlog_row_value_options",
        value,
        "updates of JSON hold parts of documents, and the log leaves out the rest",
        WHOLE_ROWS,
      ),
  binlog_transaction_compression: (value) =>
    ok("binlog_transaction_compression", `${value}: compressed transactions are read`),
  binlog_expire_logs_seconds: retention(
    `SET PERSIST binlog_expire_logs_seconds = ${SHORT_RETENTION_S};`,
  ),
};

/** MariaDB's; `SET GLOBAL` lasts until the server ends, so its file is to say the same. */
export const MARIADB_SETTINGS: Readonly<Record<string, SettingCheck>> = {
  log_bin: must(
    "log_bin",
    "ON",
    "error",
    "no binlog is written",
    "start mariadbd with --log-bin=binlog",
  ),
  binlog_format: must(
    "binlog_format",
    "ROW",
    "error",
    "statements are logged instead of the rows that they change",
    inFile("binlog_format = ROW"),
  ),
  server_id: (value) =>
    Number(value) > 0
      ? ok("server_id", value)
      : bad("error", "server_id", value, "no replica can connect", inFile("server_id = 1")),
  binlog_row_image: must(
    "binlog_row_image",
    "FULL",
    "warning",
    PARTIAL_ROWS,
    inFile("binlog_row_image = FULL"),
  ),
  binlog_row_metadata: must(
    "binlog_row_metadata",
    "FULL",
    "error",
    "the binlog does not say character sets and signedness; the capture stops at the first row",
    inFile("binlog_row_metadata = FULL"),
  ),
  mysql56_temporal_format: must(
    "mysql56_temporal_format",
    "ON",
    "warning",
    "columns of times that are made so cannot be read",
    inFile("mysql56_temporal_format = ON"),
  ),
  log_bin_compress: (value) => ok("log_bin_compress", `${value}: compressed events are read`),
  binlog_expire_logs_seconds: retention(
    inFile(`binlog_expire_logs_seconds = ${SHORT_RETENTION_S}`),
  ),
};

/** The statement, and the line that keeps it. */
function inFile(setting: string): string {
  return `SET GLOBAL ${setting}; and the line \`${setting}\` under [mariadb] in the server's file`;
}

/** How long the log is kept. */
function retention(cure: string): SettingCheck {
  return (value) =>
    Number(value) === 0 || Number(value) >= SHORT_RETENTION_S
      ? ok("binlog_expire_logs_seconds", value)
      : bad(
        "warning",
        "binlog_expire_logs_seconds",
        value,
        "a capture that is down for longer loses its place",
        cure,
      );
}

function must(
  subject: string,
  wanted: string,
  level: "error" | "warning",
  consequence: string,
  cure: string,
): SettingCheck {
  return (value) =>
    value.toUpperCase() === wanted
      ? ok(subject, value === "" ? "empty" : value)
      : bad(level, subject, value, consequence, cure);
}

/** As it should be. */
export function ok(subject: string, found: string): Finding {
  return { level: "ok", subject, found };
}

function bad(
  level: "error" | "warning",
  subject: string,
  value: string,
  consequence: string,
  cure: string,
): Finding {
  return { level, subject, found: `${value}: ${consequence}`, cure };
}
