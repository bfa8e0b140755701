/** What `check` finds about a table that a job reads or writes as an ordinary client; nothing is changed. */
import { quoteIdentifier } from "../connect/postgres.ts";
import { ConfigError } from "../errors.ts";
import type { Finding } from "../sources/source.ts";
import { connectMysql, mysqlTable } from "./mysql.ts";
import type { DatabaseOptions } from "./options.ts";
import { connectPostgres, pgTable, pgTableName } from "./postgres.ts";

/** Statements that are explained and so not carried out: the servers check privileges all the same. */
const TRIALS = {
  reads: (table: string) => [`SELECT 1 FROM ${table}`],
  writes: (table: string) => [
    `SELECT 1 FROM ${table}`,
    `INSERT INTO ${table} SELECT * FROM ${table}`,
    `UPDATE ${table} SET id = id`,
    `DELETE FROM ${table}`,
  ],
};

/** SQLSTATE and MySQL's name for a table that is not there. */
const MISSING = new Set(["42P01", "ER_NO_SUCH_TABLE"]);

/** Logs in and tries what the job will do with `table`. Throws as the connections do. */
export async function inspectTable(
  options: DatabaseOptions,
  table: string,
  use: keyof typeof TRIALS,
): Promise<Finding[]> {
  const { host, port, database, user } = options;
  const server = `database ${host}:${port}`;
  const found: Finding = { level: "ok", subject: server, found: `${user} may use ${database}` };
  return [found, await tableFinding(options, table, use)];
}

async function tableFinding(
  options: DatabaseOptions,
  table: string,
  use: keyof typeof TRIALS,
): Promise<Finding> {
  const subject = `table ${table}`;
  const session = await open(options);
  try {
    const name = options.kind === "mysql" ? mysqlTable(table) : pgTable(table);
    for (const statement of TRIALS[use](name)) await session.ask(`EXPLAIN ${statement}`);
    return { level: "ok", subject, found: use === "reads" ? "readable" : "readable and writable" };
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    if (error instanceof ConfigError) {
      return { level: "error", subject, found: message, cure: error.cure };
    }
    if (!MISSING.has(code ?? "")) throw error;
    if (use === "reads") {
      return { level: "error", subject, found: "it does not exist", cure: "correct table" };
    }
    const refused = await session.refusesTables(table);
    return refused === undefined
      ? { level: "ok", subject, found: "not there yet: made by the job" }
      : { level: "error", subject, found: "not there, and it may not be made", cure: refused };
  } finally {
    await session.close();
  }
}

/** A connection that takes statements. */
interface Trial {
  ask(sql: string): Promise<unknown>;
  /** The statement that lets the user make a table that is not there; undefined: it may. */
  refusesTables(table: string): Promise<string | undefined>;
  close(): Promise<void>;
}

async function open(options: DatabaseOptions): Promise<Trial> {
  if (options.kind === "mysql") {
    const connection = await connectMysql(options);
    return {
      ask: (sql) => connection.query(sql),
      // Who may not make a table may not read it either: that was found before.
      refusesTables: () => Promise.resolve(undefined),
      close: () => connection.end(),
    };
  }
  const client = await connectPostgres(options, "list-sync check");
  return {
    ask: (text) => client.query({ text }),
    refusesTables: async (table) => {
      const { schema } = pgTableName(table);
      const { rows } = await client.query({
        text: "SELECT has_schema_privilege(oid, 'CREATE') FROM pg_namespace WHERE nspname = $1",
        values: [schema],
      });
      if (rows[0]?.[0] === "t") return undefined;
      const name = quoteIdentifier(schema);
      const user = quoteIdentifier(options.user);
      return rows.length === 0
        ? `CREATE SCHEMA ${name} AUTHORIZATION ${user}`
        : `GRANT USAGE, CREATE ON SCHEMA ${name} TO ${user}`;
    },
    close: () => client.end(),
  };
}
