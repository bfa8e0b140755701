/** The server's side of a snapshot: consistent snapshots of one moment, and the place of the log at it. */
import type { Column, Coordinates } from "../../change.ts";
import { quoteIdentifier, quoteTable } from "../../connect/mysql.ts";
import { ConfigError, placed, RecordError, RetryableError } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import { type CellReader, cellReader } from "../../wire/mysql_text.ts";
import { UnreadableTableError } from "../incremental.ts";
import { type ListedTable, type Range, refuseUncut, type SnapshotDatabase } from "../snapshot.ts";
import { queueShare } from "../snapshot_options.ts";
import type { Key } from "../snapshot_progress.ts";
import { type CatalogTable, ServerCatalog } from "./catalog.ts";
import { type Cell, connectCore, CONSISTENT_SNAPSHOT, MysqlSession } from "./connection.ts";
import { schemaOfCatalog } from "./definition.ts";
import type { SnapshotPlace } from "./flavour.ts";
import { condition, type KeyColumn, keyColumn } from "./key_column.ts";
import type { MysqlOptions } from "./options.ts";
import { MysqlRangeReader, type MysqlTable, tableOf } from "./range_reader.ts";
import { accountOf, type LogEnd, readLogEnd, type ServerFacts } from "./server.ts";
import { FIRST_EVENT } from "./history.ts";
import type { TableSelection } from "./tables.ts";

/** A table to be read. */
export interface MysqlListed extends ListedTable {
  readonly db: string;
  readonly table: string;
}

/** Tables that the server keeps for itself, whatever pattern matches them. */
const SYSTEM = ["information_schema", "mysql", "performance_schema", "sys"];

/** Kinds of tables that hold rows of users, as SQL; MariaDB calls those with a history otherwise. */
export const TABLE_TYPES = "'BASE TABLE', 'SYSTEM VERSIONED'";

/** Lists the tables of a snapshot. Throws UnreadableTableError for one without consistent snapshots. */
export async function listForSnapshot(
  session: MysqlSession,
  selection: Pick<TableSelection, "has">,
): Promise<MysqlListed[]> {
  const rows = await session.query(
    `SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_ROWS, ENGINE,
            EXISTS (SELECT 1 FROM information_schema.STATISTICS s WHERE s.TABLE_SCHEMA = t.TABLE_SCHEMA
                    AND s.TABLE_NAME = t.TABLE_NAME AND s.INDEX_NAME = 'PRIMARY')
     FROM information_schema.TABLES t
     WHERE TABLE_TYPE IN (${TABLE_TYPES}) AND TABLE_SCHEMA NOT IN (${
      SYSTEM.map(() => "?").join(", ")
    })`,
    SYSTEM,
  );
  return rows.filter(([db, table]) => selection.has(db!, table!)).map(
    ([db, table, count, engine, keyed]) => {
      const name = `${db}.${table}`;
      const keyless = keyed !== "1";
      if (keyless && engine !== "InnoDB") throw unreadable(name, engine!);
      return { name, db: db!, table: table!, keyless, rows: Number(count ?? 0) };
    },
  );
}

function unreadable(name: string, engine: string): UnreadableTableError {
  return new UnreadableTableError(
    `Table ${name} has no primary key, and its engine ${engine} has no consistent snapshots: rows` +
      " written while the snapshot runs would be sent twice",
    { cure: "give it a primary key or ENGINE=InnoDB, or add it to source.exclude_tables" },
  );
}

/** What a snapshot is opened with. */
export interface SnapshotParts {
  readonly options: MysqlOptions;
  /** Name under which connections appear on the server. */
  readonly program: string;
  /** Asks the catalogue as it is now. */
  readonly session: MysqlSession;
  readonly facts: ServerFacts;
  readonly tables: readonly MysqlListed[];
  readonly log: Log;
}

/** Longest wait for the lock: statements that write wait for it meanwhile. */
const LOCK_WAIT_S = 5;

/**
 * Longest time without a word from the connection that holds the lock, so that the server takes it from
 * a process that is frozen. It is silent while the transactions begin: all at once, in one round trip.
 */
const LOCK_HOLD_S = 10;

/** The longest that the server allows: a reader waits while Kafka takes what another has read. */
const IDLE_TIMEOUT_S = 31_536_000;

