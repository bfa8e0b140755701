/** What `check` finds on a MySQL server: each finding with a statement that mends it. */
import { ConfigError } from "../../errors.ts";
import { READABLE_CHARSETS } from "../../wire/mysql_charset.ts";
import type { Finding } from "../source.ts";
import type { MysqlSession } from "./connection.ts";
import type { MysqlOptions } from "./options.ts";
import { readLogEnd, readServerFacts, type ServerFacts, tellsJson, WHOLE_ROWS } from "./server.ts";
import { grantOf } from "./snapshot.ts";
import { TableSelection } from "./tables.ts";

/** Below this a capture that stands still over a weekend has lost its place. */
const SHORT_RETENTION_S = 3 * 86_400;

/** Names in one finding. */
const MOST_NAMES = 10;

/** A table that the job captures. */
interface Table {
  readonly db: string;
  readonly name: string;
  /** InnoDB's estimate. */
  readonly rows: number;
}

/** Looks at settings, privileges and tables; changes nothing. */
export async function inspectServer(
  session: MysqlSession,
  options: MysqlOptions,
  selection: TableSelection,
): Promise<Finding[]> {
  let facts: ServerFacts;
  try {
    facts = await readServerFacts(session);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [{ level: "error", subject: "server", found: error.message, cure: error.cure }];
  }
  const findings: Finding[] = [
    { level: "ok", subject: "server", found: `MySQL ${facts.version}, ${facts.uuid}` },
    ...settings(facts),
    ...await privileges(session, options, facts),
  ];
  const tables = await capturedTables(session, selection);
  findings.push(...patterns(options, tables), ...existingRows(tables, options));
  if (options.snapshot !== "never") findings.push(...await snapshotLock(session, options));
  findings.push(...await withoutKey(session, tables), ...await cascades(session, tables, facts));
  findings.push(...await charsets(session, tables));
  return findings;
}

type Check = (value: string, facts: ServerFacts) => Finding;

/** Settings in the order of their weight. A variable that the server does not have is as it should be. */
function settings(facts: ServerFacts): Finding[] {
  return Object.entries(SETTINGS).flatMap(([name, check]) => {
    const value = facts.variables.get(name);
    return value === undefined ? [] : [check(value, facts)];
  });
}

const SETTINGS: Readonly<Record<string, Check>> = {
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
    "changes leave out columns: sinks keep what they have, a list of inserts and deletes cannot be made," +
      " and an update of a key stops the capture",
    "SET PERSIST binlog_row_image = FULL;",
  ),
  binlog_row_metadata: must(
    "binlog_row_metadata",
    "FULL",
    "warning",
    "the binlog does not name columns: an ALTER TABLE that is not captured yet stops the capture",
    "SET PERSIST binlog_row_metadata = FULL;",
  ),
  gtid_mode: must(
    "gtid_mode",
    "ON",
    "warning",
    "the capture goes on by file and offset, and a reset of the binlog may be taken for its continuation",
    "SET PERSIST enforce_gtid_consistency = ON; SET PERSIST gtid_mode = OFF_PERMISSIVE;" +
      " SET PERSIST gtid_mode = ON_PERMISSIVE; SET PERSIST gtid_mode = ON;",
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
  binlog_expire_logs_seconds: (value) =>
    Number(value) === 0 || Number(value) >= SHORT_RETENTION_S
      ? ok("binlog_expire_logs_seconds", value)
      : bad(
        "warning",
        "binlog_expire_logs_seconds",
        value,
        "a capture that stands still for longer has lost its place",
        `SET PERSIST binlog_expire_logs_seconds = ${SHORT_RETENTION_S};`,
      ),
};

function must(
  subject: string,
  wanted: string,
  level: "error" | "warning",
  consequence: string,
  cure: string,
): Check {
  return (value) =>
    value.toUpperCase() === wanted
      ? ok(subject, value === "" ? "empty" : value)
      : bad(level, subject, value, consequence, cure);
}

