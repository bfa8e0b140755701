/** A database under test: statements, and rows as text. */
import pg from "pg";
import type { DatabaseInfo } from "../../compose/native/state.ts";
import { connectMysql } from "../../shared/database/mysql.ts";

/** What is asked of a database. */
export interface Database {
  run(sql: string): Promise<(string | null)[][]>;
  close(): Promise<void>;
}

/** Connects as the server's owner. */
export async function connect(
  kind: "PostgreSQL" | "MySQL" | "MariaDB",
  { host, port, database, users }: DatabaseInfo,
): Promise<Database> {
  if (kind !== "PostgreSQL") {
    const options = { kind: "mysql", host, port, database, ...users.admin, tls: false } as const;
    const client = await connectMysql({ ...options, connect_timeout_ms: 5_000 });
    return {
      async run(sql) {
        const [rows] = await client.query(sql);
        return Array.isArray(rows) ? rows as unknown as (string | null)[][] : [];
      },
      close: () => client.end(),
    };
  }
  const client = new pg.Client({ host, port, database, ...users.admin });
  client.on("error", () => {});
  await client.connect();
  const types = { getTypeParser: () => (text: string) => text };
  return {
    run: async (text) =>
      (await client.query({ text, rowMode: "array", types: types as never })).rows,
    close: () => client.end(),
  };
}
