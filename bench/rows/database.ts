/** The databases of the stack, and what a round leaves in them. */
import { connectMysql, mysqlTable } from "../../shared/database/mysql.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { databases, type TestDatabase } from "../../tests/databases.ts";
import { until } from "../../tests/until.ts";

/** The databases that are measured. */
export type DatabaseName = "MySQL" | "PostgreSQL";

/** A database of the stack. */
export function stackDatabase(name: DatabaseName): TestDatabase {
  return databases().find((db) => db.name === name)!;
}

/** Removes a round's table, its slots, and what else it held. */
export async function discard(
  db: TestDatabase,
  table: string,
  held: readonly (AsyncDisposable | undefined)[],
): Promise<void> {
  for (const thing of held) await thing?.[Symbol.asyncDispose]();
  if (db.database.kind === "mysql") {
    const client = await connectMysql(db.database);
    await client.query(`DROP TABLE ${mysqlTable(table)}`);
    return await client.end();
  }
  await dropSlots(db, table);
  const client = await connectPostgres(db.database, "list-sync bench");
  await client.query({ text: `drop table public.${table}` });
  await client.end();
}

/** Drops the slots of the table's captures: they would keep the log of all that comes after. */
async function dropSlots(db: TestDatabase, table: string): Promise<void> {
  const client = await connectPostgres(db.reader, "list-sync bench");
  const slots = "pg_replication_slots where slot_name like $1";
  const values = [`%${table}%`];
  await until(`the slots of ${table} are free`, async () => {
    const { rows } = await client.query({ text: `select 1 from ${slots} and active`, values });
    return rows.length === 0;
  });
  await client.query({ text: `select pg_drop_replication_slot(slot_name) from ${slots}`, values });
  await client.end();
}
