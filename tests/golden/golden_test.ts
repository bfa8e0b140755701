/** The golden files on all databases and both PostgreSQL plugins, through the real sources. */
import assert from "node:assert/strict";
import mysql from "mysql2/promise";
import pg from "pg";
import type { Change } from "../../shared/change.ts";
import { keyText } from "../../shared/formats/key.ts";
import { rowWriter } from "../../shared/wire/value_text.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MariadbSource, MysqlSource } from "../../shared/sources/mysql/source.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { Source } from "../../shared/sources/source.ts";
import { SILENT } from "../silent.ts";
import { captured, lastRows } from "../source_rows.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import { type DatabaseInfo, testStack } from "../stack.ts";
import { type Dialect, type GoldenFile, readGoldenFiles } from "./golden_file.ts";

const FOLDER = new URL("./", import.meta.url);
/** A database of its own for each run, so that a run that was broken off leaves nothing in the way. */
const DATABASE = `golden_${Date.now().toString(36)}`;
/** Runs statements on one session. */
interface Session {
  run(sql: string): Promise<void>;
  close(): Promise<void>;
}

/** Text of a change as golden files write it. */
function goldenText(change: Change): string {
  const row = rowWriter(change.table.columns);
  const [before, after] = [change.before, change.after].map((r) => r === null ? "null" : row(r));
  return `${change.op} ${keyText(change)} ${before} ${after}`;
}

async function runStatement(file: GoldenFile, session: Session, sql: string): Promise<void> {
  try {
    await session.run(sql);
  } catch (error) {
    throw new Error(`${file.name}: the server refuses ${sql}`, { cause: error });
  }
}

/** What was captured, by the names of the sources. */
interface Found {
  readonly streams: Map<string, Change[]>;
  /** What the tables held at the end. */
  readonly snapshots: Map<string, Change[]>;
}

/** Makes the source of a name. */
type Sources = Record<string, (snapshot: "never" | "only") => Source>;

/**
 * Runs all files of a dialect, each in a session of its own, and captures what they wrote, with
 * every one of the sources. Tables are told apart by their names: they begin with the file's.
 */
async function runFiles(
  dialect: Dialect,
  open: () => Promise<Session>,
  sources: Sources,
): Promise<Found> {
  const files = readGoldenFiles(FOLDER, dialect);
  const sessions = new Map<GoldenFile, Session>();
  for (const file of files) {
    const session = await open();
    sessions.set(file, session);
    for (const sql of file.definitions) await runStatement(file, session, sql);
  }
  const starts = new Map<string, Awaited<ReturnType<Source["open"]>>>();
  for (const [name, make] of Object.entries(sources)) {
    const source = make("never");
    starts.set(name, await source.open({ resume: undefined, generation: 1 }));
    await source.close();
  }
  for (const [file, session] of sessions) {
    for (const sql of file.statements) await runStatement(file, session, sql);
    await session.close();
  }
  const found: Found = { streams: new Map(), snapshots: new Map() };
  for (const [name, make] of Object.entries(sources)) {
    const stream = make("never");
    found.streams.set(name, await captured(stream, starts.get(name)!));
    await stream.remove();
    const snapshot = make("only");
    found.snapshots.set(name, await captured(snapshot, undefined));
    await snapshot.remove();
  }
  return found;
}

async function onMysql({ host, port, users }: DatabaseInfo, Source: typeof MysqlSource) {
  const options = { host, port, ...users.admin, charset: "utf8mb4" };
  const admin = await mysql.createConnection(options);
  await admin.query(`CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4`);
  const open = async () => {
    const connection = await mysql.createConnection({ ...options, database: DATABASE });
    return { run: async (sql: string) => void await connection.query(sql), close: () => connection.end() };
  };
  const at = { host, port, ...users.admin, tables: [`${DATABASE}.*`], snapshot_chunk_rows: 1 };
  const context = { name: DATABASE, version: "0", log: SILENT, now: Date.now };
  try {
    return await runFiles("mysql", open, {
      [Source.name]: (snapshot) => new Source(mysqlOptions.parse({ ...at, snapshot }), context),
    });
  } finally {
    await admin.query(`DROP DATABASE ${DATABASE}`);
    await admin.end();
  }
}

