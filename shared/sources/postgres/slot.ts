/** The slot and the publication: what a capture makes on the server, finds there, and drops. */
import type pg from "pg";
import { placeOf, quoteIdentifier, quoteLiteral, quoteTable } from "../../connect/postgres.ts";
import { ConfigError, HistoryLostError, READ_ALL_AGAIN, RetryableError } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import { formatLsn, parseLsn } from "../../wire/postgres_lsn.ts";
import { type CatalogTable, describeTables, listTables, type TableName } from "./catalog.ts";
import type { ServerError, Session } from "./connection.ts";
import { identityFault } from "./identity.ts";
import { objectNames, type PostgresOptions } from "./options.ts";
import { tableMatcher } from "./tables.ts";

/** A replication slot as it stands. */
export interface Slot {
  readonly name: string;
  /** Null: a physical slot. */
  readonly plugin: string | null;
  readonly database: string | null;
  /** Process of the server that streams from it; undefined: nobody does. */
  readonly active_pid: number | undefined;
  readonly confirmed_lsn: bigint;
  /** Whether standbys may keep it, too. */
  readonly failover: boolean;
  /** Why its log is gone; undefined: it is there. */
  readonly lost: string | undefined;
}

/** The slot of this name; undefined when there is none. */
export async function findSlot(session: Session, name: string): Promise<Slot | undefined> {
  const [row] = await session.query(
    `select plugin, database, active_pid, coalesce(confirmed_flush_lsn, '0/0'),
            case when to_jsonb(s)->>'wal_status' = 'lost'
                 then coalesce(to_jsonb(s)->>'invalidation_reason', 'wal_removed') end,
            to_jsonb(s)->>'failover'
     from pg_replication_slots s where slot_name = $1`,
    [name],
  );
  if (row === undefined) return undefined;
  const [plugin, database, pid, confirmed, lost, failover] = row;
  return {
    name,
    plugin: plugin ?? null,
    database: database ?? null,
    active_pid: pid == null ? undefined : Number(pid),
    confirmed_lsn: parseLsn(confirmed!),
    failover: failover === "true",
    lost: lost ?? undefined,
  };
}

/** Lets standbys keep a slot that was made without. `client`: of the replication protocol. */
export async function allowFailover(client: pg.Client, { name }: Slot): Promise<void> {
  await client.query(`ALTER_REPLICATION_SLOT ${quoteIdentifier(name)} (FAILOVER true)`);
}

/** Who streams from a slot, as far as the server shows it. */
export interface Holder {
  readonly pid: number;
  /** For messages: pid, application and address. */
  readonly described: string;
  /** When it last reported; it reports every `status_interval_ms` while it lives. */
  readonly reported: string | null;
}

/** The process that streams from the slot; undefined: none. */
export async function findHolder(session: Session, slot: string): Promise<Holder | undefined> {
  const [row] = await session.query(
    `select s.active_pid, r.application_name, r.client_addr::text, r.backend_start::text, r.reply_time::text
     from pg_replication_slots s left join pg_stat_replication r on r.pid = s.active_pid
     where s.slot_name = $1 and s.active_pid is not null`,
    [slot],
  );
  if (row === undefined) return undefined;
  const [pid, application, address, since, reported] = row;
  const described = `process ${pid} of the server` +
    (application ? `, application ${application}` : "") +
    (address ? ` from ${address}` : "") + (since ? `, since ${since}` : "");
  return { pid: Number(pid), described, reported: reported ?? null };
}

/** How long the slot of a predecessor that has just ended may take to become free. */
const RELEASE_TIMEOUT_MS = 5_000;
const RELEASE_POLL_MS = 100;

/**
 * Waits until nobody streams from the slot. Throws ConfigError, naming the holder, when it is alive
 * (it reports meanwhile), and RetryableError when only its connection has not yet been given up.
 */
export async function awaitRelease(session: Session, slot: string): Promise<void> {
  const first = await findHolder(session, slot);
  let holder = first;
  for (let waited = 0; holder !== undefined; waited += RELEASE_POLL_MS) {
    const alive = holder.pid === first!.pid && holder.reported !== first!.reported;
    if (alive) throw alreadyCaptured(slot, holder);
    if (waited >= RELEASE_TIMEOUT_MS) {
      if (holder.reported === null) throw alreadyCaptured(slot, holder); // it is not shown to us
      throw new RetryableError(
        `Slot ${slot} is still held by ${holder.described}, which has not reported for` +
          ` ${RELEASE_TIMEOUT_MS} ms`,
        { cure: `wait for wal_sender_timeout, or select pg_terminate_backend(${holder.pid})` },
      );
    }
    await new Promise((resolve) => setTimeout(resolve, RELEASE_POLL_MS));
    holder = await findHolder(session, slot);
  }
}

