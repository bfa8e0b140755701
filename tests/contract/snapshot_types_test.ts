/** Keys of every type, and values larger than a packet: a snapshot gives what the stream gives. */
import assert from "node:assert/strict";
import { captured, lastRows } from "../source_rows.ts";
import { onMysql, onPostgres, type OwnDatabase } from "./own_database.ts";

/** Runs the statements while a stream is captured, then compares with snapshots in chunks of one row. */
async function compare(
  database: OwnDatabase,
  definitions: readonly string[],
  statements: readonly string[],
): Promise<void> {
  for (const sql of definitions) await database.run(sql);
  const source = database.source("never");
  const begin = await source.open({ resume: undefined, generation: 1 });
  await source.close();
  for (const sql of statements) await database.run(sql);
  const stream = lastRows(await captured(database.source("never"), begin));
  await source.remove();
  assert.ok(stream.length > 0, "rows by the stream");
  const snapshot = database.source("only");
  const rows = await captured(snapshot, undefined);
  await snapshot.remove();
  assert.deepStrictEqual(lastRows(rows), stream);
  assert.equal(rows.length, stream.length, "each row comes once");
}

/** Key columns and rows of them, in no order. */
type Keys = Readonly<Record<string, readonly string[]>>;

/** The statements that make a table for each key, and its rows. */
function keyed(keys: Keys): { tables: string[]; rows: string[] } {
  const entries = Object.entries(keys);
  return {
    tables: entries.map(([columns], at) =>
      `CREATE TABLE k${at} (${
        columns.includes("PRIMARY KEY") ? columns : `${columns} PRIMARY KEY`
      })`
    ),
    rows: entries.map(([, rows], at) =>
      `INSERT INTO k${at} VALUES ${rows.map((row) => `(${row})`).join(", ")}`
    ),
  };
}

const POSTGRES_KEYS: Keys = {
  "k bigint": ["9007199254740993", "-5", "0", "9223372036854775807"],
  "k numeric": ["1.10", "'NaN'", "-3", "'Infinity'", "1e20", "0.001"],
  "k double precision": ["0.1", "'NaN'", "-1e300", "'Infinity'", "5e-324"],
  "k real": ["0.1", "0.2", "16777216", "-3.4e38"],
  "k text": ["'a'", "'B'", "'é'", "'_'", "''", "'a b'", "'\\'", "'it''s'", "'雪'"],
  'k text COLLATE "C"': ["'a'", "'B'", "'é'", "'_'", "'Z'"],
  "k varchar(9)": ["'b'", "'A'", "'a'", "'a '"],
  "k char(3)": ["'b'", "'A'", "'a'"],
  "k bytea": ["'\\x00'", "'\\xff'", "''", "'\\x0001'"],
  "k uuid": ["'b0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'"],
  "k date": ["'2026-11-21'", "'infinity'", "'0044-03-15 BC'", "'-infinity'", "'10000-01-01'"],
  "k timestamp": ["'2026-11-21 10:00:00.000001'", "'2026-11-21 10:00'", "'0044-03-15 BC'"],
  "k timestamptz": ["'2026-11-21 10:00+02'", "'2026-11-21 10:00+03'", "'-infinity'"],
  "k time": ["'10:00'", "'24:00'", "'09:59:59.999999'"],
  "k interval": ["'1 day'", "'23:59'", "'-1 mon'", "'1 mon'"],
  "k boolean": ["true", "false"],
  "k mood": ["'ok'", "'sad'", "'Mad'"],
  "k inet": ["'10.0.0.1'", "'9.0.0.1/8'", "'::1'"],
  "k int4range": ["'[1,5)'", "'[1,4)'", "'empty'"],
  "k integer[]": ["'{2}'", "'{1,2,3}'", "'{}'"],
  "k positive": ["9", "10", "1"],
  "k citext": ["'b'", "'A'", "'C'", "'d'"],
  "k pair": ["'(2,a)'", "'(10,a)'", "'(2,B)'"],
  "k numeric(9,2), j text, PRIMARY KEY (j, k)": ["1, 'b'", "2, 'a'", "10, 'b'", "9, 'B'", "1, 'a'"],
  '"__proto__" int, "constructor" int, PRIMARY KEY ("constructor", "__proto__")': ["1, 2", "2, 1"],
  '"Sel""ect" int, "1" date, PRIMARY KEY ("1", "Sel""ect")': [
    "2, '2026-01-01'",
    "1, '2026-01-01'",
    "1, '2025-01-01'",
  ],
  "k int, j int, i int, PRIMARY KEY (k, j, i)": ["1,2,3", "1,2,4", "1,1,9", "0,9,9", "2,0,0"],
};

