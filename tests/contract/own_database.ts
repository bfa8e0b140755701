/** Databases of a test's own on the stack's servers, and sources of all their tables. */
import mysql from "mysql2/promise";
import pg from "pg";
import { mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { SnapshotOptions } from "../../shared/sources/snapshot_options.ts";
import type { Source } from "../../shared/sources/source.ts";
import { SILENT } from "../silent.ts";
import { testStack } from "../stack.ts";

/** Its name, which the captures of it have, too. */
export const NAME = `own_${crypto.randomUUID().slice(0, 8)}`;
const CONTEXT = { name: NAME, version: "0", log: SILENT, now: Date.now };

/** A database with nothing in it. */
export interface OwnDatabase {
  run(sql: string): Promise<void>;
  source(snapshot: SnapshotOptions["snapshot"]): Source;
}

/** Runs `test` in a PostgreSQL database of its own; snapshots are in chunks of one row. */
export async function onPostgres(test: (database: OwnDatabase) => Promise<void>): Promise<void> {
  const { host, port, database, users } = testStack().pg;
  const connect = async (database: string) => {
    const client = new pg.Client({ host, port, database, ...users.admin });
    client.on("error", () => {});
    await client.connect();
    return client;
  };
  const admin = await connect(database);
  await admin.query(`CREATE DATABASE ${NAME}`);
  const own = await connect(NAME);
  const options = {
    host,
    port,
    database: NAME,
    ...users.admin,
    tables: ["public.*"],
    snapshot_chunk_rows: 1,
    snapshot_workers: 3,
  };
  try {
    await test({
      run: async (sql) => void await own.query(sql),
      source: (snapshot) =>
        new PostgresSource(postgresOptions.parse({ ...options, snapshot }), CONTEXT),
    });
  } finally {
    await own.end();
    await admin.query(`DROP DATABASE ${NAME} WITH (FORCE)`);
    await admin.end();
  }
}

/** The same in MySQL. */
export async function onMysql(test: (database: OwnDatabase) => Promise<void>): Promise<void> {
  const { host, port, users } = testStack().mysql;
  const own = await mysql.createConnection({ host, port, ...users.admin, charset: "utf8mb4" });
  await own.query(`CREATE DATABASE ${NAME} CHARACTER SET utf8mb4`);
  await own.query(`USE ${NAME}`);
  const options = {
    host,
    port,
    ...users.admin,
    tables: [`${NAME}.*`],
    snapshot_chunk_rows: 1,
    snapshot_workers: 3,
  };
  try {
    await test({
      run: async (sql) => void await own.query(sql),
      source: (snapshot) => new MysqlSource(mysqlOptions.parse({ ...options, snapshot }), CONTEXT),
    });
  } finally {
    await own.query(`DROP DATABASE ${NAME}`);
    await own.end();
  }
}