function alreadyCaptured(slot: string, holder: Holder): ConfigError {
  return new ConfigError(
    `Another capture is running: slot ${slot} is in use by ${holder.described}`,
    { cure: "stop that capture, or give this job another name" },
  );
}

/** Makes the slot. Waits for the transactions that are open; answers where it begins. */
export async function createSlot(
  session: Session,
  name: string,
  { plugin, slot_failover }: Pick<PostgresOptions, "plugin" | "slot_failover">,
): Promise<bigint> {
  const more = slot_failover ? ", failover => true" : "";
  const [row] = await session.query(
    `select lsn from pg_create_logical_replication_slot($1, $2${more})`,
    [name, plugin],
  );
  return parseLsn(row![0]!);
}

/** Throws ConfigError where the server's standbys cannot get slots. */
export async function refuseWithoutFailover(
  session: Session,
  options: PostgresOptions,
): Promise<void> {
  const [row] = await session.query("select current_setting('server_version_num'), version()");
  const [number, version] = row!;
  if (Number(number) >= FAILOVER_VERSION) return;
  throw new ConfigError(
    `${placeOf(options)} is ${version!.split(" on ")[0]}, and slot_failover needs PostgreSQL 17`,
    { cure: "leave source.slot_failover out: all rows are then read again after a failover" },
  );
}

/** The first version whose slots can be kept on standbys, too. */
const FAILOVER_VERSION = 170_000;

/** Drops the slot, with the log that it keeps. */
export async function dropSlot(session: Session, name: string): Promise<void> {
  await session.query("select pg_drop_replication_slot($1)", [name]);
}

/** Throws ConfigError for a slot of another kind than the job's. */
export function refuseOtherSlot(slot: Slot, options: PostgresOptions): void {
  if (slot.plugin !== options.plugin || slot.database !== options.database) {
    const found = slot.plugin === null
      ? "is a physical slot"
      : `belongs to plugin ${slot.plugin} in database ${slot.database}`;
    throw new ConfigError(
      `Slot ${slot.name} ${found}; the job needs plugin ${options.plugin} in database ${options.database}`,
      { cure: `set source.slot to another name, or: ${dropStatement(slot)}` },
    );
  }
}

function dropStatement({ name }: Slot): string {
  return `select pg_drop_replication_slot(${quoteLiteral(name)})`;
}

/** Checks a slot that is to be streamed from: throws HistoryLostError for one without its log. */
export function checkSlot(slot: Slot, options: PostgresOptions): void {
  refuseOtherSlot(slot, options);
  if (slot.lost !== undefined) {
    throw new HistoryLostError(
      `Slot ${slot.name} has lost its log (${slot.lost}): changes since ${
        formatLsn(slot.confirmed_lsn)
      } are no longer available`,
      {
        cure: `raise max_slot_wal_keep_size, and ${READ_ALL_AGAIN}`,
      },
    );
  }
}

// Publication -------------------------------------------------------------------------------------

/** What a publication covers. */
export interface Publication {
  readonly all_tables: boolean;
  /** Names of the operations that it does not publish. */
  readonly unpublished: readonly string[];
  /** False: stored generated columns are left out (a server that can publish them, 18 and later). */
  readonly generated: boolean;
  readonly tables: readonly PublishedTable[];
}

/** A table of a publication. */
export interface PublishedTable {
  readonly schema: string;
  readonly table: string;
  /** What keeps some of its rows or columns back; undefined: all are published. */
  readonly narrowed: string | undefined;
}

/** The publication of this name; undefined when there is none. */
export async function findPublication(
  session: Session,
  name: string,
): Promise<Publication | undefined> {
  const [row] = await session.query(
    `select puballtables, pubinsert, pubupdate, pubdelete, pubtruncate, to_jsonb(p) ->> 'pubgencols'
     from pg_publication p where pubname = $1`,
    [name],
  );
  if (row === undefined) return undefined;
  const tables = await session.query(
    `select schemaname, tablename, to_jsonb(t) ->> 'rowfilter', to_jsonb(r) ->> 'prattrs'
     from pg_publication_tables t join pg_publication p on p.pubname = t.pubname
     left join (
       pg_publication_rel r join pg_class on pg_class.oid = prrelid
       join pg_namespace n on n.oid = relnamespace
     ) on prpubid = p.oid and nspname = schemaname and relname = tablename
     where t.pubname = $1`,
    [name],
  );
  return {
    all_tables: row[0] === "t",
    unpublished: ["INSERT", "UPDATE", "DELETE", "TRUNCATE"].filter((_, at) => row[at + 1] !== "t"),
    generated: row[5] !== "n",
    tables: tables.map(([schema, table, filter, columns]) => ({
      schema: schema!,
      table: table!,
      narrowed: narrowing(filter ?? null, columns ?? null),
    })),
  };
}

