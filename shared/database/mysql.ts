/** A MySQL connection as an ordinary client, with everything that changes a value's text pinned. */
import mysql, { type Connection } from "mysql2/promise";
import { tlsSettings } from "../jobs/tls.ts";
import type { DatabaseOptions } from "./options.ts";

/** Connects. Dates, decimals and large integers come back as text. Throws the library's connection error. */
export async function connectMysql(options: DatabaseOptions): Promise<Connection> {
  const connection = await mysql.createConnection({
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    password: options.password,
    ssl: tlsSettings(options.tls),
    connectTimeout: options.connect_timeout_ms,
    charset: "utf8mb4",
    timezone: "Z",
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    decimalNumbers: false,
    jsonStrings: true,
    rowsAsArray: true,
    multipleStatements: false,
  });
  await connection.query("SET time_zone = '+00:00'");
  return connection;
}

/** `name` quoted as an identifier. */
export function mysqlIdentifier(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** Database and table of `table` or `database.table`. */
export function mysqlTableName(table: string, database: string): { db: string; table: string } {
  const dot = table.indexOf(".");
  return dot < 0
    ? { db: database, table }
    : { db: table.slice(0, dot), table: table.slice(dot + 1) };
}

/** `table` or `database.table`, quoted. */
export function mysqlTable(table: string): string {
  return table.split(".", 2).map(mysqlIdentifier).join(".");
}