function ok(subject: string, found: string): Finding {
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

/** Privileges are tried where trying is harmless, and read where it is not. */
async function privileges(
  session: MysqlSession,
  options: MysqlOptions,
  facts: ServerFacts,
): Promise<Finding[]> {
  const user = await session.value("SELECT CURRENT_USER()") ?? options.user;
  const account = user.split("@").map((part) => `'${part.replaceAll("'", "''")}'`).join("@");
  const granted = (await session.query("SHOW GRANTS")).map(([grant]) => grant ?? "");
  const has = (privilege: string) =>
    granted.some((grant) => {
      const list = /^GRANT (.*) ON \*\.\* TO /s.exec(grant)?.[1]?.split(", ") ?? [];
      return list.includes(privilege) || list.includes("ALL PRIVILEGES");
    });
  const findings = ["REPLICATION SLAVE", "REPLICATION CLIENT"].map((privilege): Finding =>
    has(privilege) ? ok(`privilege ${privilege}`, `granted to ${user}`) : {
      level: "error",
      subject: `privilege ${privilege}`,
      found: `not granted to ${user}${
        granted.some((grant) => / TO /.test(grant) && !/ ON /.test(grant))
          ? " (roles are not looked into)"
          : ""
      }`,
      cure: `GRANT ${privilege} ON *.* TO ${account};`,
    }
  );
  if (!has("REPLICATION CLIENT")) return findings;
  try {
    const { file, offset } = await readLogEnd(session, facts);
    findings.push(ok("binlog", `ends at ${file}:${offset}`));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    findings.push({ level: "error", subject: "binlog", found: error.message, cure: error.cure });
  }
  return findings;
}

async function capturedTables(session: MysqlSession, selection: TableSelection): Promise<Table[]> {
  await session.query("SET SESSION information_schema_stats_expiry = 0"); // a day old by default
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES
     WHERE TABLE_TYPE = 'BASE TABLE' ORDER BY TABLE_SCHEMA, TABLE_NAME`,
  );
  return rows
    .map(([db, name, count]) => ({ db: db ?? "", name: name ?? "", rows: Number(count ?? 0) }))
    .filter(({ db, name }) => selection.has(db, name));
}

/** A pattern without tables: missing, or not to be seen without SELECT. */
function patterns(options: MysqlOptions, tables: readonly Table[]): Finding[] {
  return options.tables.map((pattern): Finding => {
    const only = new TableSelection([pattern], options.exclude_tables);
    const found = tables.filter(({ db, name }) => only.has(db, name));
    const subject = `tables ${pattern}`;
    if (found.length > 0) return ok(subject, `${found.length}: ${names(found)}`);
    const [db = ""] = pattern.split(".");
    const scope = /[*?]/.test(db) ? "*.*" : `${quoted(db)}.*`;
    return {
      level: /[*?]/.test(pattern) ? "warning" : "error",
      subject,
      found: "no table that this user may read; the names of tables made later are matched then",
      cure: `GRANT SELECT ON ${scope} TO '${options.user.replaceAll("'", "''")}'@'%';`,
    };
  });
}

function existingRows(tables: readonly Table[], { snapshot }: MysqlOptions): Finding[] {
  return tables.filter(({ rows }) => rows > 0).map((table): Finding => {
    const subject = `table ${table.db}.${table.name}`;
    const there = `about ${table.rows} rows are there already`;
    if (snapshot !== "never") {
      return ok(subject, `${there}: a first start captures them (snapshot: ${snapshot})`);
    }
    return {
      level: "warning",
      subject,
      found: `${there}, and \`snapshot: never\` does not capture them`,
      cure: "source:\n  snapshot: initial",
    };
  });
}

/** Privileges with which a user may stop commits for a moment. */
const LOCKING = ["RELOAD", "FLUSH_TABLES", "ALL PRIVILEGES"];

