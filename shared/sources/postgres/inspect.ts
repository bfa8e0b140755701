/** What `check` looks at before a capture from PostgreSQL: each finding with a cure to paste. */
import { quoteIdentifier, quoteLiteral, quoteTable } from "../../connect/postgres.ts";
import { ConfigError, READ_ALL_AGAIN } from "../../errors.ts";
import { splitTableName } from "../../table_name.ts";
import { addSignalColumns, createSignalTable } from "../snapshot_options.ts";
import type { TableSchema } from "../../change.ts";
import type { Finding, Judge } from "../source.ts";
import {
  type CatalogTable,
  describeTables,
  type ListedTable,
  listTables,
  type TableName,
  TypeCatalog,
} from "./catalog.ts";
import type { ServerError, Session } from "./connection.ts";
import { identityFault } from "./identity.ts";
import { objectNames, type PostgresOptions } from "./options.ts";
import {
  findHolder,
  findPublication,
  findSlot,
  generatedStatement,
  narrowedTables,
  type Publication,
  publicationStatement,
  uncovered,
  wideningStatement,
} from "./slot.ts";
import { globMatcher } from "../../jobs/glob.ts";
import { nearestHint } from "../../jobs/nearest.ts";
import { capturedTable } from "./snapshot.ts";
import { TableFactory } from "./table.ts";
import { tableMatcher } from "./tables.ts";
import { OID } from "../../wire/postgres_value.ts";

/** The first major version whose catalogue has all that is asked of it here. */
const OLDEST_VERSION = 12;

/** Rows are counted up to here; above, the planner's estimate must do. */
const COUNT_LIMIT = 100_000;

/** Looks at everything that a capture needs. Changes nothing; throws only when the connection breaks. */
export async function inspect(
  session: Session,
  options: PostgresOptions,
  { name, resyncs = false }: { readonly name: string; readonly resyncs?: boolean },
  judge?: Judge,
): Promise<Finding[]> {
  const names = objectNames(options, name);
  const listed = await listTables(session);
  const wanted = tableMatcher(options);
  const tables = listed.filter((table) =>
    wanted(table.schema, table.table) && !table.partitioned && !table.unlogged
  );
  const publication = options.plugin === "pgoutput"
    ? await findPublication(session, names.publication)
    : undefined;
  const described = await describeTables(session, tables.map((table) => table.oid));
  const published = new Set(publication?.tables.map(quoteTable));
  const findings = [
    ...await inspectServer(session, options),
    ...await inspectRole(session),
    ...await inspectSlot(session, options, names.slot, resyncs),
    ...inspectPatterns(listed, options),
    ...listed.filter((table) => wanted(table.schema, table.table)).flatMap(inspectKind),
  ];
  if (options.plugin === "pgoutput") {
    const isLost = publication === undefined && await findSlot(session, names.slot) !== undefined;
    findings.push(
      ...isLost
        ? [lostPublication(names, resyncs)]
        : await inspectPublication(session, names.publication, publication, tables),
    );
    const cure = generatedStatement(names.publication, publication, described);
    if (cure !== undefined) {
      findings.push({
        level: "error",
        subject: `publication ${names.publication}`,
        found:
          "leaves out generated columns, so PostgreSQL refuses every UPDATE and DELETE of its" +
          " tables that have such and REPLICA IDENTITY FULL",
        cure,
      });
    }
  }
  findings.push(...await inspectSignalTable(session, options, described));
  const captured = described.filter((table) => nameOf(table) !== options.signal_table);
  if (judge !== undefined) {
    findings.push(...judge(await capturedSchemas(session, options, captured)));
  }
  for (const table of captured) {
    findings.push(inspectIdentity(table, options.plugin, published.has(quoteTable(table))));
    if (options.plugin === "wal2json") findings.push(...unfaithful(table));
    findings.push(await inspectRows(session, table, options));
  }
  return findings;
}

// Server ------------------------------------------------------------------------------------------

