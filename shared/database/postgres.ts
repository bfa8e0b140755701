/** A PostgreSQL connection as an ordinary client, with everything that changes a value's text pinned. */
import { openPostgres, placeOf, quoteIdentifier, quoteTable } from "../connect/postgres.ts";
import { ConfigError } from "../errors.ts";
import { splitTableName } from "../table_name.ts";
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

/** Connects. Values come back as text, whatever their type. Throws as `openPostgres`. */
export async function connectPostgres(
  options: DatabaseOptions,
  application_name: string,
): Promise<PgClient> {
  const client = await openPostgres(options, {
    application_name,
    part: "database",
  }) as unknown as PgClient;
  return {
    query: async (config) => {
      try {
        return await client.query({ ...config, rowMode: "array" } as typeof config);
      } catch (error) {
        throw deniedFault(error as ServerError, options) ?? error;
      }
    },
    end: () => client.end(),
  };
}

type ServerError = Error & { readonly code?: string };

/** Privileges to grant, by the kind of object that the server's message names. */
const PRIVILEGES: Readonly<Record<string, string>> = {
  table: "SELECT, INSERT, UPDATE, DELETE",
  sequence: "USAGE",
  schema: "USAGE, CREATE",
};

/** A privilege that the user lacks, with the statement that grants it; undefined: another error. */
function deniedFault(
  { code, message }: ServerError,
  options: DatabaseOptions,
): ConfigError | undefined {
  if (code !== "42501") return undefined;
  const [, kind = "", name = ""] = /for (table|sequence|schema) (\S+)/.exec(message) ?? [];
  const privileges = PRIVILEGES[kind];
  const user = quoteIdentifier(options.user);
  return new ConfigError(`${placeOf(options)} refused user ${options.user}: ${message}`, {
    cure: privileges === undefined
      ? "let the owner grant what the message names"
      : `as its owner: GRANT ${privileges} ON ${kind.toUpperCase()} ${name} TO ${user}` +
        (kind === "table" ? " (a job that only reads needs SELECT alone)" : ""),
  });
}

/** Schema and table of `table` or `schema.table`. */
export function pgTableName(name: string): { schema: string; table: string } {
  const [schema, table] = splitTableName(name, "public");
  return { schema, table };
}

/** `table` or `schema.table`, quoted. */
export function pgTable(name: string): string {
  return quoteTable(pgTableName(name));
}
