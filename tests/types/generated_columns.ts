/** PostgreSQL 18 refuses writers of a published table of which it cannot publish all columns that old rows have. */
import assert from "node:assert/strict";
import pg from "pg";
import type { DatabaseInfo } from "../../compose/native/state.ts";
import { ConfigError } from "../../shared/errors.ts";
import { postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import { SILENT } from "../silent.ts";
import { captured } from "../source_rows.ts";

/** Captures of one table may be started, and its writers go on; where not, that is said with a cure that works. */
export async function writersGoOn(info: DatabaseInfo): Promise<void> {
  const { host, port, database, users } = info;
  const client = new pg.Client({ host, port, database, ...users.admin });
  await client.connect();
  const source = (table: string) => {
    const at = { host, port, database, ...users.admin, snapshot: "never" };
    const context = { name: table, version: "0", log: SILENT, now: Date.now };
    return new PostgresSource(
      postgresOptions.parse({ ...at, tables: [`public.${table}`] }),
      context,
    );
  };
  try {
    await storedColumns(client, source("stored"));
    await ownPublication(client, source("own"));
    await virtualColumns(client, source("virtual"));
  } finally {
    await client.end();
  }
}

const begin = async (source: PostgresSource) => {
  const resume = await source.open({ resume: undefined, generation: 1 });
  await source.close();
  return resume;
};

async function storedColumns(client: pg.Client, source: PostgresSource): Promise<void> {
  await client.query(
    "CREATE TABLE stored (a int, b int GENERATED ALWAYS AS (a + 1) STORED, c int)",
  );
  await client.query("ALTER TABLE stored REPLICA IDENTITY FULL");
  const resume = await begin(source);
  await client.query("INSERT INTO stored VALUES (1, DEFAULT, 3)");
  await client.query("UPDATE stored SET c = 4");
  const rows = (await captured(source, resume)).map(({ before, after }) => [before, after]);
  assert.deepStrictEqual(rows, [
    [null, [1, 3]],
    [[1, 3], null],
    [null, [1, 4]],
  ]);
  await source.remove();
}

/** Someone's publication leaves generated columns out: `check` says so, and the capture mends it. */
async function ownPublication(client: pg.Client, source: PostgresSource): Promise<void> {
  await client.query("CREATE TABLE own (a int, b int GENERATED ALWAYS AS (a + 1) STORED)");
  await client.query("ALTER TABLE own REPLICA IDENTITY FULL");
  await client.query("CREATE PUBLICATION list_sync_own FOR TABLE own");
  await client.query("INSERT INTO own VALUES (1)");
  const update = () => client.query("UPDATE own SET a = a + 1");
  await assert.rejects(update, /cannot update table/);
  const finding = (await source.inspect()).find(({ found }) => /leaves out generated/.test(found));
  assert.equal(finding?.level, "error");
  await client.query(finding!.cure!);
  await update();
  await client.query("ALTER PUBLICATION list_sync_own DROP TABLE own");
  await client.query("ALTER PUBLICATION list_sync_own SET (publish_generated_columns = none)");
  await begin(source);
  await update();
  await source.remove();
}

async function virtualColumns(client: pg.Client, source: PostgresSource): Promise<void> {
  await client.query(
    'CREATE TABLE "virtual" (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a + 1))',
  );
  await client.query('ALTER TABLE "virtual" REPLICA IDENTITY FULL');
  await client.query('INSERT INTO "virtual" VALUES (1)');
  const update = () => client.query('UPDATE "virtual" SET a = a + 1');
  let cure = "";
  await assert.rejects(begin(source), (error) => {
    cure = (error as ConfigError).cure ?? "";
    return error instanceof ConfigError && /virtual generated column "b"/.test(error.message);
  });
  const found = (await source.inspect()).filter(({ level }) => level === "error");
  assert.deepStrictEqual(found.map(({ cure }) => cure), [cure]);
  await update();
  await client.query(cure);
  const resume = await begin(source);
  await update();
  assert.equal((await captured(source, resume)).length, 2);
  await source.remove();
}