/** `character_set_results = NULL`: text comes as it is stored, and is decoded as that of the log. */
const SETTINGS = [
  "SET SESSION time_zone = '+00:00', sql_mode = ''" +
  " /*!80000 , max_execution_time = 0 */ /*M! , max_statement_time = 0 */",
  `SET SESSION wait_timeout = ${IDLE_TIMEOUT_S}, net_write_timeout = ${IDLE_TIMEOUT_S}`,
  "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];
const RAW_TEXT = "SET SESSION character_set_results = NULL";

/** Codes with which the server refuses the lock to this user. */
const REFUSED = ["ER_SPECIFIC_ACCESS_DENIED_ERROR", "ER_ACCESS_DENIED_ERROR"];

/** Connections of the snapshot, not yet in a transaction. */
interface Connections {
  readonly planner: MysqlSession;
  readonly readers: {
    readonly run: (sql: string) => Promise<Cell[][]>;
    readonly reader: MysqlRangeReader;
  }[];
}

export class MysqlSnapshot implements SnapshotDatabase<MysqlListed, MysqlTable> {
  readonly tables: readonly MysqlListed[];
  readonly readers: readonly MysqlRangeReader[];
  /** Where the stream begins. */
  readonly start: LogEnd;
  readonly #parts: SnapshotParts;
  readonly #catalog: ServerCatalog;
  /** Plans the chunks and holds the locks. */
  readonly #planner: MysqlSession;

  private constructor(parts: SnapshotParts, { planner, readers }: Connections, start: LogEnd) {
    this.tables = parts.tables;
    this.readers = readers.map(({ reader }) => reader);
    this.start = start;
    this.#parts = parts;
    this.#catalog = new ServerCatalog(parts.session);
    this.#planner = planner;
  }

  /** Connects; `start`: where the stream begins, undefined: at this moment, at which rows are then read. */
  static async open(parts: SnapshotParts, start: LogEnd | undefined): Promise<MysqlSnapshot> {
    const connections = await connect(parts);
    try {
      const { snapshot_place } = parts.facts.flavour;
      if (start !== undefined) await begin(connections);
      else if (snapshot_place === undefined) start = await fixMoment(parts, connections);
      else start = await findMoment(parts, connections, snapshot_place);
      return new MysqlSnapshot(parts, connections, start);
    } catch (error) {
      await close(connections);
      throw error;
    }
  }

  async describe(listed: MysqlListed): Promise<MysqlTable | undefined> {
    const { db, table } = listed;
    const quoted = quoteTable({ db, table });
    try {
      // From here on the definition is locked, so the catalogue tells of the rows that will be read.
      await this.#planner.query(`SELECT 1 FROM ${quoted} LIMIT 1`);
    } catch (error) {
      if ((error as { code?: unknown }).code === "ER_NO_SUCH_TABLE") return undefined;
      throw explain(error, listed);
    }
    const catalog = await this.#catalog.table(db, table);
    if (catalog === undefined) return undefined;
    const { tinyint1_as_boolean } = this.#parts.options;
    const schema = schemaOfCatalog(db, table, catalog, tinyint1_as_boolean);
    const cut = schema.key.length === 0 ? undefined : await this.#cut(db, table);
    return {
      schema,
      quoted,
      key_id: cut?.id,
      cut_by: cut?.columns ?? [],
      ...reading(listed, catalog, schema.columns),
    };
  }

  /** The primary key, if the table can be cut into chunks by it. */
  async #cut(db: string, table: string): Promise<{ id: string; columns: KeyColumn[] } | undefined> {
    const rows = await this.#parts.session.query(
      `SELECT COLUMN_NAME, SUB_PART, COLLATION, DATA_TYPE, CHARACTER_SET_NAME, COLUMN_TYPE, COLLATION_NAME
       FROM information_schema.STATISTICS JOIN information_schema.COLUMNS
         USING (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)
       WHERE TABLE_SCHEMA = ? AND TABLE_NAME = ? AND INDEX_NAME = 'PRIMARY' ORDER BY SEQ_IN_INDEX`,
      [db, table],
    );
    const columns = rows.map(([name, prefix, order, type, charset]) =>
      prefix === null && order === "A"
        ? keyColumn(quoteIdentifier(name!), type!, charset ?? null)
        : undefined
    );
    if (columns.includes(undefined)) return undefined;
    const id = rows.map(([name, , , , , type, collation]) => `${name} ${type} ${collation}`);
    return { id: id.join(", "), columns: columns as KeyColumn[] };
  }

  async boundary(table: MysqlTable, range: Range): Promise<Key | undefined> {
    const { snapshot_chunk_rows } = this.#parts.options;
    const { cut_by, quoted } = table;
    // The library refuses fields that are called like members of every object, so they get names here.
    const selected = cut_by.map(({ selected }, at) => `${selected} AS k${at}`);
    // One row more than a chunk: a rest that just fills one has no boundary.
    const rows = await this.#planner.query(
      `SELECT ${selected.join(", ")} FROM ${tableOf(table)}` +
        condition(cut_by, range) +
        ` ORDER BY ${cut_by.map(({ name }) => `${quoted}.${name}`).join(", ")}` +
        ` LIMIT 2 OFFSET ${snapshot_chunk_rows - 1}`,
    );
    if (rows.length < 2) return undefined;
    return rows[0]!.map((text, at) => cut_by[at]!.literal(text!));
  }

  async key({ cut_by, ...table }: MysqlTable, values: readonly string[]): Promise<Key> {
    refuseUncut(table, values, cut_by.length);
    const key = values.map((value, at) => {
      const literal = cut_by[at]!.given(value);
      if (literal !== undefined) return literal;
      throw new ConfigError(`${JSON.stringify(value)} is no value of ${cut_by[at]!.name}`);
    });
    const compared = key.map((literal, at) => `${cut_by[at]!.name} = ${literal}`).join(" AND ");
    try {
      // The server says what it makes of a date that there is not.
      await this.#parts.session.query(`SELECT 1 FROM ${table.quoted} WHERE ${compared} LIMIT 0`);
      return key;
    } catch (error) {
      if ((error as { code?: unknown }).code !== "ER_WRONG_VALUE") throw error;
      throw new ConfigError(`no key of the table: ${(error as Error).message}`);
    }
  }

  coordinates(row: number): Coordinates {
    return { gtid: null, file: this.start.file, pos: this.start.offset, row };
  }

  async close(): Promise<void> {
    for (const reader of this.readers) reader.close();
    await this.#planner.close();
  }
}

