/** The databases of the test stack, for tests that hold on each of them. */
import { type DatabaseOptions, databaseOptions } from "../shared/database/options.ts";
import { type DatabaseInfo, type TestStack, testStack } from "./stack.ts";

/** A database under test. */
export interface TestDatabase {
  readonly name: "PostgreSQL" | "MySQL" | "MariaDB";
  /** The kind of job that captures it. */
  readonly capture: "capture-pg" | "capture-mysql" | "capture-mariadb";
  /** The user that may make and write tables. */
  readonly database: DatabaseOptions;
  /** The user that captures, and reads tables. */
  readonly reader: DatabaseOptions;
  /** A table's name as statements need it. */
  readonly qualified: (table: string) => string;
}

/** PostgreSQL and MySQL of a stack, and MariaDB where it has one. */
export function databases(
  stack: Pick<TestStack, "pg" | "mysql" | "mariadb"> = testStack(),
): TestDatabase[] {
  const { pg, mysql, mariadb } = stack;
  return [
    {
      name: "PostgreSQL",
      capture: "capture-pg",
      database: reach("postgresql", pg, "writer"),
      reader: reach("postgresql", pg, "replicator"),
      qualified: (table) => `public.${table}`,
    },
    {
      name: "MySQL",
      capture: "capture-mysql",
      database: reach("mysql", mysql, "writer"),
      reader: reach("mysql", mysql, "replicator"),
      qualified: (table) => table,
    },
    ...mariadb === undefined ? [] : [mariadbDatabase(mariadb)],
  ];
}

/** A MariaDB server. */
export function mariadbDatabase(info: DatabaseInfo): TestDatabase {
  return {
    name: "MariaDB",
    capture: "capture-mariadb",
    database: reach("mysql", info, "writer"),
    reader: reach("mysql", info, "replicator"),
    qualified: (table) => table,
  };
}

function reach(
  kind: DatabaseOptions["kind"],
  { host, port, database, users }: DatabaseInfo,
  user: "writer" | "replicator",
): DatabaseOptions {
  return databaseOptions.parse({ kind, host, port, database, ...users[user] });
}