Deno.test("PostgreSQL: a snapshot cuts at keys of every type and leaves no row out", async () => {
  await onPostgres(async (database) => {
    const types = [
      "CREATE EXTENSION citext",
      "CREATE TYPE mood AS ENUM ('sad', 'ok', 'Mad')",
      "CREATE TYPE pair AS (a int, b text)",
      "CREATE DOMAIN positive AS int CHECK (value > 0)",
    ];
    const { tables, rows } = keyed(POSTGRES_KEYS);
    await compare(database, [...types, ...tables], rows);
  });
});

Deno.test("MySQL: a snapshot gives a value of more than 16 MiB as the stream does", async () => {
  await onMysql(async (database) => {
    const table = "CREATE TABLE large (id INT PRIMARY KEY, v LONGBLOB, w INT)";
    const row = "INSERT INTO large VALUES (1, REPEAT(x'00ff', 9000000), 2)";
    await compare(database, [table], [row]);
  });
});

const MYSQL_KEYS: Keys = {
  "k BIGINT UNSIGNED": ["18446744073709551615", "9007199254740993", "9007199254740992", "0"],
  "k BIGINT": ["-9223372036854775808", "9007199254740993", "9007199254740992", "0"],
  "k DECIMAL(30,5)": [
    "1.1",
    "-3",
    "1234567890123456789012345.00001",
    "1234567890123456789012345.00002",
  ],
  "k DECIMAL(9,3) ZEROFILL": ["1.1", "10", "9"],
  "k FLOAT": ["0.1", "0.2", "16777216"],
  "k DOUBLE": ["0.1", "0.2", "1e300"],
  "k VARCHAR(20)": ["'a'", "'B'", "'é2'", "'_'", "''", "'it''s'", "'\\\\'", "'雪'", "'b2 '"],
  "k VARCHAR(20) COLLATE utf8mb4_bin": ["'a'", "'A'", "'é'", "'Z'"],
  "k VARCHAR(20) CHARACTER SET latin1 COLLATE latin1_german2_ci": ["'ä'", "'b'", "'z'", "'ß'"],
  "k CHAR(4) CHARACTER SET gbk": ["'雪'", "'a'", "'中'"],
  "k VARCHAR(9) CHARACTER SET utf16": ["'雪'", "'a'", "'😀'"],
  "k TEXT, PRIMARY KEY (k(5))": ["'aaaaa1'", "'aaaab2'", "'b'"],
  "k BINARY(4)": ["x'00'", "x'ff'", "x'0001'"],
  "k VARBINARY(9)": ["x'00'", "x'ff'", "''", "x'0001'"],
  "k DATE": ["'2026-11-21'", "'0000-00-00'", "'2026-00-00'", "'9999-12-31'"],
  "k DATETIME(6)": [
    "'2026-11-21 10:00:00.000001'",
    "'2026-11-21 10:00:00'",
    "'0000-00-00 00:00:00'",
  ],
  "k TIMESTAMP(3)": ["'2026-11-21 10:00:00.001'", "'2026-11-21 10:00:00'", "'2026-03-29 02:30:00'"],
  "k TIME(3)": ["'-838:59:59'", "'00:00:00.001'", "'100:00:00'", "'99:00:00'"],
  "k YEAR": ["2026", "0", "1901", "2155"],
  "k BIT(12)": ["b'101'", "b'111111111111'", "b'0'"],
  "k ENUM('z','a','m')": ["'z'", "'a'", "'m'"],
  "k SET('z','a','m')": ["'z'", "'a,m'", "'z,a'"],
  "k INT, j VARCHAR(9), PRIMARY KEY (j DESC, k)": ["1, 'b'", "2, 'a'", "10, 'b'", "1, 'a'"],
  "k INT, j VARCHAR(9), i DATE, PRIMARY KEY (j, i, k)": [
    "1, 'b', '2026-01-01'",
    "2, 'b', '2026-01-01'",
    "1, 'b', '2025-01-01'",
    "1, 'a', '2027-01-01'",
    "3, 'a', '2027-01-01'",
  ],
  "`__proto__` INT, k0 INT, k1 INT, PRIMARY KEY (k1, `__proto__`, k0)": ["1, 2, 3", "3, 1, 2"],
  "`sel``ect` INT, `1` INT, PRIMARY KEY (`1`, `sel``ect`)": ["1, 2", "2, 2", "2, 1"],
};

Deno.test("MySQL: a snapshot cuts at keys of every type and leaves no row out", async () => {
  await onMysql(async (database) => {
    await database.run("SET sql_mode = '', time_zone = 'SYSTEM'");
    const { tables, rows } = keyed(MYSQL_KEYS);
    await compare(database, tables, rows);
  });
});
