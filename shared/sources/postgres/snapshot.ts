/** The PostgreSQL side of a snapshot: one exported snapshot that all connections read. */
import { Buffer } from "node:buffer";
import type pg from "pg";
import type { Column, Coordinates } from "../../change.ts";
import { quoteIdentifier, quoteLiteral, quoteTable } from "../../connect/postgres.ts";
import { ConfigError, RetryableError } from "../../errors.ts";
import { hex16, hex8, parsePosition } from "../../position.ts";
import { parseLsn } from "../../wire/postgres_lsn.ts";
import { firstBehind } from "../incremental.ts";
import { type ListedTable, type Range, refuseUncut, type SnapshotDatabase } from "../snapshot.ts";
import { queueShare } from "../snapshot_options.ts";
import type { Key } from "../snapshot_progress.ts";
import {
  type CatalogTable,
  describeTable,
  describeTables,
  type TableName,
  type TypeCatalog,
} from "./catalog.ts";
import {
  connect,
  explain,
  explainRefused,
  type ServerError,
  Session,
  type TextRow,
} from "./connection.ts";
import type { PostgresOptions } from "./options.ts";
import { condition, PostgresRangeReader, type PostgresTable } from "./range_reader.ts";
import type { CapturedTable, TableFactory } from "./table.ts";
import { wantedTables } from "./slot.ts";
import {
  currentSnapshot,
  type StreamedTransactions,
  type TransactionSnapshot,
} from "./visibility.ts";

/** A table as it was before the snapshot's moment. */
export interface PostgresListed extends ListedTable, TableName {
  /** Where its rows are stored: another place means that they were written anew, and an older snapshot sees none. */
  readonly filenode: string;
}

/** Lists the tables of a snapshot: to be asked before the moment of the snapshot is fixed. */
export async function listForSnapshot(
  session: Session,
  tables: readonly TableName[],
): Promise<PostgresListed[]> {
  const oids = tables.map(({ oid }) => oid);
  const described = new Map(
    (await describeTables(session, oids)).map((table) => [table.oid, table]),
  );
  // Without statistics there is still the size: as many rows as 100 bytes each would make.
  const stored = await session.query(
    `select oid, pg_relation_filenode(oid),
            case when reltuples < 0 then pg_relation_size(oid) / 100 else reltuples end::bigint
     from pg_class where oid = any($1::oid[])`,
    [`{${oids.join(",")}}`],
  );
  return stored.flatMap(([oid, filenode, rows]) => {
    const table = described.get(Number(oid));
    if (table === undefined || filenode == null) return []; // dropped in between
    const name = `${table.schema}.${table.table}`;
    return [{
      oid: table.oid,
      schema: table.schema,
      table: table.table,
      name,
      filenode,
      rows: Number(rows),
      keyless: capturedKey(table).length === 0,
    }];
  });
}

/** A table as a snapshot captures it, by what the catalogue says now. */
export async function capturedTable(
  now: CatalogTable,
  { types, tables }: { readonly types: TypeCatalog; readonly tables: TableFactory },
): Promise<CapturedTable> {
  const columns = now.columns.filter(({ generated }) => !generated);
  await types.load(columns.map(({ type_oid }) => type_oid));
  const indexOf = (number: number) => columns.findIndex((column) => column.number === number);
  return tables.make({
    schema: now.schema,
    table: now.table,
    columns: columns.map(({ name, type, type_oid }) => ({
      name,
      type,
      conversion: types.get(type_oid),
    })),
    key: capturedKey(now).map(indexOf),
    identity: [],
    full: false,
  });
}

/** Numbers of the columns that are the key of the table's changes in the log. */
function capturedKey(table: CatalogTable): readonly number[] {
  if (table.replica_identity === "n") return [];
  return table.replica_identity === "i" ? table.identity_index : table.primary_key;
}

/**
 * Makes a slot and exports its snapshot: what that shows and what the slot streams meet without a gap.
 * The snapshot is there until the client's next command.
 */
