/** Every type, as a value and as a key: a snapshot gives what the stream gives, to the byte. */
import assert from "node:assert/strict";
import { captured, lastRows } from "../source_rows.ts";
import { NAME, onMysql, onPostgres, type OwnDatabase } from "./own_database.ts";

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

/** Types of PostgreSQL and literals of them. */
const POSTGRES_VALUES: Readonly<Record<string, readonly string[]>> = {
  smallint: ["-32768", "32767"],
  integer: ["-2147483648", "0"],
  bigint: ["-9223372036854775808", "9223372036854775807", "9007199254740993"],
  "numeric": [
    "12.50",
    "'NaN'",
    "'Infinity'",
    "'-Infinity'",
    "1e-30",
    "123456789012345678901234567890.5",
  ],
  "numeric(12,3)": ["12.5", "-0.001"],
  real: ["0.1", "'-0'", "'NaN'", "'Infinity'", "3.402823e38", "16777217"],
  "double precision": ["0.1", "'-0'", "'NaN'", "'-Infinity'", "1e300", "5e-324"],
  boolean: ["true", "false"],
  text: ["''", "'naïve ''q'' \\ 雪 😀'", "E'line\\nbreak\\ttab'"],
  "varchar(20)": ["'x'", "'a  '"],
  "char(5)": ["'ab'", "''"],
  '"char"': ["'x'"],
  name: ["'n'"],
  bytea: ["'\\x00ff10'", "''"],
  uuid: ["'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'"],
  date: ["'2026-11-21'", "'infinity'", "'0044-03-15 BC'", "'10000-01-01'"],
  time: ["'23:59:59.999999'", "'24:00'"],
  timetz: ["'10:00+05:30'"],
  timestamp: [
    "'2026-11-21 10:00:00.123456'",
    "'-infinity'",
    "'0044-03-15 12:00 BC'",
    "'20000-01-01'",
  ],
  "timestamp(3)": ["'2026-11-21 10:00:00.5'"],
  timestamptz: ["'2026-11-21 10:00:00.5+02'", "'infinity'", "'0044-03-15 12:00+00 BC'"],
  interval: ["'1 year -2 mons 3 days -04:05:06.7'", "'0'"],
  json: [`'{"a": 1.0,  "b":[]}'`],
  jsonb: [`'{"a": 1.0,  "b":[]}'`, "'1e3'"],
  xml: ["'<a>é</a>'"],
  "bit(5)": ["B'10101'"],
  varbit: ["B''", "B'1'"],
  inet: ["'10.0.0.1/8'", "'::1'"],
  cidr: ["'10.0.0.0/8'"],
  macaddr: ["'08:00:2b:01:02:03'"],
  macaddr8: ["'08:00:2b:01:02:03:04:05'"],
  point: ["'(1.5,-2)'"],
  box: ["'(1,2),(3,4)'"],
  polygon: ["'((0,0),(1,1),(2,0))'"],
  money: ["'12.34'", "'-0.01'"],
  tsvector: ["'a:1 b:2'"],
  pg_lsn: ["'16/B374D848'"],
  oid: ["4294967295"],
  regclass: ["'pg_class'"],
  int4range: ["'[1,5)'", "'empty'"],
  nummultirange: ["'{[1.0,2],(3,)}'"],
  "integer[]": ["'{{1,2},{3,NULL}}'", "'{}'", "'[0:1]={7,8}'"],
  "text[]": [`'{a,NULL,"b,\\"c\\"",""}'`],
  "timestamptz[]": ["'{2026-11-21 10:00+02}'"],
  "bytea[]": ["array['\\x00'::bytea]"],
  mood: ["'sad'", "'ok'"],
  "mood[]": ["'{ok,sad}'"],
  pair: ["'(1,\"a b\")'"],
  positive: ["7"],
  citext: ["'MiXed'"],
};

Deno.test("PostgreSQL: a snapshot gives every type as the stream does", async () => {
  await onPostgres(async (database) => {
    const types = [
      "CREATE EXTENSION citext",
      "CREATE TYPE mood AS ENUM ('sad', 'ok')",
      "CREATE TYPE pair AS (a int, b text)",
      "CREATE DOMAIN positive AS int CHECK (value > 0)",
      "ALTER DATABASE current_database SET datestyle = 'SQL, DMY'".replace(
        "current_database",
        NAME,
      ),
      `ALTER DATABASE ${NAME} SET extra_float_digits = -10`,
      `ALTER DATABASE ${NAME} SET idle_in_transaction_session_timeout = '1s'`,
      `ALTER DATABASE ${NAME} SET standard_conforming_strings = off`,
    ];
    const entries = Object.entries(POSTGRES_VALUES);
    const tables = entries.map(([type], at) =>
      `CREATE TABLE v${at} (id int PRIMARY KEY, v ${type}, w int GENERATED ALWAYS AS (id + 1) STORED)`
    );
    const rows = entries.map(([type, values], at) =>
      `INSERT INTO v${at} VALUES (0, NULL)${
        values.map((value, id) => `, (${id + 1}, CAST(${value} AS ${type}))`).join("")
      }`
    );
    await compare(database, [...types, ...tables], rows);
  });
});