async function inspectServer(session: Session, options: PostgresOptions): Promise<Finding[]> {
  const [row] = await session.query(
    `select current_setting('server_version_num'), current_setting('server_version'),
            current_setting('wal_level'), current_setting('server_encoding'),
            current_setting('max_wal_senders'),
            (select count(*) from pg_stat_replication)`,
  );
  const [number, version, wal_level, encoding, senders, sending] = row!;
  const findings: Finding[] = [];
  const major = Math.floor(Number(number) / 10_000);
  findings.push(
    major >= OLDEST_VERSION ? ok("version", `PostgreSQL ${version}`) : {
      level: "error",
      subject: "version",
      found: `PostgreSQL ${version}, older than ${OLDEST_VERSION}`,
      cure: `upgrade the server to PostgreSQL ${OLDEST_VERSION} or later`,
    },
  );
  findings.push(
    wal_level === "logical" ? ok("wal_level", "logical") : {
      level: "error",
      subject: "wal_level",
      found: `${wal_level}: the log does not hold what logical replication needs`,
      cure: "ALTER SYSTEM SET wal_level = 'logical'; then restart the server",
    },
  );
  findings.push(
    readableEncoding(encoding!, options) ? ok("encoding", encoding!) : {
      level: "error",
      subject: "encoding",
      found: `${encoding}: text cannot be told from bytes${
        encoding === "SQL_ASCII" ? "" : ", for wal2json does not convert it"
      }`,
      cure: encoding === "SQL_ASCII"
        ? "move the database into one with ENCODING 'UTF8'"
        : "use plugin: pgoutput, which has the server convert it",
    },
  );
  findings.push(
    Number(senders) > Number(sending)
      ? ok("max_wal_senders", `${Number(senders) - Number(sending)} of ${senders} free`)
      : {
        level: "error",
        subject: "max_wal_senders",
        found: `all ${senders} in use`,
        cure: `ALTER SYSTEM SET max_wal_senders = ${Number(senders) + 10}; then restart the server`,
      },
  );
  const plugins = await pluginList(session);
  if (plugins !== undefined) findings.push(inspectPluginList(plugins, options.plugin));
  return findings;
}

/** The output plugins that the server allows; undefined: it has no such list, or does not show it. */
async function pluginList(session: Session): Promise<string | undefined> {
  try {
    const [row] = await session.query("select current_setting('output_plugin_libraries', true)");
    return row![0] ?? undefined;
  } catch (error) {
    if ((error as ServerError).code !== "42501") throw error; // it takes pg_read_all_settings
    return undefined;
  }
}

function readableEncoding(encoding: string, { plugin }: PostgresOptions): boolean {
  return encoding === "UTF8" || encoding !== "SQL_ASCII" && plugin === "pgoutput";
}

/** Servers since 2026 start only the output plugins of a list. */
function inspectPluginList(list: string, plugin: string): Finding {
  const subject = "output_plugin_libraries";
  const allowed = list.split(",").map((name) => name.trim().replaceAll('"', ""));
  // pgoutput belongs to the server; a list that leaves it out refuses it all the same.
  if (allowed.includes(plugin) || allowed.includes("*")) return ok(subject, list);
  const wanted = [...allowed.filter((name) => name !== ""), plugin].join(",");
  return {
    level: "error",
    subject,
    found: `${JSON.stringify(list)} does not allow ${plugin}`,
    cure: `ALTER SYSTEM SET output_plugin_libraries = ${
      quoteLiteral(wanted)
    }; SELECT pg_reload_conf()`,
  };
}

async function inspectRole(session: Session): Promise<Finding[]> {
  const [row] = await session.query(
    "select rolname, rolreplication or rolsuper from pg_roles where rolname = current_user",
  );
  const [role, allowed] = row!;
  if (allowed === "t") return [ok("role", `${role} may replicate`)];
  return [{
    level: "error",
    subject: "role",
    found: `${role} lacks the attribute REPLICATION`,
    cure: `ALTER ROLE ${quoteIdentifier(role!)} REPLICATION`,
  }];
}

// Slot --------------------------------------------------------------------------------------------