export async function createExportingSlot(
  client: pg.Client,
  name: string,
  { plugin, slot_failover }: Pick<PostgresOptions, "plugin" | "slot_failover">,
): Promise<Moment> {
  const slot = `CREATE_REPLICATION_SLOT ${quoteIdentifier(name)} LOGICAL ${plugin}`;
  const how = slot_failover ? "(SNAPSHOT 'export', FAILOVER true)" : "EXPORT_SNAPSHOT";
  const { rows } = await client.query({ text: `${slot} ${how}`, rowMode: "array" })
    .catch((error: unknown) => {
      if ((error as ServerError).code !== "42710") throw error;
      const message = `Another capture has just made slot ${name}`;
      throw new RetryableError(message, { cause: error });
    });
  const [, start, exported] = rows[0] as TextRow;
  return { start: parseLsn(start!), exported: exported! };
}

/** What the snapshot shares with the stream. */
export interface Shared {
  /** Asks the catalogue as it is now: the snapshot's own transactions see it as it was. */
  readonly session: Session;
  readonly types: TypeCatalog;
  readonly tables: TableFactory;
}

/** Where the stream begins, and the name of the snapshot there; undefined: a slot exports it only once. */
export interface Moment {
  readonly start: bigint;
  readonly exported?: string | undefined;
}

/** Timeouts that a database or role may have set, and that would end a long transaction. */
const TIMEOUTS = `select set_config(name, '0', false) from pg_settings where name in
  ('idle_in_transaction_session_timeout', 'idle_session_timeout', 'transaction_timeout', 'lock_timeout')`;

/** Reads as policies let it see would be some rows of a table; with this the server refuses instead. */
const ALL_ROWS = "set row_security = off";

const BEGIN = "begin isolation level repeatable read read only";

export class PostgresSnapshot implements SnapshotDatabase<PostgresListed, PostgresTable> {
  readonly tables: readonly PostgresListed[];
  readonly readers: readonly PostgresRangeReader[];
  readonly #options: PostgresOptions;
  readonly #shared: Shared;
  /** Plans the chunks and holds the locks. */
  readonly #planner: Session;
  readonly #lsn: number | bigint;

  private constructor(
    options: PostgresOptions,
    shared: Shared,
    tables: readonly PostgresListed[],
    start: bigint,
    planner: Session,
    readers: readonly PostgresRangeReader[],
  ) {
    this.#options = options;
    this.#shared = shared;
    this.tables = tables;
    this.#lsn = start <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(start) : start;
    this.#planner = planner;
    this.readers = readers;
  }

  /** Connects, all connections in the snapshot of `moment`, or in one of now. `name`: the job's. */
  static async open(
    options: PostgresOptions,
    name: string,
    shared: Shared,
    tables: readonly PostgresListed[],
    { start, exported }: Moment,
  ): Promise<PostgresSnapshot> {
    const application_name = `list-sync ${name} snapshot`;
    const planner = await Session.open(options, application_name);
    const readers: PostgresRangeReader[] = [];
    try {
      await planner.query(TIMEOUTS);
      await planner.query(ALL_ROWS);
      await planner.query(BEGIN);
      if (exported !== undefined) await planner.query(importing(exported));
      const [row] = await planner.query("select pg_export_snapshot()");
      const setup = [TIMEOUTS, ALL_ROWS, BEGIN, importing(row![0]!)];
      for (let worker = 0; worker < options.snapshot_workers; worker++) {
        const client = await connect(options, { application_name });
        for (const sql of setup) await client.query(sql);
        readers.push(new PostgresRangeReader(client, options, queueShare(options)));
      }
    } catch (error) {
      for (const reader of readers) reader.close();
      await planner.close();
      throw explain(error, options);
    }
    return new PostgresSnapshot(options, shared, tables, start, planner, readers);
  }