function narrowing(filter: string | null, columns: string | null): string | undefined {
  if (filter !== null) return `only the rows WHERE ${filter}`;
  return columns === null ? undefined : "only the columns of a list";
}

/** The tables of which the publication publishes a part: those of `tables`. */
export function narrowedTables(
  publication: Publication | undefined,
  tables: readonly { readonly schema: string; readonly table: string }[],
): PublishedTable[] {
  const wanted = new Set(tables.map(quoteTable));
  return (publication?.tables ?? []).filter((table) =>
    table.narrowed !== undefined && wanted.has(quoteTable(table))
  );
}

/** The statements after which a publication publishes all of a table. */
export function wideningStatement(name: string, table: PublishedTable): string {
  const [publication, quoted] = [quoteIdentifier(name), quoteTable(table)];
  return `BEGIN; ALTER PUBLICATION ${publication} DROP TABLE ${quoted};` +
    ` ALTER PUBLICATION ${publication} ADD TABLE ${quoted}; COMMIT`;
}

/** A snapshot would read what the stream then leaves out. */
function refuseNarrowed(
  publication: Publication | undefined,
  name: string,
  tables: readonly TableName[],
): void {
  const narrowed = narrowedTables(publication, tables);
  if (narrowed.length === 0) return;
  const told = narrowed.map((table) => `of ${quoteTable(table)} ${table.narrowed}`);
  const statements = narrowed.map((table) => wideningStatement(name, table)).join("; ");
  throw new ConfigError(`Publication ${name} publishes ${told.join(", ")}`, {
    cure: `${statements}; if the job has run with it, then ${READ_ALL_AGAIN}`,
  });
}

/**
 * The publication of a capture that goes on. Throws HistoryLostError when it is gone: PostgreSQL 18 leaves
 * out what was written without it, and says so in its own log alone. Throws ConfigError when it publishes
 * but a part of one of the `tables`.
 */
export async function requirePublication(
  session: Session,
  name: string,
  tables: readonly TableName[],
  options: PostgresOptions,
): Promise<Publication> {
  const publication = await findPublication(session, name);
  refuseNarrowed(publication, name, tables);
  if (publication !== undefined) return publication;
  throw new HistoryLostError(
    `Publication ${name} of ${
      placeOf(options)
    } is gone: changes since then are no longer available`,
    { cure: READ_ALL_AGAIN },
  );
}

/** The tables that the publication does not cover. */
export function uncovered<T extends { schema: string; table: string }>(
  publication: Publication | undefined,
  tables: readonly T[],
): T[] {
  const covered = new Set(publication?.tables.map(quoteTable));
  return tables.filter((table) => !covered.has(quoteTable(table)));
}

/** First version whose publications say whether generated columns are published. */
const PUBLISHES_GENERATED = 180_000;

/** With whole old rows, PostgreSQL 18 refuses writers of a table of which it may not publish all columns. */
const GENERATED = "publish_generated_columns = stored";

/** The statement that makes the publication, or adds to it. `missing`: at least one table. */
export async function publicationStatement(
  session: Session,
  name: string,
  exists: boolean,
  missing: readonly { schema: string; table: string }[],
): Promise<string> {
  const list = missing.map(quoteTable).join(", ");
  if (exists) return `ALTER PUBLICATION ${quoteIdentifier(name)} ADD TABLE ${list}`;
  const [[version]] = await session.query("show server_version_num") as [[string]];
  const options = Number(version) >= PUBLISHES_GENERATED ? ` WITH (${GENERATED})` : "";
  return `CREATE PUBLICATION ${quoteIdentifier(name)} FOR TABLE ${list}${options}`;
}

/** The statement without which writers of one of the tables are refused; undefined: they are not. */
export function generatedStatement(
  name: string,
  publication: Publication | undefined,
  tables: readonly CatalogTable[],
): string | undefined {
  const isWhole = tables.some(({ replica_identity, columns }) =>
    replica_identity === "f" && columns.some(({ generated, virtual }) => generated && !virtual)
  );
  return isWhole && publication?.generated === false
    ? `ALTER PUBLICATION ${quoteIdentifier(name)} SET (${GENERATED})`
    : undefined;
}

