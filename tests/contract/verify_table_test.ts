/** The texts in which `verify` reads tables: those that the type table in the README promises. */
import assert from "node:assert/strict";
import { connectMysql } from "../../shared/database/mysql.ts";
import type { DatabaseOptions } from "../../shared/database/options.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { ConfigError } from "../../shared/errors.ts";
import { tables } from "../../shared/verify/mod.ts";
import type { TableOptions } from "../../shared/verify/table.ts";
import { databases } from "../databases.ts";

/** Column type, literal, text. */
type Case = [type: string, literal: string, text: string | null];

const CASES: Record<DatabaseOptions["kind"], Case[]> = {
  postgresql: [
    ["bigint", "9223372036854775807", "9223372036854775807"],
    ["smallint", "-1", "-1"],
    ["numeric(12,2)", "12.50", "12.50"],
    ["numeric", "'NaN'", "NaN"],
    ["real", "0.1", "0.1"],
    ["double precision", "1e20", "100000000000000000000"],
    ["double precision", "'-0'", "-0"],
    ["double precision", "'-Infinity'", "-Infinity"],
    ["boolean", "true", "true"],
    ["text", "''", ""],
    ["text", "NULL", null],
    ["text", "E'a,\"b\"\\nc'", 'a,"b"\nc'],
    ["char(4)", "'ab'", "ab  "],
    ["jsonb", `'{"a": 1.0}'`, '{"a": 1.0}'],
    ["json", `'{"a" :1.0}'`, '{"a" :1.0}'],
    ["timestamp(6)", "'2026-11-21 10:00:00.120'", "2026-11-21T10:00:00.12"],
    ["timestamp", "'infinity'", "infinity"],
    ["timestamp", "'0044-03-15 12:00:00 BC'", "0044-03-15 12:00:00 BC"],
    ["timestamptz", "'2026-11-21 10:00:00+02'", "2026-11-21T08:00:00Z"],
    ["date", "'2026-11-21'", "2026-11-21"],
    ["timetz", "'10:00:00+02'", "10:00:00+02"],
    ["interval", "'1 day 02:03:04.5'", "P1DT2H3M4.5S"],
    ["bytea", "'\\xdeadbeef'", "3q2+7w=="],
    ["bit(5)", "B'10101'", "10101"],
    ["uuid", "'5F1B0E5E-2B2B-4B7E-9D5E-0123456789AB'", "5f1b0e5e-2b2b-4b7e-9d5e-0123456789ab"],
    ["int[]", "'{1,NULL,3}'", "[1,null,3]"],
    ["text[]", `'{"a b",c,"NULL"}'`, '["a b","c","NULL"]'],
  ],
  mysql: [
    ["bigint unsigned", "18446744073709551615", "18446744073709551615"],
    ["tinyint(1)", "1", "1"],
    ["decimal(12,2)", "12.5", "12.50"],
    ["float", "16777217.1", "16777218"],
    ["float", "0.1", "0.1"],
    ["double", "1e20", "100000000000000000000"],
    ["varchar(20)", "''", ""],
    ["varchar(20)", "NULL", null],
    ["varchar(20)", "'a,\"b\"\\nc'", 'a,"b"\nc'],
    ["varchar(20) character set latin1", "'é'", "é"],
    ["enum('x','y')", "'y'", "y"],
    ["set('x','y')", "'x,y'", "x,y"],
    ["datetime(6)", "'2026-11-21 10:00:00.120'", "2026-11-21T10:00:00.120000"],
    ["datetime", "'0000-00-00 00:00:00'", "0000-00-00 00:00:00"],
    ["timestamp(3) null", "'2026-11-21 10:00:00.5+02:00'", "2026-11-21T08:00:00.500Z"],
    ["date", "'2026-11-21'", "2026-11-21"],
    ["time", "'-838:59:59'", "-838:59:59"],
    ["year", "2026", "2026"],
    ["bit(12)", "b'101'", "000000000101"],
    ["varbinary(10)", "x'deadbeef'", "3q2+7w=="],
    ["blob", "x'00ff'", "AP8="],
  ],
};

const PLAIN: TableOptions = { tinyint1_as_boolean: false };

