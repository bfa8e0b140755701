/** Seeding on the real databases. */
import assert from "node:assert/strict";
import type { RowDataPacket } from "mysql2/promise";
import { connectMysql } from "../../shared/database/mysql.ts";
import type { DatabaseOptions } from "../../shared/database/options.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { ConfigError } from "../../shared/errors.ts";
import { writers } from "../../shared/seed/mod.ts";
import { Random } from "../../shared/seed/random.ts";
import { listRow, listUpdate } from "../../shared/seed/values.ts";
import { seedOptions } from "../../shared/seed/options.ts";
import { seed, type SeedSummary } from "../../shared/seed/seed.ts";
import { databases } from "../databases.ts";

type Plan = Record<string, unknown> & { table: string };

function run(database: DatabaseOptions, plan: Plan): Promise<SeedSummary & { told: number[] }> {
  const options = seedOptions.parse({ database, ...plan });
  const told: number[] = [];
  return seed(options, {
    open: () => writers[database.kind](options),
    now: () => performance.now(),
    progress: ({ inserts, updates, deletes }) => told.push(inserts + updates + deletes),
    signal: new AbortController().signal,
  }).then((summary) => ({ ...summary, told }));
}

/** Runs a statement and answers its cells as text. */
async function query(database: DatabaseOptions, sql: string): Promise<string[][]> {
  if (database.kind === "postgresql") {
    const client = await connectPostgres(database, "list-sync test");
    try {
      return (await client.query({ text: sql })).rows as string[][];
    } finally {
      await client.end();
    }
  }
  const connection = await connectMysql(database);
  try {
    const [rows] = await connection.query<RowDataPacket[][]>(sql);
    return Array.isArray(rows) ? rows.map((row) => row.map(String)) : [];
  } finally {
    await connection.end();
  }
}

const count = async (database: DatabaseOptions, table: string) =>
  Number((await query(database, `SELECT count(*) FROM ${table}`))[0]![0]);

for (const { name, database, qualified } of databases()) {
  /** Runs `body` with a table name of its own, and drops the table. */
  const withTable = async (suffix: string, body: (table: string) => Promise<void>) => {
    const table = qualified(`seed_test_${suffix}`);
    await query(database, `DROP TABLE IF EXISTS ${table}`);
    try {
      await body(table);
    } finally {
      await query(database, `DROP TABLE IF EXISTS ${table}`);
    }
  };

  Deno.test(`${name}: a seed makes just the changes that it tells, over several connections`, async () => {
    await withTable("counts", async (table) => {
      const { seconds, told, ...summary } = await run(database, {
        table,
        rows: 20_001,
        batch: 500,
        connections: 3,
      });
      assert.deepEqual(summary, { inserted: 10_001, updated: 5_000, deleted: 5_000 });
      assert.ok(seconds > 0);
      assert.equal(await count(database, table), 10_001 - 5_000);
      assert.equal(told.length, 41, "one message of progress a transaction");
      assert.equal(told.reduce((sum, changes) => sum + changes, 0), 20_001);
    });
  });

  Deno.test(`${name}: rows that are there are changed too, and more of them than a statement's`, async () => {
    await withTable("existing", async (table) => {
      await run(database, { table, rows: 700, mix: "1:0:0" });
      const before = await query(database, `SELECT id, category FROM ${table} ORDER BY id`);
      const { updated, deleted } = await run(database, {
        table,
        rows: 3000,
        mix: "0:5:1",
        batch: 1500,
      });
      assert.deepEqual([updated, deleted], [2500, 500]);
      const after = await query(database, `SELECT id, category FROM ${table} ORDER BY id`);
      assert.equal(after.length, 200);
      const ids = new Set(before.map(([id]) => id));
      for (const [id] of after) assert.ok(ids.has(id!), `row ${id} was not there before`);
    });
  });

  Deno.test(`${name}: an update always changes the row, whatever it held`, async () => {
    await withTable("changed", async (table) => {
      await run(database, { table, rows: 500, mix: "1:0:0" });
      const before = new Map(
        (await query(database, `SELECT id, category FROM ${table}`)).map((
          [id, text],
        ) => [id, text]),
      );
      await run(database, { table, rows: 500, mix: "0:1:0", batch: 500, connections: 1 });
      const after = await query(database, `SELECT id, category FROM ${table}`);
      const same = after.filter(([id, text]) => before.get(id) === text);
      assert.deepEqual(same, [], "rows whose category is the old one");
    });
  });

  Deno.test(`${name}: open transactions change rows of a small table without waiting for each other`, async () => {
    await withTable("apart", async (table) => {
      const options = seedOptions.parse({ database, table });
      const open = await Promise.all([1, 2].map(() => writers[database.kind](options)));
      try {
        await open[0]!.create();
        const random = new Random(1);
        const own: number[][] = [];
        for (const writer of open) {
          await writer.begin();
          own.push(await writer.insert(Array.from({ length: 300 }, () => listRow(random))));
        }
        // Each scan of the table would wait for the rows of the other until the server gives up.
        for (const [index, writer] of open.entries()) {
          const [changed, gone] = [own[index]!.slice(0, 100), own[index]!.slice(100)];
          assert.equal(await writer.update(changed.map((id) => listUpdate(random, id))), 100);
          assert.equal(await writer.delete(gone), 200);
        }
        for (const writer of open) await writer.commit();
      } finally {
        await Promise.all(open.map((writer) => writer.close()));
      }
      assert.equal(await count(database, table), 200);
    });
  });

  Deno.test(`${name}: with one connection the same seed makes the same table`, async () => {
    const contents = async (table: string, number: number) => {
      await run(database, { table, rows: 2000, batch: 300, seed: number, connections: 1 });
      return await query(database, `SELECT * FROM ${table} ORDER BY id`);
    };
    await withTable("same_1", async (one) => {
      await withTable("same_2", async (two) => {
        await withTable("other", async (other) => {
          const first = await contents(one, 1);
          assert.equal(first.length, 500);
          assert.deepEqual(await contents(two, 1), first);
          assert.notDeepEqual(await contents(other, 2), first);
        });
      });
    });
  });

  Deno.test(`${name}: a rate is never exceeded`, async () => {
    await withTable("rate", async (table) => {
      const { seconds, told } = await run(database, { table, rows: 100, rate: 200 });
      // The last transaction of two changes is due after the other 98.
      assert.ok(seconds >= 98 / 200, `100 changes at 200 a second took ${seconds} s`);
      assert.equal(
        told.length,
        50,
        "without a batch size, a hundredth of the rate is a transaction",
      );
    });
  });

  Deno.test(`${name}: a plan that runs out of rows is refused before anything is written`, async () => {
    await withTable("refused", async (table) => {
      await run(database, { table, rows: 10, mix: "1:0:0" });
      await assert.rejects(run(database, { table, rows: 11, mix: "0:0:1" }), ConfigError);
      assert.equal(await count(database, table), 10);
    });
  });

  Deno.test(`${name}: the table has its key and an index on domain`, async () => {
    await withTable("index", async (table) => {
      await run(database, { table, rows: 1 });
      const bare = table.split(".").at(-1)!;
      const sql = database.kind === "postgresql"
        ? `SELECT indexdef FROM pg_indexes WHERE tablename = '${bare}'`
        : `SELECT CONCAT('(', COLUMN_NAME, ')') FROM information_schema.STATISTICS
           WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = '${bare}'`;
      const indexes = (await query(database, sql)).map(([text]) => text!);
      for (const column of ["(id)", "(domain)"]) {
        assert.ok(indexes.some((text) => text.endsWith(column)), `${column} in ${indexes}`);
      }
    });
  });
}
