/** A MySQL connection as an ordinary client, with everything that changes a value's text pinned. */
import type { Connection } from "mysql2/promise";
import { openMysql, quoteIdentifier, quoteTable } from "../connect/mysql.ts";
import { ConfigError } from "../errors.ts";
import { splitTableName } from "../table_name.ts";
import type { DatabaseOptions } from "./options.ts";

/** Connects. Dates, decimals and large integers come back as text. Throws as `openMysql`. */
export async function connectMysql(options: DatabaseOptions): Promise<Connection> {
  const connection = (await openMysql(options, "database", {})).promise();
  connection.on("error", () => {}); // the next query tells
  await connection.query("SET time_zone = '+00:00'");
  for (const name of ["query", "execute"] as const) {
    const method = connection[name].bind(connection) as (...args: unknown[]) => Promise<never>;
    connection[name] = (...args: unknown[]) =>
      method(...args).catch((error) => {
        throw deniedFault(error, options) ?? error;
      });
  }
  return connection;
}

/** A privilege that the user lacks, with the statement that grants it; undefined: another error. */
function deniedFault(
  { code, message }: Error & { readonly code?: string },
  { host, port, database }: DatabaseOptions,
): ConfigError | undefined {
  if (code !== "ER_TABLEACCESS_DENIED_ERROR") return undefined;
  const [, privileges, account, table] =
    /^(.+) command denied to user ('.*'@'.*') for table [`'](.*)[`']$/.exec(message) ?? [];
  return new ConfigError(`MySQL at ${host}:${port}, database ${database}, refused: ${message}`, {
    cure: privileges === undefined
      ? "grant the user what the message names"
      : `GRANT ${privileges} ON ${mysqlTable(`${database}.${table}`)} TO ${account};`,
  });
}

/** Database and table of `table` or `database.table`. */
export function mysqlTableName(name: string, database: string): { db: string; table: string } {
  const [db, table] = splitTableName(name, database);
  return { db, table };
}

/** `table` or `database.table`, quoted. */
export function mysqlTable(name: string): string {
  const { db, table } = mysqlTableName(name, "");
  return db === "" ? quoteIdentifier(table) : quoteTable({ db, table });
}
