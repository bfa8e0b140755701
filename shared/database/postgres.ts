/** A PostgreSQL connection as an ordinary client, with everything that changes a value's text pinned. */
import pg from "pg";
import { tlsSettings } from "../jobs/tls.ts";
import { PINNED_OPTIONS } from "../wire/postgres_session.ts";
import type { DatabaseOptions } from "./options.ts";

/** Rows as arrays of the server's own text. */
export interface PgResult {
  rows: (string | null)[][];
  rowCount: number | null;
}

/** The part of `pg`'s client that is used here: that library brings no types. */
export interface PgClient {
  query(config: { text: string; name?: string; values?: readonly unknown[] }): Promise<PgResult>;
  end(): Promise<void>;
}

/** Connects. Values come back as text, whatever their type. Throws the library's connection error. */
export async function connectPostgres(
  options: DatabaseOptions,
  application_name: string,
): Promise<PgClient> {
  const client = new pg.Client({
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    password: options.password,
    ssl: tlsSettings(options.tls) ?? false,
    connectionTimeoutMillis: options.connect_timeout_ms,
    application_name,
    keepAlive: true,
    options: PINNED_OPTIONS,
    types: { getTypeParser: () => (text: string) => text },
  });
  // Without a listener a connection that breaks between two queries would end the process;
  // the next query rejects anyway.
  client.on("error", () => {});
  await client.connect();
  return {
    query: (config) => client.query({ ...config, rowMode: "array" }),
    end: () => client.end(),
  };
}

/** `name` quoted as an identifier. */
export function pgIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Schema and table of `table` or `schema.table`. */
export function pgTableName(table: string): { schema: string; table: string } {
  const dot = table.indexOf(".");
  return dot < 0
    ? { schema: "public", table }
    : { schema: table.slice(0, dot), table: table.slice(dot + 1) };
}

/** `table` or `schema.table`, quoted. */
export function pgTable(table: string): string {
  const name = pgTableName(table);
  return `${pgIdentifier(name.schema)}.${pgIdentifier(name.table)}`;
}