async function inspectSlot(
  session: Session,
  options: PostgresOptions,
  name: string,
  resyncs: boolean,
): Promise<Finding[]> {
  const subject = `slot ${name}`;
  const slot = await findSlot(session, name);
  if (slot === undefined) {
    return [await inspectFreeSlots(session), ...await inspectPlugin(session, options.plugin)];
  }
  const drop = `SELECT pg_drop_replication_slot(${quoteLiteral(name)})`;
  if (slot.plugin !== options.plugin || slot.database !== options.database) {
    return [{
      level: "error",
      subject,
      found: `belongs to plugin ${slot.plugin} in database ${slot.database}`,
      cure: `set source.slot to another name, or: ${drop}`,
    }];
  }
  if (slot.lost !== undefined && resyncs) {
    const found = `has lost its log (${slot.lost}): the capture starts over with a snapshot`;
    return [{ level: "warning", subject, found, cure: "raise max_slot_wal_keep_size" }];
  }
  if (slot.lost !== undefined) {
    // No error: only the start knows whether the position was reset, and then it is none.
    return [{
      level: "warning",
      subject,
      found: `has lost its log (${slot.lost})`,
      cure: `on_history_lost: resync; or ${READ_ALL_AGAIN}`,
    }];
  }
  const holder = await findHolder(session, name);
  if (holder === undefined) return [ok(subject, `exists, plugin ${slot.plugin}, free`)];
  return [{
    level: "warning",
    subject,
    found: `is in use by ${holder.described}; a second capture would be refused`,
    cure: `stop that capture, or if it is gone: SELECT pg_terminate_backend(${holder.pid})`,
  }];
}

async function inspectFreeSlots(session: Session): Promise<Finding> {
  const [row] = await session.query(
    "select current_setting('max_replication_slots'), (select count(*) from pg_replication_slots)",
  );
  const [most, used] = row!.map(Number) as [number, number];
  const subject = "max_replication_slots";
  if (used < most) return ok(subject, `${most - used} of ${most} free`);
  return {
    level: "error",
    subject,
    found: `all ${most} in use`,
    cure: `drop a slot that nobody needs (SELECT slot_name, active FROM pg_replication_slots), or` +
      ` ALTER SYSTEM SET max_replication_slots = ${most + 10}; then restart the server`,
  };
}

/** Longest wait for a trial slot: a server with long transactions takes longer, and has the plugin. */
const TRIAL_TIMEOUT_MS = 2_000;

/** Whether the plugin can be started: only a slot tells, so a temporary one is tried. */
async function inspectPlugin(session: Session, plugin: string): Promise<Finding[]> {
  const subject = `plugin ${plugin}`;
  try {
    await session.query(`set statement_timeout = ${TRIAL_TIMEOUT_MS}`);
    await session.query(
      `select pg_create_logical_replication_slot('list_sync_trial_' || pg_backend_pid(), $1, true)`,
      [plugin],
    );
    await session.query(
      `select pg_drop_replication_slot('list_sync_trial_' || pg_backend_pid())`,
    );
    return [ok(subject, "can be started")];
  } catch (error) {
    const { code, message } = error as ServerError;
    if (code === undefined) throw error; // the connection
    if (code === "57014") return [ok(subject, "is there")]; // it was waiting for open transactions
    if (code !== "58P01" && code !== "22023" && !message.includes(plugin)) return [];
    return [{
      level: "error",
      subject,
      found: `cannot be started: ${message}`,
      cure: plugin === "wal2json"
        ? "install it on the server (Debian: apt-get install postgresql-VERSION-wal2json), or use plugin: pgoutput"
        : "allow it in output_plugin_libraries",
    }];
  } finally {
    await session.query("set statement_timeout = 0");
  }
}

// Tables ------------------------------------------------------------------------------------------

