/** What `check` finds on a server: each finding with a statement that mends it. */
import { quoteIdentifier, quoteLiteral, quoteTable } from "../../connect/mysql.ts";
import { ConfigError } from "../../errors.ts";
import { isPattern } from "../../jobs/glob.ts";
import { nearestHint } from "../../jobs/nearest.ts";
import { splitTableName } from "../../table_name.ts";
import { addSignalColumns, createSignalTable } from "../snapshot_options.ts";
import type { TableSchema } from "../../change.ts";
import type { Finding, Judge } from "../source.ts";
import { ServerCatalog } from "./catalog.ts";
import type { MysqlSession } from "./connection.ts";
import { schemaOfCatalog } from "./definition.ts";
import type { Flavour } from "./flavour.ts";
import type { MysqlOptions } from "./options.ts";
import { accountOf, readLogEnd, readServerFacts, type ServerFacts } from "./server.ts";
import { GTIDS_ON, ok } from "./settings.ts";
import { lockGrant, TABLE_TYPES } from "./snapshot.ts";
import { TableSelection } from "./tables.ts";

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
export async function inspect(
  session: MysqlSession,
  flavour: Flavour,
  options: MysqlOptions,
  selection: TableSelection,
  judge?: Judge,
): Promise<Finding[]> {
  let facts: ServerFacts;
  try {
    facts = await readServerFacts(session, flavour);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return [{ level: "error", subject: "server", found: error.message, cure: error.cure }];
  }
  const findings: Finding[] = [
    {
      level: "ok",
      subject: "server",
      found: `${flavour.product} ${facts.version}, ${flavour.server_key} ${facts.server}`,
    },
    ...settings(facts),
    ...await privileges(session, facts),
  ];
  const visible = await visibleTables(session);
  const all = visible.filter(({ db, name }) => selection.has(db, name));
  const tables = all.filter(({ db, name }) => `${db}.${name}` !== options.signal_table);
  findings.push(...patterns(options, tables, visible), ...existingRows(tables, options));
  if (judge !== undefined) {
    findings.push(...judge(await capturedSchemas(session, tables, options)));
  }
  findings.push(...await signalTable(session, options, facts));
  if (options.snapshot !== "never") findings.push(...await snapshotLock(session, flavour));
  findings.push(...await withoutKey(session, tables), ...await cascades(session, tables, facts));
  findings.push(...await loggedAsStatements(session));
  return findings;
}

/** A variable that the server does not have is as it should be. */
function settings(facts: ServerFacts): Finding[] {
  return Object.entries(facts.flavour.settings).flatMap(([name, check]) => {
    const value = facts.variables.get(name);
    return value === undefined ? [] : [check(value, facts)];
  });
}

/** Privileges are tried where trying is harmless, and read where it is not. */
async function privileges(session: MysqlSession, facts: ServerFacts): Promise<Finding[]> {
  const { user, account } = await accountOf(session);
  const granted = (await session.query("SHOW GRANTS")).map(([grant]) => grant ?? "");
  const has = (privilege: string) =>
    granted.some((grant) => {
      const list = /^GRANT (.*) ON \*\.\* TO /s.exec(grant)?.[1]?.split(", ") ?? [];
      return list.includes(privilege) || list.includes("ALL PRIVILEGES");
    });
  const needed = facts.flavour.privileges;
  const findings = needed.map((privilege): Finding =>
    has(privilege) ? ok(`privilege ${privilege}`, `granted to ${user}`) : {
      level: "error",
      subject: `privilege ${privilege}`,
      found: `not granted to ${user}${
        granted.some((grant) => / TO /.test(grant) && !/ ON /.test(grant))
          ? " (roles are not checked)"
          : ""
      }`,
      cure: `GRANT ${privilege} ON *.* TO ${account};`,
    }
  );
  if (!needed.every(has)) return findings;
  try {
    const { file, offset } = await readLogEnd(session, facts);
    findings.push(ok("binlog", `ends at ${file}:${offset}`));
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    findings.push({ level: "error", subject: "binlog", found: error.message, cure: error.cure });
  }
  return findings;
}