async function connect({ options, program }: SnapshotParts): Promise<Connections> {
  const planner = await MysqlSession.connect(options, program);
  const readers: Connections["readers"][number][] = [];
  try {
    for (const sql of SETTINGS) await planner.query(sql);
    const queue_bytes = queueShare(options);
    while (readers.length < options.snapshot_workers) {
      const connection = await connectCore(options, program);
      const run = (sql: string) =>
        new Promise<Cell[][]>((resolve, reject) =>
          connection.query(
            sql,
            (error, rows) => error ? reject(error) : resolve(rows as unknown as Cell[][]),
          )
        );
      readers.push({ run, reader: new MysqlRangeReader(connection, queue_bytes) });
      for (const sql of [...SETTINGS, RAW_TEXT]) await run(sql);
    }
    return { planner, readers };
  } catch (error) {
    await close({ planner, readers });
    throw error;
  }
}

async function close({ planner, readers }: Connections): Promise<void> {
  for (const { reader } of readers) reader.close();
  await planner.close();
}

async function begin({ planner, readers }: Connections): Promise<void> {
  const others = readers.map(({ run }) => run(CONSISTENT_SNAPSHOT));
  await Promise.all([planner.query(CONSISTENT_SNAPSHOT), ...others]);
}

/**
 * Begins all transactions and reads where the log ends. Under the lock both are of one moment. Without
 * it the log's end is read first, so that the stream brings what was written in between; by GTIDs,
 * because those are counted once a transaction can be seen, while the log's offset is ahead of that.
 */
async function fixMoment(parts: SnapshotParts, connections: Connections): Promise<LogEnd> {
  const { options, program, facts, log } = parts;
  const locker = await MysqlSession.connect(options, program);
  try {
    const refused = await lock(locker);
    if (refused === undefined) {
      await begin(connections);
      return await readLogEnd(locker, facts); // fails where the lock was lost meanwhile
    }
    const cure = await lockGrant(locker);
    refuseWithoutLock(parts, refused, cure);
    const end = await readLogEnd(locker, facts);
    await begin(connections);
    log.info("snapshot_without_lock", { reason: refused.message, cure });
    // The offset is ahead of the set: from the start of the file nothing is passed over.
    return { ...end, offset: FIRST_EVENT };
  } finally {
    await locker.close(); // and with it goes the lock
  }
}

/**
 * Begins all transactions where each can tell the place in the log that it sees: no lock is needed.
 * While nobody commits they see the same. On a busy server those go on that do: one at least.
 */