/** A server of MariaDB is the test's own: no stack has one. */
async function onMariadb(): Promise<Found> {
  let found: Found | undefined;
  await withOwnMariadb(async ({ info }) => void (found = await onMysql(info, MariadbSource)));
  return found!;
}

async function onPostgres(): Promise<Found> {
  const { host, port, database, users } = testStack().pg;
  const connect = async (database: string) => {
    const client = new pg.Client({ host, port, database, ...users.admin });
    client.on("error", () => {}); // dropping the database ends what a failed statement left open
    await client.connect();
    return client;
  };
  const admin = await connect(database);
  await admin.query(`CREATE DATABASE ${DATABASE}`);
  const open = async () => {
    const client = await connect(DATABASE);
    return { run: async (sql: string) => void await client.query(sql), close: () => client.end() };
  };
  const source = (plugin: string) => (snapshot: "never" | "only") =>
    new PostgresSource(
      postgresOptions.parse({
        host,
        port,
        database: DATABASE,
        ...users.admin,
        tables: ["public.*"],
        plugin,
        snapshot,
        snapshot_chunk_rows: 1,
        slot: `${DATABASE}_${plugin}`,
        publication: `${DATABASE}_${plugin}`,
      }),
      { name: DATABASE, version: "0", log: SILENT, now: Date.now },
    );
  try {
    return await runFiles("postgresql", open, {
      pgoutput: source("pgoutput"),
      wal2json: source("wal2json"),
    });
  } finally {
    await admin.query(`DROP DATABASE ${DATABASE} WITH (FORCE)`);
    await admin.end();
  }
}

/** The databases with their dialects. */
const RUNS = {
  mysql: { dialect: "mysql", run: () => onMysql(testStack().mysql, MysqlSource) },
  mariadb: { dialect: "mysql", run: onMariadb },
  postgresql: { dialect: "postgresql", run: onPostgres },
} as const;
type Name = keyof typeof RUNS;
const NAMES = Object.keys(RUNS) as Name[];
const done: Partial<Record<Name, Promise<Found>>> = {};
const capturedOn = (name: Name) => done[name] ??= RUNS[name].run();

for (const database of NAMES) {
  for (const file of readGoldenFiles(FOLDER, RUNS[database].dialect)) {
    Deno.test({
      name: `golden: ${file.name} gives the changes it says on ${database}`,
      sanitizeResources: false, // one capture serves all files of a dialect
      sanitizeOps: false,
      async fn() {
        for (const [source, changes] of (await capturedOn(database)).streams) {
          const prefix = file.name.split(".")[0]!;
          const own = changes.filter(({ table }) => table.table.startsWith(`${prefix}_`));
          assert.deepStrictEqual(own.map(goldenText), file.expected, `captured by ${source}`);
        }
      },
    });
  }
}

for (const database of NAMES) {
  Deno.test({
    name: `golden: a snapshot on ${database} gives the rows that the stream comes to, to the byte`,
    sanitizeResources: false,
    sanitizeOps: false,
    async fn() {
      const { streams, snapshots } = await capturedOn(database);
      for (const [source, stream] of streams) {
        // A row from before its table was altered is told under the columns of then.
        const definitions = Map.groupBy(stream, ({ table }) => table.table);
        const isAltered = ({ table }: Change) =>
          new Set(definitions.get(table.table)?.map(({ table }) => table.id)).size > 1;
        const rows = (changes: readonly Change[]) =>
          lastRows(changes.filter((change) => !isAltered(change)));
        const expected = rows(stream);
        assert.ok(expected.length > 5, `rows by the stream: ${expected.length}`);
        assert.deepStrictEqual(rows(snapshots.get(source)!), expected, `captured by ${source}`);
      }
    },
  });
}

Deno.test({
  name: "golden: pgoutput and wal2json give the same changes at the same positions",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const found = (await capturedOn("postgresql")).streams;
    const [pgoutput, wal2json] = ["pgoutput", "wal2json"].map((plugin) =>
      found.get(plugin)!.map((change) => ({ ...change, ts_ms: 0 }))
    );
    assert.deepStrictEqual(wal2json, pgoutput);
  },
});