function inspectPatterns(listed: readonly ListedTable[], options: PostgresOptions): Finding[] {
  const wanted = tableMatcher(options);
  return options.tables.map((pattern) => {
    const matches = globMatcher(pattern);
    const found = listed.filter((table) =>
      matches(`${table.schema}.${table.table}`) && wanted(table.schema, table.table)
    );
    const subject = `tables ${pattern}`;
    if (found.length > 0) return ok(subject, `${found.length} matched`);
    return {
      level: "error",
      subject,
      found: "no table of this name is there, or all are excluded" +
        nearestHint(pattern, listed.map(nameOf)),
      cure:
        "correct source.tables; to see what there is: SELECT schemaname, tablename FROM pg_tables",
    };
  });
}

function inspectKind(table: ListedTable): Finding[] {
  const subject = `table ${table.schema}.${table.table}`;
  if (table.partitioned) {
    return [{
      level: "warning",
      subject,
      found: "is partitioned: its changes come under the names of its partitions",
      cure:
        `add a pattern for its partitions to source.tables, such as ${table.schema}.${table.table}_*`,
    }];
  }
  if (!table.unlogged) return [];
  return [{
    level: "error",
    subject,
    found: "is unlogged: its changes are not in the log",
    cure: `ALTER TABLE ${quoteTable(table)} SET LOGGED, or add it to source.exclude_tables`,
  }];
}

function inspectIdentity(
  table: CatalogTable,
  plugin: PostgresOptions["plugin"],
  published: boolean,
): Finding {
  const subject = `replica identity of ${table.schema}.${table.table}`;
  const fault = identityFault(table, plugin);
  if (fault !== undefined) {
    const level = published && plugin === "pgoutput" ? "warning" : "error";
    return { level, subject, ...fault };
  }
  const cure = `ALTER TABLE ${quoteTable(table)} REPLICA IDENTITY FULL`;
  const columns = (numbers: readonly number[]) =>
    numbers.map((number) => table.columns.find((column) => column.number === number)?.name)
      .join(", ");
  switch (table.replica_identity) {
    case "f":
      return table.primary_key.length > 0
        ? ok(subject, "full: old rows are whole")
        : ok(subject, "full, and no primary key: the whole row is the key");
    case "i":
      return {
        level: "warning",
        subject,
        found: `index: a delete carries only ${columns(table.identity_index)}`,
        cure,
      };
    default:
      return {
        level: "warning",
        subject,
        found:
          `default: a delete carries only the key (${columns(table.primary_key)}), an update no` +
          ` old row`,
        cure,
      };
  }
}

async function inspectRows(
  session: Session,
  table: CatalogTable,
  { snapshot }: PostgresOptions,
): Promise<Finding> {
  const subject = `rows of ${table.schema}.${table.table}`;
  if (snapshot !== "never") {
    const unreadable = await inspectReading(session, table, subject);
    if (unreadable !== undefined) return unreadable;
  }
  const rows = await countRows(session, table);
  if (rows === "none") return ok(subject, "none yet");
  const taken = snapshot === "never" ? "they are not captured" : "a first start captures them";
  return ok(subject, `${rows} there already: with snapshot: ${snapshot} ${taken}`);
}

/** Why a snapshot cannot read the table; undefined: it can. */
async function inspectReading(
  session: Session,
  table: CatalogTable,
  subject: string,
): Promise<Finding | undefined> {
  const [row] = await session.query(
    `select current_user, has_schema_privilege($2, 'usage') and has_table_privilege($1::oid, 'select'),
            row_security_active($1::oid)`,
    [String(table.oid), table.schema],
  );
  const [role, readable, filtered] = row!;
  const grantee = quoteIdentifier(role!);
  if (readable !== "t") {
    return {
      level: "error",
      subject,
      found: `role ${role} may not read them, which a snapshot needs`,
      cure: `GRANT USAGE ON SCHEMA ${quoteIdentifier(table.schema)} TO ${grantee};` +
        ` GRANT SELECT ON ${quoteTable(table)} TO ${grantee}; or set snapshot: never`,
    };
  }
  if (filtered !== "t") return undefined;
  return {
    level: "error",
    subject,
    found: `row security shows role ${role} some of them only, and a snapshot needs all`,
    cure: `ALTER ROLE ${grantee} BYPASSRLS; or set snapshot: never`,
  };
}