  async describe(listed: PostgresListed): Promise<PostgresTable | undefined> {
    if (!await this.#lock(listed)) return undefined;
    const { session, types, tables } = this.#shared;
    const now = await describeTable(session, listed.schema, listed.table);
    const [stored] = await session.query("select pg_relation_filenode($1::oid)", [
      String(listed.oid),
    ]);
    if (now?.oid !== listed.oid || stored![0] !== listed.filenode) {
      // Truncated, rewritten or made anew: older snapshots see an empty table.
      throw new RetryableError(`Table ${listed.name} was rewritten as its snapshot began`);
    }
    const { schema, conversions } = await capturedTable(now, { types, tables });
    const cut = schema.key.length === 0 ? undefined : await this.#cut(now);
    return { name: listed, schema, conversions, key_id: cut?.id, cut_by: cut?.columns ?? [] };
  }

  /** Keeps the table's definition as it is, so that the catalogue tells of the rows that will be read; false: it is gone. */
  async #lock(table: TableName, wait = true): Promise<boolean> {
    await this.#planner.query("savepoint before_lock");
    try {
      const how = `in access share mode${wait ? "" : " nowait"}`;
      await this.#planner.query(`lock table only ${quoteTable(table)} ${how}`);
      return true;
    } catch (error) {
      if ((error as ServerError).code !== "42P01") {
        throw explainRefused(error, this.#options);
      }
      await this.#planner.query("rollback to savepoint before_lock");
      return false;
    }
  }

  /** Locks a table for `describe`; false: that would have to wait for somebody who alters it. */
  async lockNow(table: TableName): Promise<boolean> {
    try {
      await this.#lock(table, false);
      return true;
    } catch (error) {
      if ((error as ServerError).code !== LOCK_NOT_AVAILABLE) throw error;
      return false;
    }
  }

  /**
   * The primary key, if the table can be cut into chunks by it: the operators `>` and `<=` are found by
   * name in pg_catalog, and only for types at home there they are those of the index. With others each
   * chunk would read the whole table.
   */
  async #cut(table: CatalogTable): Promise<{ id: string; columns: string[] } | undefined> {
    if (table.primary_key.length === 0) return undefined;
    const [row] = await this.#shared.session.query(
      `with recursive key as (
         select attname, atttypid, atttypmod, attcollation, place
         from unnest($2::int2[]) with ordinality as k(number, place)
         join pg_attribute on attrelid = $1::oid and attnum = number
       ), base as (
         select oid, typtype, typbasetype, typnamespace
         from pg_type where oid in (select atttypid from key)
         union all
         select t.oid, t.typtype, t.typbasetype, t.typnamespace
         from base join pg_type t on base.typtype = 'd' and t.oid = base.typbasetype
       )
       select (select bool_and(typtype = 'e' or typnamespace = 'pg_catalog'::regnamespace)
               from base where typtype <> 'd'),
              (select string_agg(format('%I %s %s', attname, format_type(atttypid, atttypmod),
                                        attcollation), ', ' order by place) from key)`,
      [String(table.oid), `{${table.primary_key.join(",")}}`],
    );
    const [ordered, id] = row!;
    if (ordered !== "t") return undefined;
    const named = table.primary_key.map((number) =>
      quoteIdentifier(table.columns.find((column) => column.number === number)!.name)
    );
    return { id: id!, columns: named };
  }

  async boundary(table: PostgresTable, range: Range): Promise<Key | undefined> {
    const { snapshot_chunk_rows } = this.#options;
    const columns = table.cut_by.join(", ");
    await this.#planner.query("set local enable_seqscan = off");
    // One row more than a chunk: a rest that just fills one has no boundary.
    const rows = await this.#planner.query(
      `select ${columns} from only ${quoteTable(table.name)}` +
        `${condition(table.cut_by, range)} order by ${columns}` +
        ` offset ${snapshot_chunk_rows - 1} limit 2`,
    );
    if (rows.length < 2) return undefined;
    return rows[0]!.map((text, at) => literal(table, at, text!));
  }

  async key(table: PostgresTable, values: readonly string[]): Promise<Key> {
    refuseUncut(table, values, table.cut_by.length);
    const key = values.map((text, at) => literal(table, at, given(table, at, text)));
    try {
      await this.#shared.session.query(`select ${key.join(", ")}`);
      return key;
    } catch (error) {
      const { code, message } = error as ServerError;
      if (!code?.startsWith("22")) throw error; // class 22: data exceptions
      throw new ConfigError(`no key of the table: ${message}`);
    }
  }

  /** The transactions that are shown. */
  shown(): Promise<TransactionSnapshot> {
    return currentSnapshot(this.#planner);
  }

  coordinates(row: number): Coordinates {
    return { txId: null, lsn: this.#lsn, row };
  }

  async close(): Promise<void> {
    for (const reader of this.readers) reader.close();
    await this.#planner.close();
  }
}

/** The column at place `at` of the key by which the table is cut. */
function keyColumn(table: PostgresTable, at: number): Column {
  const name = table.cut_by[at];
  return table.schema.columns.find((column) => quoteIdentifier(column.name) === name)!;
}

/** A text of the database as a literal of the key column's type. */
function literal(table: PostgresTable, at: number, text: string): string {
  return `${quoteLiteral(text)}::${keyColumn(table, at).type}`;
}

/** The database's text of a value as it stands in changes. */
function given(table: PostgresTable, at: number, value: string): string {
  if (keyColumn(table, at).kind !== "bytes") return value;
  return `\\x${Buffer.from(value, "base64").toString("hex")}`;
}

/**
 * A table in a snapshot of now that shows all that was `streamed`; undefined: the server does not
 * show it yet, or somebody alters the table, for whom the stream need not wait. `name`: the job's.
 */
export async function openChunk(
  options: PostgresOptions,
  name: string,
  shared: Shared,
  table: string,
  streamed: StreamedTransactions,
): Promise<PostgresSnapshot | undefined> {
  const wanted = await wantedTables(shared.session, options);
  const named = wanted.filter(({ schema, table: name }) => `${schema}.${name}` === table);
  const [first] = named;
  if (first !== undefined && !await isFree(shared.session, first)) return undefined;
  const listed = await listForSnapshot(shared.session, named);
  const one = { ...options, snapshot_workers: 1 };
  const database = await PostgresSnapshot.open(one, name, shared, listed, { start: 0n });
  try {
    const isShown = streamed.shownBy(await database.shown());
    if (isShown && (listed[0] === undefined || await database.lockNow(listed[0]))) return database;
  } catch (error) {
    await database.close();
    throw error;
  }
  await database.close();
  return undefined;
}

/** Whether a table can be locked as its readers do without waiting: asking for its size locks it, too. */
async function isFree(session: Session, table: TableName): Promise<boolean> {
  try {
    // Two statements that are sent as one are a transaction, without which there are no locks.
    await session.query(`select; lock table only ${quoteTable(table)} in access share mode nowait`);
    return true;
  } catch (error) {
    const { code } = error as ServerError;
    if (code === "42P01" || code === "42501") return true; // the reader says so
    if (code !== LOCK_NOT_AVAILABLE) throw error;
    return false;
  }
}

const LOCK_NOT_AVAILABLE = "55P03";

/**
 * No change stands before it: the log begins with its second segment (`BootStrapXLOG`), and segments have
 * at least 1 MiB (documentation, "initdb", --wal-segsize).
 */
const SMALLEST_LSN = 0x100000n;

/**
 * The prefix of a chunk's positions at a boundary of the stream: after the chunks that a predecessor put
 * there. Undefined where `held`, the highest position that a topic had at the start, stands further: a
 * change at this `lsn` is one of a transaction that comes again, and no chunk may stand inside of it.
 */
export function chunkPrefix(held: string, generation: number, lsn: bigint): string | undefined {
  const last = held === "" ? undefined : parsePosition(held);
  const isChunk = last?.major === lsn && last.minor < SMALLEST_LSN;
  const minor = isChunk ? last.minor + 1n : 1n;
  return firstBehind(held, [`${hex8(generation)}-${hex16(lsn)}-${hex16(minor)}-`]);
}

function importing(snapshot: string): string {
  return `set transaction snapshot ${quoteLiteral(snapshot)}`;
}