/** Key columns and rows of them, in no order. */
const POSTGRES_KEYS: Readonly<Record<string, readonly string[]>> = {
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
    const entries = Object.entries(POSTGRES_KEYS);
    const tables = entries.map(([columns], at) =>
      `CREATE TABLE k${at} (${
        columns.includes("PRIMARY KEY") ? columns : `${columns} PRIMARY KEY`
      })`
    );
    const rows = entries.map(([, rows], at) =>
      `INSERT INTO k${at} VALUES ${rows.map((row) => `(${row})`).join(", ")}`
    );
    await compare(database, [...types, ...tables], rows);
  });
});

/** Types of MySQL and literals of them. */
const MYSQL_VALUES: Readonly<Record<string, readonly string[]>> = {
  tinyint: ["-128", "127"],
  "tinyint(1)": ["1", "-3"],
  "tinyint unsigned": ["255"],
  "smallint unsigned zerofill": ["7"],
  mediumint: ["-8388608"],
  "int(10) zerofill": ["42"],
  bigint: ["-9223372036854775808", "9007199254740993"],
  "bigint unsigned": ["18446744073709551615", "9007199254740991"],
  "decimal(65,30)": [
    "12.5",
    "-0.000000000000000000000000000001",
    "99999999999999999999999999999999999.5",
  ],
  "decimal(9,3) unsigned zerofill": ["0", "12.5"],
  "decimal(10,0)": ["-0"],
  float: ["0.1", "-0e0", "3.402823e38", "16777217", "1e-40"],
  "float(7,3)": ["12.3456"],
  double: ["0.1", "-0e0", "1e300", "5e-324", "1.7976931348623157e308", "123456789012345680"],
  "bit(1)": ["b'1'"],
  "bit(10)": ["b'1010101010'"],
  "bit(64)": ["b'1111111111111111111111111111111111111111111111111111111111111111'"],
  date: ["'2026-11-21'", "'0000-00-00'", "'2026-00-00'"],
  datetime: ["'2026-11-21 10:00:00'", "'0000-00-00 00:00:00'"],
  "datetime(6)": ["'2026-11-21 10:00:00.123456'", "'2026-11-00 10:00:00.5'"],
  "timestamp(3) NULL": [
    "'2026-11-21 10:00:00.5'",
    "'0000-00-00 00:00:00'",
    "'1970-01-01 00:00:01'",
  ],
  time: ["'-838:59:59'", "'00:00:00'"],
  "time(6)": ["'-00:00:00.5'", "'123:00:00.000001'"],
  year: ["2026", "0", "1901"],
  "char(5)": ["'ab'", "'a  '", "''"],
  "varchar(20)": ["'naïve 雪 😀'", "'x  '"],
  "varchar(20) CHARACTER SET latin1": ["'naïve €'"],
  "varchar(20) CHARACTER SET gbk": ["'雪中'"],
  "varchar(20) CHARACTER SET utf16": ["'雪😀'"],
  "varchar(20) CHARACTER SET sjis": ["'雪'"],
  "text CHARACTER SET cp1251": ["'снег'"],
  longtext: ["REPEAT('雪', 70000)"],
  "binary(5)": ["x'ab00'", "''"],
  "varbinary(9)": ["x'00ff10'"],
  blob: ["x'00ff'", "''"],
  longblob: ["REPEAT(x'00ff', 9000000)"],
  "enum('a','é','it''s')": ["'é'", "0", "'it''s'"],
  "enum('a','é') CHARACTER SET latin1": ["'é'"],
  "set('a','b','ç')": ["'ç,a'", "''"],
  json: [
    `'{"b": 1.0, "a": [null, "é\\\\n", 1e100, 12345678901234567890]}'`,
    "CAST(12.50 AS JSON)",
    "'\"x\"'",
  ],
  geometry: ["ST_GeomFromText('POINT(1 2)', 4326)"],
  point: ["POINT(1.5, -2)"],
  "vector(2)": ["TO_VECTOR('[1, -2.5]')"],
};

Deno.test("MySQL: a snapshot gives every type as the stream does", async () => {
  await onMysql(async (database) => {
    await database.run("SET sql_mode = '', time_zone = '+05:30'");
    const entries = Object.entries(MYSQL_VALUES);
    const tables = entries.map(([type], at) =>
      `CREATE TABLE v${at} (id INT PRIMARY KEY, v ${type}, w INT AS (id + 1) STORED, x INT AS (id + 2),
       i INT DEFAULT 5 INVISIBLE, KEY f ((id * 2)))`
    );
    const rows = entries.flatMap(([, values], at) => [
      `INSERT INTO v${at} (id, v) VALUES (0, NULL)`,
      ...values.map((value, id) => `INSERT INTO v${at} (id, v) VALUES (${id + 1}, ${value})`),
    ]);
    await compare(database, tables, rows);
  });
});

const MYSQL_KEYS: Readonly<Record<string, readonly string[]>> = {
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
  "`sel``ect` INT, `1` INT, PRIMARY KEY (`1`, `sel``ect`)": ["1, 2", "2, 2", "2, 1"],
};

Deno.test("MySQL: a snapshot cuts at keys of every type and leaves no row out", async () => {
  await onMysql(async (database) => {
    await database.run("SET sql_mode = '', time_zone = 'SYSTEM'");
    const entries = Object.entries(MYSQL_KEYS);
    const tables = entries.map(([columns], at) =>
      `CREATE TABLE k${at} (${
        columns.includes("PRIMARY KEY") ? columns : `${columns} PRIMARY KEY`
      })`
    );
    const rows = entries.map(([, rows], at) =>
      `INSERT INTO k${at} VALUES ${rows.map((row) => `(${row})`).join(", ")}`
    );
    await compare(database, tables, rows);
  });
});
