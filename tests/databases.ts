/** The databases of the test stack, for tests that hold on each of them. */
import { type DatabaseOptions, databaseOptions } from "../shared/database/options.ts";
import { type TestStack, testStack } from "./stack.ts";

/** A database under test. */
export interface TestDatabase {
  readonly name: "PostgreSQL" | "MySQL";
  /** The user that may make and write tables. */
  readonly database: DatabaseOptions;
  /** The user that captures, and reads tables. */
  readonly reader: DatabaseOptions;
  /** A table's name as statements need it. */
  readonly qualified: (table: string) => string;
}

/** PostgreSQL and MySQL of a stack. */
export function databases(stack: Pick<TestStack, "pg" | "mysql"> = testStack()): TestDatabase[] {
  const { pg, mysql } = stack;
  const reach = (
    kind: DatabaseOptions["kind"],
    { host, port, database, users }: typeof pg,
    user: "writer" | "replicator",
  ) => databaseOptions.parse({ kind, host, port, database, ...users[user] });
  return [
    {
      name: "PostgreSQL",
      database: reach("postgresql", pg, "writer"),
      reader: reach("postgresql", pg, "replicator"),
      qualified: (table) => `public.${table}`,
    },
    {
      name: "MySQL",
      database: reach("mysql", mysql, "writer"),
      reader: reach("mysql", mysql, "replicator"),
      qualified: (table) => table,
    },
  ];
}