async function snapshotLock(session: MysqlSession, options: MysqlOptions): Promise<Finding[]> {
  const granted = (await session.query("SHOW GRANTS")).map(([grant]) => grant ?? "");
  const lists = granted.map((grant) => /^GRANT (.*) ON \*\.\* TO /s.exec(grant)?.[1] ?? "");
  const subject = "snapshot";
  if (lists.some((list) => list.split(/, ?/).some((name) => LOCKING.includes(name)))) {
    return [ok(subject, "may lock for the moment in which the log's position is read")];
  }
  return [{
    level: "warning",
    subject,
    found: "may not lock: rows may be newer than where the stream begins, which then repeats" +
      " changes until it has caught up; tables without a primary key are refused",
    cure: grantOf(options),
  }];
}

async function withoutKey(session: MysqlSession, tables: readonly Table[]): Promise<Finding[]> {
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.STATISTICS
     WHERE INDEX_NAME = 'PRIMARY' AND SEQ_IN_INDEX = 1`,
  );
  const keyed = new Set(rows.map(([db, table]) => `${db}.${table}`));
  return tables.filter(({ db, name }) => !keyed.has(`${db}.${name}`)).map((
    { db, name },
  ): Finding => ({
    level: "warning",
    subject: `table ${db}.${name}`,
    found:
      "no primary key: the whole row is the key, rows that are alike share one, and updates move them",
    cure: `ALTER TABLE ${quoted(db)}.${
      quoted(name)
    } ADD COLUMN id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY;`,
  }));
}

/** Servers before 9.6 carry out cascades below the binlog. */
async function cascades(
  session: MysqlSession,
  tables: readonly Table[],
  facts: ServerFacts,
): Promise<Finding[]> {
  const [, major = 0, minor = 0] = /^(\d+)\.(\d+)/.exec(facts.version)?.map(Number) ?? [];
  if (major > 9 || (major === 9 && minor >= 6)) return [];
  const captured = new Set(tables.map(({ db, name }) => `${db}.${name}`));
  const rows = await session.query(
    `SELECT CONSTRAINT_SCHEMA, TABLE_NAME, CONSTRAINT_NAME, DELETE_RULE, UPDATE_RULE, REFERENCED_TABLE_NAME
     FROM information_schema.REFERENTIAL_CONSTRAINTS
     WHERE DELETE_RULE IN ('CASCADE', 'SET NULL') OR UPDATE_RULE IN ('CASCADE', 'SET NULL')`,
  );
  return rows.filter(([db, table]) => captured.has(`${db}.${table}`)).map(
    ([db, table, name, on_delete, on_update, parent]): Finding => ({
      level: "warning",
      subject: `table ${db}.${table}`,
      found:
        `foreign key ${name} (ON DELETE ${on_delete}, ON UPDATE ${on_update}) changes rows when` +
        ` ${parent} changes, and MySQL ${facts.version} does not log them`,
      cure: `ALTER TABLE ${quoted(db!)}.${quoted(table!)} DROP FOREIGN KEY ${quoted(name!)};`,
    }),
  );
}

async function charsets(session: MysqlSession, tables: readonly Table[]): Promise<Finding[]> {
  const captured = new Set(tables.map(({ db, name }) => `${db}.${name}`));
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME FROM information_schema.COLUMNS
     WHERE CHARACTER_SET_NAME NOT IN (${READABLE_CHARSETS.map(() => "?").join(", ")})`,
    READABLE_CHARSETS,
  );
  return rows.filter(([db, table]) => captured.has(`${db}.${table}`)).map(
    ([db, table, column, charset]): Finding => ({
      level: "error",
      subject: `column ${db}.${table}.${column}`,
      found: `character set ${charset} cannot be decoded; the capture stops at the first row`,
      cure: `ALTER TABLE ${quoted(db!)}.${quoted(table!)} CONVERT TO CHARACTER SET utf8mb4;`,
    }),
  );
}

function names(tables: readonly Table[]): string {
  const shown = tables.slice(0, MOST_NAMES).map(({ db, name }) => `${db}.${name}`).join(", ");
  return tables.length > MOST_NAMES ? `${shown} …` : shown;
}

function quoted(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}