/** The number of rows as text: exact up to a limit, else the planner's estimate. */
async function countRows(session: Session, table: TableName): Promise<string> {
  try {
    const [row] = await session.query(
      `select count(*) from (select from ${quoteTable(table)} limit ${COUNT_LIMIT + 1}) as rows`,
    );
    const count = Number(row![0]);
    if (count === 0) return "none";
    if (count <= COUNT_LIMIT) return String(count);
  } catch (error) {
    if ((error as ServerError).code === undefined) throw error; // the connection, not a privilege
  }
  const [row] = await session.query("select reltuples::bigint from pg_class where oid = $1", [
    String(table.oid),
  ]);
  const estimate = Number(row?.[0] ?? -1);
  if (estimate > COUNT_LIMIT) return `about ${estimate}`;
  return estimate >= 0
    ? `more than ${COUNT_LIMIT} or not readable, estimated ${estimate}`
    : "unknown";
}

// Publication -------------------------------------------------------------------------------------

/** The publication was dropped, and the slot is there that it was made with. */
function lostPublication(
  { slot, publication }: ReturnType<typeof objectNames>,
  resyncs: boolean,
): Finding {
  const found = `is gone, and what slot ${slot} kept cannot be read without it`;
  return {
    level: "warning", // as of a slot that has lost its log
    subject: `publication ${publication}`,
    found: resyncs ? `${found}: the capture starts over with a snapshot` : found,
    cure: resyncs
      ? "drop it only with `deno task remove JOB`"
      : `on_history_lost: resync; or ${READ_ALL_AGAIN}`,
  };
}

async function inspectPublication(
  session: Session,
  name: string,
  publication: Publication | undefined,
  tables: readonly TableName[],
): Promise<Finding[]> {
  const subject = `publication ${name}`;
  const missing = uncovered(publication, tables);
  const findings: Finding[] = [];
  if (publication !== undefined && publication.unpublished.length > 0) {
    findings.push({
      level: "error",
      subject,
      found: `does not publish ${publication.unpublished.join(", ")}`,
      cure: `ALTER PUBLICATION ${
        quoteIdentifier(name)
      } SET (publish = 'insert, update, delete, truncate')`,
    });
  }
  for (const table of narrowedTables(publication, tables)) {
    findings.push({
      level: "error",
      subject: `${subject} for ${nameOf(table)}`,
      found: `publishes ${table.narrowed}, and a snapshot reads all`,
      cure: wideningStatement(name, table),
    });
  }
  if (missing.length === 0) {
    if (publication === undefined) return findings; // no table matches; that is told elsewhere
    return [...findings, ok(subject, `covers ${tables.length} of ${tables.length} tables`)];
  }
  const state = publication === undefined ? "is not there" : `lacks ${missing.length} tables`;
  const lack = await lackToPublish(session, name, publication !== undefined, missing);
  if (lack === undefined) {
    return [...findings, ok(subject, `${state}; the capture adds what is missing`)];
  }
  return [...findings, {
    level: "error",
    subject,
    found: `${state}, and the role may not change that: it ${lack}`,
    cure: await publicationStatement(session, name, publication !== undefined, missing),
  }];
}

/**
 * What the role lacks to make or extend the publication: that takes its owner, or who may create in the
 * database, and who owns the tables. Undefined: nothing.
 */
async function lackToPublish(
  session: Session,
  name: string,
  exists: boolean,
  tables: readonly TableName[],
): Promise<string | undefined> {
  const [row] = await session.query(
    `select case when $3::bool
              then (select pg_has_role(pubowner, 'usage') from pg_publication where pubname = $1)
              else has_database_privilege(current_database(), 'create') end,
            (select bool_and(pg_has_role(relowner, 'usage')) from pg_class where oid = any($2::oid[])),
            current_database()`,
    [name, `{${tables.map((table) => table.oid).join(",")}}`, String(exists)],
  );
  const [may_change, owns_tables, database] = row!;
  if (owns_tables !== "t") return "does not own the tables";
  if (may_change === "t") return undefined;
  return exists ? "does not own the publication" : `lacks CREATE on database ${database}`;
}