async function visibleTables(session: MysqlSession): Promise<Table[]> {
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS FROM information_schema.TABLES
     WHERE TABLE_TYPE IN (${TABLE_TYPES}) ORDER BY TABLE_SCHEMA, TABLE_NAME`,
  );
  return rows
    .map(([db, name, count]) => ({ db: db ?? "", name: name ?? "", rows: Number(count ?? 0) }));
}

async function capturedSchemas(
  session: MysqlSession,
  tables: readonly Table[],
  { tinyint1_as_boolean }: MysqlOptions,
): Promise<TableSchema[]> {
  const catalog = new ServerCatalog(session);
  const schemas: TableSchema[] = [];
  for (const { db, name } of tables) {
    const table = await catalog.table(db, name);
    schemas.push(schemaOfCatalog(db, name, table, tinyint1_as_boolean));
  }
  return schemas;
}

/** A pattern without tables: missing, or not to be seen without SELECT. */
function patterns(
  options: MysqlOptions,
  tables: readonly Table[],
  visible: readonly Table[],
): Finding[] {
  return options.tables.map((pattern): Finding => {
    const only = new TableSelection([pattern], options.exclude_tables);
    const found = tables.filter(({ db, name }) => only.has(db, name));
    const subject = `tables ${pattern}`;
    if (found.length > 0) return ok(subject, `${found.length}: ${names(found)}`);
    const [db] = splitTableName(pattern);
    const scope = isPattern(db) ? "*.*" : `${quoteIdentifier(db)}.*`;
    return {
      level: isPattern(pattern) ? "warning" : "error",
      subject,
      found: "no table that this user may read" +
        nearestHint(pattern, visible.map(({ db, name }) => `${db}.${name}`)) +
        "; the names of tables made later are matched then",
      cure: `correct source.tables; or, if the table is there: GRANT SELECT ON ${scope} TO ${
        quoteLiteral(options.user)
      }@'%';`,
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

/** Whether signals can be written and read. */
async function signalTable(
  session: MysqlSession,
  options: MysqlOptions,
  { gtid }: ServerFacts,
): Promise<Finding[]> {
  const { signal_table } = options;
  if (signal_table === undefined) return [];
  const subject = `signal table ${signal_table}`;
  const [db, name] = splitTableName(signal_table);
  const table = quoteTable({ db, table: name });
  const grant = await signalGrant(session, table);
  const columns = (await session.query(
    "SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ?",
    [db, name],
  )).map(([column]) => column!);
  if (columns.length === 0) {
    const found = "is not there, or this user may not see it";
    return [{ level: "error", subject, found, cure: `${createSignalTable(table)} ${grant}` }];
  }
  const cure = addSignalColumns(table, columns);
  if (cure !== undefined) {
    const found = `has the columns ${columns.join(", ")}; it takes id, type and data`;
    return [{ level: "error", subject, found, cure }];
  }
  if (!gtid) {
    const found = "signals are refused: tables are read again by GTIDs";
    return [{ level: "warning", subject, found, cure: GTIDS_ON }];
  }
  try {
    await session.query(`EXPLAIN INSERT INTO ${table} (id, type, data) VALUES ('', '', '')`);
    return [ok(subject, "this user may write signals")];
  } catch (error) {
    if ((error as { code?: unknown }).code !== TABLE_DENIED) throw error;
    const found = "this user may not write it: `deno task snapshot` is refused";
    return [{ level: "warning", subject, found, cure: grant }];
  }
}

/** The server's name of the error for a table that the user may not use so. */
export const TABLE_DENIED = "ER_TABLEACCESS_DENIED_ERROR";

/** The statement with which this user may write signals and the capture sees them; `table`: quoted. */
export async function signalGrant(session: MysqlSession, table: string): Promise<string> {
  const { account } = await accountOf(session);
  return `GRANT SELECT, INSERT ON ${table} TO ${account};`;
}

/** Privileges with which a user may stop commits for a moment. */
const LOCKING = ["RELOAD", "FLUSH_TABLES", "ALL PRIVILEGES"];

async function snapshotLock(session: MysqlSession, flavour: Flavour): Promise<Finding[]> {
  const subject = "snapshot";
  if (flavour.snapshot_place !== undefined) return [ok(subject, "needs no lock")];
  const granted = (await session.query("SHOW GRANTS")).map(([grant]) => grant ?? "");
  const lists = granted.map((grant) => /^GRANT (.*) ON \*\.\* TO /s.exec(grant)?.[1] ?? "");
  if (lists.some((list) => list.split(/, ?/).some((name) => LOCKING.includes(name)))) {
    return [ok(subject, "may lock for the moment in which the log's position is read")];
  }
  return [{
    level: "warning",
    subject,
    found: "may not lock: rows may be newer than where the stream begins, which then repeats" +
      " changes until it has caught up; tables without a primary key are refused",
    cure: await lockGrant(session),
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
      "no primary key: the whole row is the key: identical rows share one key, and an update may move a row to another partition",
    cure: `ALTER TABLE ${
      quoteTable({ db, table: name })
    } ADD COLUMN id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY;`,
  }));
}

/** Foreign keys that are carried out below the binlog. */
async function cascades(
  session: MysqlSession,
  tables: readonly Table[],
  facts: ServerFacts,
): Promise<Finding[]> {
  const { flavour, version } = facts;
  if (flavour.logsCascades(version)) return [];
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
        ` ${parent} changes, and ${flavour.product} ${version} does not log them`,
      cure: `ALTER TABLE ${quoteTable({ db: db!, table: table! })} DROP FOREIGN KEY ${
        quoteIdentifier(name!)
      };`,
    }),
  );
}

/** MariaDB's tables with a history by transactions: captured or not, their statements stop every capture. */
async function loggedAsStatements(session: MysqlSession): Promise<Finding[]> {
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.COLUMNS
     WHERE GENERATION_EXPRESSION = 'ROW END' AND DATA_TYPE = 'bigint'`,
  );
  return rows.map(([db, table]): Finding => ({
    level: "error",
    subject: `table ${db}.${table}`,
    found:
      "its history is by transactions: whatever binlog_format is, statements are logged instead" +
      " of the rows that they change, and the capture stops at the first",
    cure: "give its columns of ROW START and ROW END the type TIMESTAMP(6)",
  }));
}

function names(tables: readonly Table[]): string {
  const shown = tables.slice(0, MOST_NAMES).map(({ db, name }) => `${db}.${name}`).join(", ");
  return tables.length > MOST_NAMES ? `${shown} ...` : shown;
}
