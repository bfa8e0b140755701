/** The databases whose tables can be compared. Adding one is a file and a line. */
import type { DatabaseOptions } from "../database/options.ts";
import type { TableOptions, TableReader } from "./table.ts";

/** Connects a reader of a table. */
export const tables = {
  postgresql: async (database, table) =>
    (await import("./postgres.ts")).openPostgresTable(database, table),
  mysql: async (database, table, options) =>
    (await import("./mysql.ts")).openMysqlTable(database, table, options),
} satisfies Record<
  DatabaseOptions["kind"],
  (database: DatabaseOptions, table: string, options: TableOptions) => Promise<TableReader>
>;
