/** How tables are called. */
import type { TableSchema } from "./change.ts";

type Named = Pick<TableSchema, "db" | "schema" | "table">;

/** As jobs, signals and Debezium write it: with its schema, or with its database where there are no schemas. */
export function tableName({ db, schema, table }: Named): string {
  return `${schema ?? db}.${table}`;
}

/** The table's name after those of the database and of the schema that it is in. */
export function nameParts({ db, schema, table }: Named): string[] {
  return [db, schema, table].filter((part) => part !== null);
}

/** The two parts of `schema.table` (MySQL: `database.table`); without a point the table is in `schema`. */
export function splitTableName(name: string, schema = ""): [schema: string, table: string] {
  const point = name.indexOf(".");
  return point < 0 ? [schema, name] : [name.slice(0, point), name.slice(point + 1)];
}
