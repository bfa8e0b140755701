/** The golden files on both databases and both PostgreSQL plugins, through the real sources. */
import assert from "node:assert/strict";
import mysql from "mysql2/promise";
import pg from "pg";
import type { Change } from "../../shared/change.ts";
import { keyText } from "../../shared/formats/key.ts";
import { rowWriter } from "../../shared/wire/value_text.ts";
import type { Log } from "../../shared/observe/log.ts";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { Source } from "../../shared/sources/source.ts";
import { testStack } from "../stack.ts";
import { type Dialect, type GoldenFile, readGoldenFiles } from "./golden_file.ts";

const FOLDER = new URL("./", import.meta.url);
/** A database of its own for each run, so that a run that was broken off leaves nothing in the way. */
const DATABASE = `golden_${Date.now().toString(36)}`;
const SILENT: Log = { debug() {}, info() {}, warn() {}, error() {} };

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

/** All changes that the source's log holds after `resume`. */
async function captured(source: Source, resume: Awaited<ReturnType<Source["open"]>>) {
  const changes: Change[] = [];
  const generation = 1;
  await source.open({ resume, generation });
  const batches = source.batches({ to_end: true, signal: AbortSignal.timeout(60_000) });
  for await (const batch of batches) changes.push(...batch.changes);
  await source.close();
  return changes;
}

async function runStatement(file: GoldenFile, session: Session, sql: string): Promise<void> {
  try {
    await session.run(sql);
  } catch (error) {
    throw new Error(`${file.name}: the server refuses ${sql}`, { cause: error });
  }
}

/**
 * Runs all files of a dialect, each in a session of its own, and captures what they wrote, with
 * every one of the sources. Tables are told apart by their names: they begin with the file's.
 */
async function runFiles(
  dialect: Dialect,
  open: () => Promise<Session>,
  sources: Record<string, Source>,
): Promise<Map<string, Change[]>> {
  const files = readGoldenFiles(FOLDER, dialect);
  const sessions = new Map<GoldenFile, Session>();
  for (const file of files) {
    const session = await open();
    sessions.set(file, session);
    for (const sql of file.definitions) await runStatement(file, session, sql);
  }
  const starts = new Map<string, Awaited<ReturnType<Source["open"]>>>();
  for (const [name, source] of Object.entries(sources)) {
    starts.set(name, await source.open({ resume: undefined, generation: 1 }));
    await source.close();
  }
  for (const [file, session] of sessions) {
    for (const sql of file.statements) await runStatement(file, session, sql);
    await session.close();
  }
  const found = new Map<string, Change[]>();
  for (const [name, source] of Object.entries(sources)) {
    found.set(name, await captured(source, starts.get(name)!));
    await source.remove();
  }
  return found;
}

async function onMysql(): Promise<Map<string, Change[]>> {
  const { host, port, users } = testStack().mysql;
  const options = { host, port, ...users.admin, charset: "utf8mb4" };
  const admin = await mysql.createConnection(options);
  await admin.query(`CREATE DATABASE ${DATABASE} CHARACTER SET utf8mb4`);
  const open = async () => {
    const connection = await mysql.createConnection({ ...options, database: DATABASE });
    return { run: async (sql: string) => void await connection.query(sql), close: () => connection.end() };
  };
  const source = mysqlOptions.parse({ host, port, ...users.admin, tables: [`${DATABASE}.*`], snapshot: "never" });
  try {
    return await runFiles("mysql", open, {
      mysql: new MysqlSource(source, { name: DATABASE, version: "0", log: SILENT, now: Date.now }),
    });
  } finally {
    await admin.query(`DROP DATABASE ${DATABASE}`);
    await admin.end();
  }
}

async function onPostgres(): Promise<Map<string, Change[]>> {
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
  const source = (plugin: string) =>
    new PostgresSource(
      postgresOptions.parse({
        ...{ host, port, database: DATABASE, ...users.admin, tables: ["public.*"] },
        ...{ snapshot: "never", plugin, slot: `${DATABASE}_${plugin}`, publication: `${DATABASE}_${plugin}` },
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

const runs = { mysql: onMysql, postgresql: onPostgres };
const done: Partial<Record<Dialect, Promise<Map<string, Change[]>>>> = {};
const capturedOn = (dialect: Dialect) => done[dialect] ??= runs[dialect]();

for (const dialect of ["mysql", "postgresql"] as const) {
  for (const file of readGoldenFiles(FOLDER, dialect)) {
    Deno.test({
      name: `golden: ${file.name} gives the changes it says on ${dialect}`,
      sanitizeResources: false, // one capture serves all files of a dialect
      sanitizeOps: false,
      async fn() {
        for (const [source, changes] of await capturedOn(dialect)) {
          const prefix = file.name.split(".")[0]!;
          const own = changes.filter(({ table }) => table.table.startsWith(`${prefix}_`));
          assert.deepStrictEqual(own.map(goldenText), file.expected, `captured by ${source}`);
        }
      },
    });
  }
}

Deno.test({
  name: "golden: pgoutput and wal2json give the same changes at the same positions",
  sanitizeResources: false,
  sanitizeOps: false,
  async fn() {
    const found = await capturedOn("postgresql");
    const [pgoutput, wal2json] = ["pgoutput", "wal2json"].map((plugin) =>
      found.get(plugin)!.map((change) => ({ ...change, ts_ms: 0 }))
    );
    assert.deepStrictEqual(wal2json, pgoutput);
  },
});