async function findMoment(
  { session, log }: SnapshotParts,
  { planner, readers }: Connections,
  { seen, endAt }: SnapshotPlace,
): Promise<LogEnd> {
  let places: string[] = [];
  for (let attempt = 0; attempt < MOMENT_ATTEMPTS; attempt++) {
    // All at once, for the shortest time between the first and the last.
    await Promise.all(readers.map(({ run }) => run(CONSISTENT_SNAPSHOT)));
    places = [];
    for (const { run } of readers) places.push(await seen(run));
    if (new Set(places).size === 1) break;
  }
  await planner.query(CONSISTENT_SNAPSHOT);
  const chosen = mostFrequent(places);
  for (const [at, { reader }] of [...readers.entries()].reverse()) {
    if (places[at] === chosen) continue;
    reader.close();
    readers.splice(at, 1);
  }
  log.info("snapshot_moment", { place: chosen, connections: readers.length });
  return await endAt(session, chosen);
}

/** How often the transactions are begun anew; each time takes a few milliseconds. */
const MOMENT_ATTEMPTS = 20;

function mostFrequent(texts: readonly string[]): string {
  const counts = Map.groupBy(texts, (text) => text);
  return [...counts].reduce((one, other) => other[1].length > one[1].length ? other : one)[0];
}

/** Keeps transactions from committing; answers why not. */
async function lock(locker: MysqlSession): Promise<Error | undefined> {
  try {
    await locker.query(
      `SET SESSION lock_wait_timeout = ${LOCK_WAIT_S}, wait_timeout = ${LOCK_HOLD_S}`,
    );
    await locker.query("FLUSH TABLES WITH READ LOCK");
    return undefined;
  } catch (error) {
    const code = String((error as { code?: unknown }).code);
    if (!REFUSED.includes(code) && code !== BUSY) throw error;
    return error as Error;
  }
}

/** A statement has been running for longer than we wait. */
const BUSY = "ER_LOCK_WAIT_TIMEOUT";

/** Throws where a snapshot without the lock would not be one of a moment that the stream goes on from. */
function refuseWithoutLock(
  { facts, tables }: SnapshotParts,
  refused: Error,
  cure: string,
): void {
  const keyless = tables.filter((table) => table.keyless).map(({ name }) => name);
  if (keyless.length === 0 && facts.gtid) return;
  const why = keyless.length > 0
    ? `${keyless.join(", ")} without a primary key`
    : "a server without GTIDs";
  const message = `A snapshot of ${why} needs a moment without writes: ${refused.message}`;
  if ((refused as { code?: unknown }).code === BUSY) throw new RetryableError(message);
  throw new ConfigError(message, { cure: `${cure} Or set snapshot: never` });
}

/** The statement that lets this user lock. */
export async function lockGrant(session: MysqlSession): Promise<string> {
  const { account } = await accountOf(session);
  return `GRANT FLUSH_TABLES ON *.* TO ${account};`;
}

/** What is selected of a table, and how it is read. Throws RecordError naming the column that cannot be. */
function reading(
  { name }: MysqlListed,
  catalog: CatalogTable,
  columns: readonly Column[],
): Pick<MysqlTable, "expressions" | "cells"> {
  const now = new Map(catalog.columns.map((column) => [column.name, column]));
  const cells = columns.map((column) => {
    const { type, charset } = now.get(column.name)!;
    try {
      return column.kind === "boolean" ? readBoolean : cellReader(type, charset);
    } catch (error) {
      throw placed(`Column ${JSON.stringify(column.name)} of table ${name}`, error);
    }
  });
  // As FLOAT the server rounds the text to six digits.
  const expressions = columns.map((column) =>
    column.kind === "float32"
      ? `CAST(${quoteIdentifier(column.name)} AS DOUBLE)`
      : quoteIdentifier(column.name)
  );
  return { expressions, cells };
}

const readInteger = cellReader("tinyint", undefined);

const readBoolean: CellReader = (reader, count) => {
  const value = readInteger(reader, count);
  if (value === 0 || value === 1) return value === 1;
  throw new RecordError(`TINYINT(1) holds ${value}, which is no boolean`, {
    cure: "set tinyint1_as_boolean: false",
  });
};

/** A definition that changed since the snapshot's moment is a reason to begin at a later one. */
function explain(error: unknown, { name }: MysqlListed): unknown {
  const { code, message } = error as { code?: unknown; message?: string };
  if (code !== "ER_TABLE_DEF_CHANGED") return error;
  return new RetryableError(`Table ${name} was altered as its snapshot began: ${message}`);
}