async function statements(database: DatabaseOptions, sql: readonly string[]): Promise<void> {
  if (database.kind === "postgresql") {
    const client = await connectPostgres(database, "list-sync test");
    for (const text of sql) await client.query({ text });
    return await client.end();
  }
  const connection = await connectMysql(database);
  await connection.query("SET sql_mode = ''");
  for (const text of sql) await connection.query(text);
  await connection.end();
}

for (const { name, database, reader, qualified } of databases()) {
  const table = qualified("verify_types");
  const cases = CASES[database.kind];

  Deno.test(`${name}: every type's text is the one that files hold`, async () => {
    const columns = cases.map(([type], at) => `c${at} ${type}`);
    await statements(database, [
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} (id int PRIMARY KEY, ${columns.join(", ")})`,
      `INSERT INTO ${table} VALUES (1, ${cases.map(([, literal]) => literal).join(", ")})`,
    ]);
    const opened = await tables[database.kind](reader, table, PLAIN);
    try {
      const shape = await opened.shape();
      assert.deepEqual(shape.key, ["id"]);
      assert.deepEqual(shape.columns, ["id", ...cases.map((_, at) => `c${at}`)]);
      const rows = (await Array.fromAsync(opened.rows(shape.columns))).flat();
      const found = cases.map(([type, literal], at) => [type, literal, rows[0]![at + 1]]);
      assert.deepEqual(found, cases);
    } finally {
      await opened.close();
      await statements(database, [`DROP TABLE ${table}`]);
    }
  });

  Deno.test(`${name}: a generated column is no part of the table, and key columns have their own order`, async () => {
    const generated = database.kind === "mysql"
      ? "AS (a + 1)"
      : "GENERATED ALWAYS AS (a + 1) STORED";
    await statements(database, [
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} (a int, b int, c int ${generated}, PRIMARY KEY (b, a))`,
    ]);
    const opened = await tables[database.kind](reader, table, PLAIN);
    try {
      assert.deepEqual(await opened.shape(), { columns: ["a", "b"], key: ["b", "a"] });
    } finally {
      await opened.close();
      await statements(database, [`DROP TABLE ${table}`]);
    }
  });

  Deno.test(`${name}: a table that is not there is a wrong job`, async () => {
    const opened = await tables[database.kind](reader, qualified("verify_no_such_table"), PLAIN);
    try {
      await assert.rejects(() => opened.shape(), ConfigError);
    } finally {
      await opened.close();
    }
  });

  if (database.kind !== "mysql") continue;

  Deno.test(`${name}: TINYINT(1) is a boolean where the job says so; what is none stays a number`, async () => {
    await statements(database, [
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} (id int PRIMARY KEY, b tinyint(1), n tinyint)`,
      `INSERT INTO ${table} VALUES (1, 1, 1), (2, 0, 0), (3, NULL, NULL), (4, 5, 5)`,
    ]);
    const opened = await tables[database.kind](reader, table, { tinyint1_as_boolean: true });
    try {
      await opened.shape();
      const rows = (await Array.fromAsync(opened.rows(["b", "n"]))).flat();
      assert.deepEqual(rows, [["true", "1"], ["false", "0"], [null, null], ["5", "5"]]);
    } finally {
      await opened.close();
      await statements(database, [`DROP TABLE ${table}`]);
    }
  });

  if (name === "MariaDB") continue; // has no such keys

  Deno.test(`${name}: a generated column that the key needs is a part of the table`, async () => {
    await statements(database, [
      `DROP TABLE IF EXISTS ${table}`,
      `CREATE TABLE ${table} (a int, b int AS (a + 1) STORED, c int AS (a + 2) STORED, PRIMARY KEY (c, a))`,
      `INSERT INTO ${table} (a) VALUES (1)`,
    ]);
    const opened = await tables[database.kind](reader, table, PLAIN);
    try {
      const shape = await opened.shape();
      assert.deepEqual(shape, { columns: ["a", "c"], key: ["c", "a"] });
      assert.deepEqual((await Array.fromAsync(opened.rows(shape.columns))).flat(), [["1", "3"]]);
    } finally {
      await opened.close();
      await statements(database, [`DROP TABLE ${table}`]);
    }
  });
}