/**
 * How long a table is waited for that CREATE INDEX or VACUUM may hold for hours: the session that waits
 * also asks whether the stream lives. An autovacuum gives way after `deadlock_timeout`, a second.
 */
const LOCK_TIMEOUT_MS = 2_000;

/** lock_not_available, undefined_table, invalid_schema_name. */
const NOT_YET_CODES = ["55P03", "42P01", "3F000"];

/** A table cannot join the publication for now: it is locked, or gone since it was listed. */
export class NotYetError extends RetryableError {}

/**
 * Makes the publication or adds the tables that it lacks. Throws ConfigError when the role may not, for
 * a table that, once published, would refuse its writers' updates, and for one that is published in part;
 * NotYetError for one that is locked or gone.
 */
export async function ensurePublication(
  session: Session,
  name: string,
  tables: readonly TableName[],
  log: Log,
): Promise<void> {
  const publication = await findPublication(session, name);
  refuseNarrowed(publication, name, tables);
  const missing = uncovered(publication, tables);
  if (missing.length === 0) return;
  const described = await describeTables(session, missing.map((table) => table.oid));
  refuseFaulty(name, described);
  const widening = generatedStatement(name, publication, described);
  const statement = await publicationStatement(session, name, publication !== undefined, missing);
  const statements = [widening, statement].filter((text) => text !== undefined).join("; ");
  try {
    // What is sent as one is one transaction.
    await session.query(`set local lock_timeout = ${LOCK_TIMEOUT_MS}; ${statements}`);
  } catch (error) {
    const { code, message } = error as ServerError;
    if (code === "42710") return; // another start made it in between
    if (NOT_YET_CODES.includes(code ?? "")) {
      throw new NotYetError(
        `Publication ${name} cannot take in ${missing.map(quoteTable).join(", ")} yet: ${message}`,
        { cause: error },
      );
    }
    if (code !== "42501") throw error;
    throw new ConfigError(
      `Publication ${name} does not cover ${missing.map(quoteTable).join(", ")}, and the role may` +
        ` not change that: ${message}`,
      {
        cure: `as the tables' owner: ${statements}`,
        cause: error,
      },
    );
  }
  const event = publication === undefined ? "publication_created" : "publication_extended";
  log.info(event, { publication: name, tables: missing.map((t) => `${t.schema}.${t.table}`) });
}

function refuseFaulty(name: string, tables: readonly CatalogTable[]): void {
  const faults = tables.map((table) => ({ table, fault: identityFault(table, "pgoutput") }))
    .filter(({ fault }) => fault !== undefined);
  if (faults.length === 0) return;
  const told = faults.map(({ table, fault }) => `${quoteTable(table)}: ${fault!.found}`);
  throw new ConfigError(
    `${
      told.join(", ")
    } cannot be captured through publication ${name}: PostgreSQL would refuse every` +
      " UPDATE and DELETE, or not say which row it was",
    { cure: faults.map(({ fault }) => fault!.cure).join("; ") },
  );
}

// Removal -----------------------------------------------------------------------------------------

/** Drops the slot and the publication; a sentence for each. Throws ConfigError while the slot is in use. */
export async function removeObjects(
  session: Session,
  options: PostgresOptions,
  name: string,
): Promise<string[]> {
  const { slot, publication } = objectNames(options, name);
  const told: string[] = [];
  if (await findSlot(session, slot) !== undefined) {
    const holder = await findHolder(session, slot);
    if (holder !== undefined) {
      throw new ConfigError(`Slot ${slot} is in use by ${holder.described}`, {
        cure: `stop that capture first; if it is gone: select pg_terminate_backend(${holder.pid})`,
      });
    }
    await dropSlot(session, slot);
    told.push(
      `Dropped replication slot ${slot} of database ${options.database} with the log that it kept.`,
    );
  }
  if (await findPublication(session, publication) !== undefined) {
    const statement = `DROP PUBLICATION ${quoteIdentifier(publication)}`;
    try {
      await session.query(statement);
      told.push(`Dropped publication ${publication} of database ${options.database}.`);
    } catch (error) {
      if ((error as ServerError).code !== "42501") throw error;
      told.push(
        `Publication ${publication} belongs to another role and keeps nothing; its owner may: ${statement}.`,
      );
    }
  }
  return told;
}

/** The tables that the job wants; partitioned ones are left out, their partitions are tables themselves. */
export async function wantedTables(
  session: Session,
  options: PostgresOptions,
): Promise<TableName[]> {
  const wanted = tableMatcher(options);
  const listed = await listTables(session);
  return listed.filter((table) =>
    !table.partitioned && !table.unlogged && wanted(table.schema, table.table)
  );
}