// Definitions -------------------------------------------------------------------------------------

async function capturedSchemas(
  session: Session,
  { database }: PostgresOptions,
  tables: readonly CatalogTable[],
): Promise<TableSchema[]> {
  const parts = { types: new TypeCatalog(session), tables: new TableFactory(database) };
  const schemas: TableSchema[] = [];
  for (const table of tables) schemas.push((await capturedTable(table, parts)).schema);
  return schemas;
}

// Signal table ------------------------------------------------------------------------------------

/** Whether signals can be written and are captured; the publication is looked at with all tables. */
async function inspectSignalTable(
  session: Session,
  { signal_table }: PostgresOptions,
  described: readonly CatalogTable[],
): Promise<Finding[]> {
  if (signal_table === undefined) return [];
  const subject = `signal table ${signal_table}`;
  const [schema, name] = splitTableName(signal_table);
  const quoted = quoteTable({ schema, table: name });
  const table = described.find((table) => nameOf(table) === signal_table);
  if (table === undefined) {
    const found = "is not there, or is not an ordinary logged table";
    return [{ level: "error", subject, found, cure: createSignalTable(quoted) }];
  }
  const names = table.columns.map(({ name }) => name);
  const cure = addSignalColumns(quoted, names);
  if (cure !== undefined) {
    const found = `has the columns ${names.join(", ")}; it takes id, type and data`;
    return [{ level: "error", subject, found, cure }];
  }
  const [row] = await session.query(
    `select current_user, has_schema_privilege($2, 'usage') and has_table_privilege($1::oid, 'insert')`,
    [String(table.oid), table.schema],
  );
  const [role, writable] = row!;
  if (writable === "t") return [ok(subject, `role ${role} may write signals`)];
  return [{
    level: "warning",
    subject,
    found: `role ${role} may not write it: \`deno task snapshot\` is refused`,
    cure: `GRANT INSERT ON ${quoted} TO ${quoteIdentifier(role!)}`,
  }];
}

function nameOf({ schema, table }: Pick<TableName, "schema" | "table">): string {
  return `${schema}.${table}`;
}

// wal2json ----------------------------------------------------------------------------------------

/** Types whose NaN and Infinity wal2json writes as null. */
const SPECIAL_VALUES: readonly number[] = [OID.float4, OID.float8, OID.numeric];

/** What wal2json cannot carry truthfully of a table. */
function unfaithful(table: CatalogTable): Finding[] {
  const doubtful = table.columns.filter((column) =>
    !column.not_null && !column.generated && SPECIAL_VALUES.includes(column.type_oid)
  );
  if (doubtful.length === 0) return [];
  const names = doubtful.map((column) => `${column.name} (${column.type})`).join(", ");
  const not_null = doubtful.map((column) => `ALTER ${quoteIdentifier(column.name)} SET NOT NULL`);
  return [{
    level: "error",
    subject: `wal2json and ${table.schema}.${table.table}`,
    found: `${names} may be null, and wal2json writes null for NaN and Infinity too`,
    cure: `use plugin: pgoutput, or ALTER TABLE ${quoteTable(table)} ${not_null.join(", ")}`,
  }];
}

/** Throws ConfigError for tables that wal2json cannot carry truthfully. */
export async function refuseUnfaithful(
  session: Session,
  tables: readonly TableName[],
): Promise<void> {
  const described = await describeTables(session, tables.map((table) => table.oid));
  for (const table of described) {
    const identity = inspectIdentity(table, "wal2json", false);
    const [finding] = [...unfaithful(table), ...identity.level === "error" ? [identity] : []];
    if (finding === undefined) continue;
    throw new ConfigError(`Cannot capture with wal2json: ${finding.subject}: ${finding.found}`, {
      cure: finding.cure!,
    });
  }
}

function ok(subject: string, found: string): Finding {
  return { level: "ok", subject, found };
}
