/** MariaDB as a source, on a server of the test's own: the server's SQL says what values are. */
import assert from "node:assert/strict";
import type { Change, Value } from "../../shared/change.ts";
import { databaseOptions } from "../../shared/database/options.ts";
import { type ConfigError, HistoryLostError } from "../../shared/errors.ts";
import type { Log } from "../../shared/observe/log.ts";
import { BinlogDump } from "../../shared/sources/mysql/dump.ts";
import { CONSISTENT_SNAPSHOT, MysqlSession } from "../../shared/sources/mysql/connection.ts";
import { captureIdentity } from "../../shared/sources/mysql/identity.ts";
import { MARIADB } from "../../shared/sources/mysql/mariadb_flavour.ts";
import { type MysqlOptions, mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MariadbSource, MysqlSource } from "../../shared/sources/mysql/source.ts";
import type { ResumePoint, SourceBatch } from "../../shared/sources/source.ts";
import { openMysqlTable } from "../../shared/verify/mysql.ts";
import type { TableShape } from "../../shared/verify/table.ts";
import { EventType, readEvent, readHeartbeat } from "../../shared/wire/binlog_event.ts";
import { charsetOf } from "../../shared/wire/mysql_charset.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import type { OwnMysql } from "../own_mysql.ts";
import { compareCharsets } from "../charsets.ts";
import { batchesToEnd, captured, lastRows } from "../source_rows.ts";
import { until } from "../until.ts";

/** Sources and statements on the server under test. */
class Lab {
  readonly server: OwnMysql;
  readonly told: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  #made = 0;

  constructor(server: OwnMysql) {
    this.server = server;
  }

  source(more: Partial<MysqlOptions> = {}, name = `mariadb-${++this.#made}`): MariadbSource {
    const { host, port, users } = this.server.info;
    const at = { host, port, ...users.replicator, tables: ["shop.*"] };
    const options = mysqlOptions.parse({ ...at, snapshot: "never", ...more });
    const tell = (event: string, fields: Record<string, unknown> = {}) =>
      void this.told.push({ event, fields });
    const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
    return new MariadbSource(options, { name, version: "0", log, now: Date.now });
  }

  async run(...statements: readonly string[]): Promise<string[][]> {
    let rows: string[][] = [];
    for (const sql of statements) rows = await this.server.run(sql);
    return rows;
  }

  /** Where the log ends now. */
  async here(): Promise<ResumePoint> {
    const source = this.source();
    try {
      return await source.open({ resume: undefined, generation: 1 });
    } finally {
      await source.close();
    }
  }

  batches(resume: ResumePoint | undefined, source = this.source()): Promise<SourceBatch[]> {
    return batchesToEnd(source, resume);
  }

  changes(resume: ResumePoint | undefined, source = this.source()): Promise<Change[]> {
    return captured(source, resume);
  }

  /** A table as `verify` sees it. */
  async verified(table: string): Promise<TableShape> {
    const { host, port, database, users } = this.server.info;
    const at = { kind: "mysql", host, port, database, ...users.replicator };
    const reader = await openMysqlTable(databaseOptions.parse(at), table, {
      tinyint1_as_boolean: false,
    });
    try {
      return await reader.shape();
    } finally {
      await reader.close();
    }
  }

  /** The changes that statements make. */
  async made(...statements: readonly string[]): Promise<Change[]> {
    const start = await this.here();
    await this.run(...statements);
    return await this.changes(start);
  }

  async lost(resume: ResumePoint, message: RegExp): Promise<void> {
    await assert.rejects(this.changes(resume), (error) => {
      assert.ok(error instanceof HistoryLostError, String(error));
      assert.match(error.message, message);
      assert.match(error.cure!, /deno task positions reset --yes JOB/);
      return true;
    });
  }
}

const shape = (changes: readonly Change[]) =>
  changes.map(({ op, before, after }) => [op, before, after]);
const ids = (changes: readonly Change[]) => changes.map(({ after }) => after?.[0]);

/** Column type, values to insert, and how the server's own text becomes ours. */
interface TypeCase {
  readonly type: string;
  readonly values: readonly string[];
  /** What to select, `c` being the column. */
  readonly select?: string;
  readonly text?: (server: string) => string;
  /** The type as the schema has it, where that is not COLUMN_TYPE without display width. */
  readonly shown?: string;
}

const HEX = { select: "HEX(c)" };
const iso = (text: string) => /-00|^0000/.test(text) ? text : text.replace(" ", "T");
const utc = (text: string) => text.startsWith("0000") ? text : `${text.replace(" ", "T")}Z`;
const number = (text: string) => String(Number(text));

const TYPES: readonly TypeCase[] = [
  ...[["tinyint", 8], ["smallint", 16], ["mediumint", 24], ["int", 32], ["bigint", 64]].flatMap(
    ([type, bits]): TypeCase[] => {
      const top = 1n << BigInt(Number(bits) - 1);
      return [
        { type: `${type}`, values: [`${-top}`, `${top - 1n}`, "0", "-1"] },
        { type: `${type} unsigned`, values: [`${2n * top - 1n}`, "0", `${top}`] },
      ];
    },
  ),
  { type: "bigint", values: ["9007199254740993", "-9007199254740992"] },
  { type: "int(6) zerofill", values: ["7"], select: "c + 0", shown: "int unsigned" },
  {
    type: "decimal(65,30)",
    values: ["-12345678901234567890123456789012345.123456789012345678901234567890", "0"],
  },
  { type: "decimal(12,2) unsigned", values: ["12.50", "9999999999.99"] },
  { type: "float", values: ["0.1", "-3.4e38", "1e-40"], select: "CAST(c AS DOUBLE)", text: number },
  { type: "double", values: ["0.1", "-1.7976931348623157e308", "5e-324"], text: number },
  { type: "bit(11)", values: ["b'10000000001'", "b'101'"], select: "LPAD(BIN(c), 11, '0')" },
  { type: "bit(64)", values: ["b'1'", "~0"], select: "LPAD(BIN(c), 64, '0')" },
  { type: "year", values: ["1901", "2155", "0"] },
  { type: "date", values: ["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2026-11-00'"] },
  ...["", "(1)", "(3)", "(6)"].flatMap((digits): TypeCase[] => [
    {
      type: `datetime${digits}`,
      values: ["'2026-11-21 10:00:00.123456'", "'0000-00-00 00:00:00'", "'2026-00-21 01:02:03.5'"],
      text: iso,
    },
    {
      type: `timestamp${digits}`,
      values: ["'2026-11-21 10:00:00.123456'", "'1970-01-01 00:00:01'", "'0000-00-00 00:00:00'"],
      text: utc,
    },
    { type: `time${digits}`, values: ["'-838:59:59'", "'-00:00:00.654321'", "'12:34:56.789012'"] },
  ]),
  { type: "char(10)", values: ["'hé'", "''", "'spaces  '"] },
  { type: "varchar(400)", values: ["REPEAT('ü', 400)", "'😀'"] },
  { type: "varchar(10) character set latin1", values: ["'€ü'", "'abc'"], shown: "varchar(10)" },
  { type: "varchar(10) character set gbk", values: ["'中文'"], shown: "varchar(10)" },
  { type: "varchar(10) character set utf32", values: ["'😀ü'"], shown: "varchar(10)" },
  {
    type: "varchar(10) collate utf8mb4_nopad_bin",
    values: ["'é '"],
    shown: "varchar(10)",
  },
  { type: "varchar(10) collate uca1400_as_ci", values: ["'é'"], shown: "varchar(10)" },
  { type: "text", values: ["REPEAT('ü', 300)"] },
  { type: "longtext", values: ["REPEAT('x', 70000)", "''"] },
  { type: "binary(5)", values: ["x'0102'", "''"], ...HEX },
  { type: "varbinary(300)", values: ["x'0100'", "''"], ...HEX },
  { type: "blob", values: ["x'ff00'", "''"], ...HEX },
  { type: "longblob", values: ["REPEAT(x'fe', 70000)"], ...HEX },
  { type: "enum('a','it''s','ü','')", values: ["'it''s'", "3", "''", "'wrong'"] },
  { type: "set('a','b','ü')", values: ["'a,ü'", "''", "7"] },
  {
    type: String.raw`enum('a\\b','n\nn','r\rr','z\0z','\\n')`,
    values: ["1", "2", "3", "4", "5"],
  },
  { type: String.raw`set('a\\b','n\nn','r\rr','z\0z','\\n')`, values: ["31", "5"] },
  { type: "enum('😀','x')", values: ["1", "2"], shown: "enum('?','x')" },
  { type: "json", values: [`'{"b": 1.0,  "a":[]}'`], shown: "longtext" },
  { type: "geometry", values: ["ST_GeomFromText('POINT(1 2)', 4326)"], ...HEX },
  {
    type: "geometrycollection",
    values: ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))')"],
    ...HEX,
    shown: "geomcollection",
  },
  // After a geometry: it counts among the columns that have a character set here.
  { type: "varchar(9) character set cp1251", values: ["'снег'"], shown: "varchar(9)" },
  {
    type: "inet6",
    values: [
      ...[
        "::",
        "::1",
        "2001:db8::1",
        "fe80::1:0:0:1",
        "1:0:0:2:0:0:0:3",
        "1:0:2:3:4:5:6:7",
        "1:0:2:0:3::4",
      ],
      ...["::1.2.3.4", "::ffff:1.2.3.4", "::ffff:0.0.0.0", "::0.1.0.0", "::ffff:0:0:0"],
      ...["1::", "0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "64:ff9b::1.2.3.4"],
    ].map((address) => `'${address}'`),
  },
  { type: "inet4", values: ["'0.0.0.0'", "'1.2.3.4'", "'255.255.255.0'", "'10.0.0.0'"] },
  {
    type: "uuid",
    values: [
      "'123e4567-e89b-12d3-a456-426655440000'",
      "'00000000-0000-0000-0000-000000000000'",
      "'FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF'",
      "UUID()",
      "'6fa459ea-ee8a-4ca4-894e-db77e160355e'",
    ],
  },
  { type: "varchar(10) compressed", values: ["'üx'", "''"], shown: "varchar(10)" },
  { type: "varchar(9000) compressed", values: ["REPEAT('ü', 8000)"], shown: "varchar(9000)" },
  { type: "text compressed", values: ["REPEAT('ü', 300)", "'x'", "''"], shown: "text" },
  { type: "longblob compressed", values: ["REPEAT(x'00ff', 90000)"], ...HEX, shown: "longblob" },
];

/** Our value as the text to compare with the server's. */
function asText(value: Value | undefined): string {
  return value instanceof Uint8Array ? value.toHex().toUpperCase() : String(value);
}

async function everyType(lab: Lab): Promise<void> {
  const start = await lab.here();
  const expected: string[] = [];
  await lab.run("SET sql_mode = ''", "SET time_zone = '+00:00'", "SET NAMES utf8mb4");
  for (const [i, { type, values, select = "CAST(c AS CHAR)", text = String }] of TYPES.entries()) {
    const table = `types_${i}`;
    await lab.run(`CREATE TABLE ${table} (id INT AUTO_INCREMENT PRIMARY KEY, c ${type} NULL)`);
    const all = [...values, "NULL"].map((value) => `(${value})`).join(", ");
    await lab.run(`INSERT INTO ${table} (c) VALUES ${all}`);
    for (const [cell] of await lab.run(`SELECT ${select} FROM ${table} ORDER BY id`)) {
      expected.push(`${type} ${cell === null ? "null" : text(cell!)}`);
    }
  }
  const changes = await lab.changes(start);
  const found = changes.map(({ after, table }) =>
    `${TYPES[Number(table.table.slice("types_".length))]!.type} ${asText(after![1])}`
  );
  assert.deepEqual(found, expected);
  for (const { table: { table, columns } } of changes) {
    const { type, shown = type } = TYPES[Number(table.slice("types_".length))]!;
    assert.equal(columns[1]!.type, shown);
  }
  const snapshot = await lab.changes(
    undefined,
    lab.source({ snapshot: "only", snapshot_chunk_rows: 1, snapshot_workers: 3 }),
  );
  assert.deepEqual(lastRows(snapshot), lastRows(changes), "the snapshot's rows are the stream's");
  const schemas = (changes: readonly Change[]) =>
    [...new Set(changes.map(({ table }) => JSON.stringify(table)))].sort();
  assert.deepEqual(schemas(snapshot), schemas(changes), "and its schemas");
  for (const i of TYPES.keys()) await lab.run(`DROP TABLE types_${i}`);
}

async function everyCollation(lab: Lab): Promise<void> {
  const rows = await lab.run(
    `SELECT ID, c.CHARACTER_SET_NAME, MAXLEN
     FROM information_schema.COLLATION_CHARACTER_SET_APPLICABILITY c
     JOIN information_schema.CHARACTER_SETS USING (CHARACTER_SET_NAME) WHERE ID IS NOT NULL`,
  );
  assert.ok(rows.length > 1000, `${rows.length} collations`);
  for (const [id, name, bytes] of rows) {
    const charset = charsetOf(Number(id));
    assert.deepEqual([charset.name, charset.max_bytes], [name, Number(bytes)], `collation ${id}`);
  }
}

async function everyCharset(lab: Lab): Promise<void> {
  await lab.run("SET SESSION sql_mode = DEFAULT");
  await compareCharsets((sql) => lab.run(sql));
}

async function gtids(lab: Lab): Promise<void> {
  const start = await lab.here();
  const expected: string[] = [];
  const write = async (sql: string) => {
    await lab.run(sql);
    expected.push((await lab.run("SELECT @@last_gtid"))[0]![0]!);
  };
  await lab.run("CREATE TABLE named (id INT PRIMARY KEY)");
  await write("INSERT INTO named VALUES (1)");
  await lab.run("SET SESSION gtid_domain_id = 5, SESSION server_id = 77");
  await write("INSERT INTO named VALUES (2)");
  await lab.run("SET SESSION gtid_domain_id = 0, SESSION server_id = 1");
  await write("TRUNCATE named");
  const batches = await lab.batches(start);
  const changes = batches.flatMap(({ changes }) => changes);
  assert.deepEqual(changes.map(({ coordinates }) => coordinates["gtid"]), expected);
  assert.deepEqual(changes.map(({ transaction }) => transaction.id), expected);
  assert.match(expected[1]!, /^5-77-1$/);
  assert.deepEqual(new Set(changes.map(({ source }) => source.connector)), new Set(["mariadb"]));
  const { gtid_set, server_id } = batches.at(-1)!.resume;
  const [[position]] = await lab.run("SELECT @@gtid_binlog_pos") as [[string]];
  assert.equal(gtid_set, position.split(",").sort().join(","));
  assert.equal(server_id, "1");
}

async function shapesOfEvents(lab: Lab): Promise<void> {
  const table = "CREATE OR REPLACE TABLE shaped (id INT PRIMARY KEY, v VARCHAR(500), n INT)";
  const [x, y] = ["x".repeat(400), "y".repeat(300)];
  const compressed = await lab.made(
    "SET GLOBAL log_bin_compress = ON, GLOBAL log_bin_compress_min_len = 10",
    table,
    `INSERT INTO shaped VALUES (1, '${x}', 1), (2, '${y}', 2)`,
    "UPDATE shaped SET n = n + 1",
    "UPDATE shaped SET id = 3 WHERE id = 2",
    "DELETE FROM shaped",
    "TRUNCATE TABLE shop.shaped",
    "SET GLOBAL log_bin_compress = OFF",
    "SET GLOBAL binlog_checksum = NONE",
    "INSERT INTO shaped VALUES (4, '', 4)",
    "SET GLOBAL binlog_checksum = CRC32",
    "INSERT INTO shaped VALUES (5, '', 5)",
  );
  assert.deepEqual(shape(compressed), [
    ["c", null, [1, x, 1]],
    ["c", null, [2, y, 2]],
    ["u", [1, x, 1], [1, x, 2]],
    ["u", [2, y, 2], [2, y, 3]],
    ["d", [2, y, 3], null],
    ["c", null, [3, y, 3]],
    ["d", [1, x, 2], null],
    ["d", [3, y, 3], null],
    ["t", null, null],
    ["c", null, [4, "", 4]],
    ["c", null, [5, "", 5]],
  ]);
  const partial = await lab.made(
    table,
    "INSERT INTO shaped VALUES (1, 'a', 1)",
    "SET SESSION binlog_row_image = MINIMAL",
    "UPDATE shaped SET v = 'b'",
    "SET SESSION binlog_row_image = FULL",
  );
  assert.deepEqual(shape(partial).at(-1), [
    "u",
    [1, undefined, undefined],
    [1, "b", undefined],
  ]);
  const others = await lab.made(
    "CREATE TABLE copied AS SELECT * FROM shaped",
    "BEGIN",
    "INSERT INTO shaped VALUES (5, 'kept', 5)",
    "SAVEPOINT s",
    "INSERT INTO shaped VALUES (6, 'taken back', 6)",
    "ROLLBACK TO s",
    "COMMIT",
    "CREATE TABLE plain (id INT) ENGINE = MyISAM",
    "INSERT INTO plain VALUES (1), (2)",
    "SET STATEMENT max_statement_time = 60 FOR INSERT INTO shaped VALUES (7, 'set', 7)",
    "XA START 'one'",
    "INSERT INTO shaped VALUES (8, 'xa', 8)",
    "XA END 'one'",
    "XA COMMIT 'one' ONE PHASE",
  );
  assert.deepEqual(
    others.map(({ op, table, after }) => [op, table.table, after]),
    [
      ["c", "copied", [1, "b", 1]],
      ["c", "shaped", [5, "kept", 5]],
      ["c", "plain", [1]],
      ["c", "plain", [2]],
      ["c", "shaped", [7, "set", 7]],
      ["c", "shaped", [8, "xa", 8]],
    ],
  );
}

async function truncates(lab: Lab): Promise<void> {
  const names = ["cut", "`größe`", "`雪誠`", "nowait"];
  await lab.run("SET NAMES utf8mb4", ...names.map((name) => `CREATE TABLE ${name} (id INT)`));
  const statements = [
    ...["TRUNCATE TABLE cut NOWAIT", "TRUNCATE cut WAIT 5", "TRUNCATE TABLE cut WAIT 0.5"],
    ...["TRUNCATE .cut", "TRUNCATE TABLE shop . cut", "TRUNCATE nowait nowait"],
    ...["TRUNCATE cut /*M!100000 NOWAIT */", "TRUNCATE /* x */ TABLE cut /*!99999 NOWAIT */"],
    ...[
      "TRUNCATE cut /*M!999999 NOWAIT */",
      "SET STATEMENT lock_wait_timeout=5 FOR TRUNCATE cut NOWAIT",
    ],
    ...["--\nTRUNCATE cut --", "TRUNCATE cut; \0", "EXECUTE IMMEDIATE 'TRUNCATE cut WAIT 4'"],
  ];
  const plain = await lab.made(...statements);
  const oracle = await lab.made(
    "SET SESSION sql_mode = ORACLE",
    "TRUNCATE TABLE cut DROP STORAGE",
    "TRUNCATE TABLE cut WAIT 3 REUSE STORAGE",
    "TRUNCATE TABLE cut NOWAIT DROP STORAGE",
    "SET SESSION sql_mode = DEFAULT",
  );
  const coded = await lab.made(
    "SET NAMES latin1",
    "TRUNCATE größe",
    "TRUNCATE TABLE `größe` NOWAIT",
    "SET NAMES gbk",
    "TRUNCATE `雪誠`",
    "SET NAMES utf8mb4",
    "TRUNCATE größe",
  );
  const told = (changes: readonly Change[]) => changes.map(({ op, table }) => op + table.table);
  assert.deepEqual(
    told(plain),
    statements.map((sql) => sql.includes("nowait") ? "tnowait" : "tcut"),
  );
  assert.deepEqual(told(oracle), ["tcut", "tcut", "tcut"]);
  assert.deepEqual(told(coded), ["tgröße", "tgröße", "t雪誠", "tgröße"]);
  await lab.run("CREATE TABLE `heaß` (id INT) ENGINE = MEMORY");
  const start = await lab.here();
  await lab.server.restart();
  await lab.run("SET NAMES latin1", "SELECT * FROM shop.`heaß`", "SET NAMES utf8mb4", "USE shop");
  assert.deepEqual(told(await lab.changes(start)), ["theaß"], "emptied by the restart");
}

async function columnsAndSequences(lab: Lab): Promise<void> {
  const [computed, ...rest] = await lab.made(
    `CREATE TABLE computed (id INT PRIMARY KEY, v INT AS (id + 1) VIRTUAL, hidden INT INVISIBLE,
     s INT AS (id + 2) STORED, e ENUM('a\\\\b') AS (1) STORED, KEY (v))`,
    "INSERT INTO computed (id, hidden) VALUES (1, 5)",
    "CREATE SEQUENCE numbers",
    "SELECT NEXTVAL(numbers)",
    "DROP SEQUENCE numbers",
  );
  assert.deepEqual(computed!.table.columns.map(({ name }) => name), ["id", "hidden"]);
  assert.deepEqual(computed!.after, [1, 5]);
  assert.deepEqual(rest, [], "a sequence is no table");
}

async function histories(lab: Lab): Promise<void> {
  const definitions = {
    unnamed: "id INT PRIMARY KEY, v INT",
    named_columns: `id INT PRIMARY KEY, v INT, b TIMESTAMP(6) GENERATED ALWAYS AS ROW START,
      e TIMESTAMP(6) GENERATED ALWAYS AS ROW END, PERIOD FOR SYSTEM_TIME (b, e)`,
    keyless: "id INT, v INT",
  };
  for (const [name, columns] of Object.entries(definitions)) {
    const start = await lab.here();
    await lab.run(
      `CREATE TABLE ${name} (${columns}) WITH SYSTEM VERSIONING`,
      `INSERT INTO ${name} (id, v) VALUES (1, 10), (2, 20)`,
      `UPDATE ${name} SET v = 11 WHERE id = 1`,
      "SET SESSION binlog_row_image = MINIMAL",
      `DELETE FROM ${name} WHERE id = 2`,
      "SET SESSION binlog_row_image = FULL",
      `DELETE HISTORY FROM ${name}`,
    );
    const changes = await lab.changes(start);
    const isKeyless = name === "keyless";
    assert.deepEqual(
      changes.map(({ op, before, after }) => [op, before?.[0], after?.[0]]),
      [
        ["c", undefined, 1],
        ["c", undefined, 2],
        ...isKeyless ? [["d", 1, undefined], ["c", undefined, 1]] : [["u", 1, 1]],
        ["d", 2, undefined],
      ],
      name,
    );
    const { columns: found, key } = changes[0]!.table;
    assert.deepEqual(found.map(({ name }) => name), ["id", "v"], name);
    assert.deepEqual(key, isKeyless ? [] : [0]);
    const only = lab.source({ snapshot: "only", tables: [`shop.${name}`] });
    assert.deepEqual(lastRows(await lab.changes(undefined, only)), lastRows(changes), name);
    assert.deepEqual(
      await lab.verified(name),
      { columns: ["id", "v"], key: isKeyless ? [] : ["id"] },
      `${name}, as verify sees it`,
    );
  }
}

async function refusals(lab: Lab): Promise<void> {
  const table = "CREATE OR REPLACE TABLE refused (id INT PRIMARY KEY, t VARCHAR(9))";
  const refuse = async (statements: readonly string[], message: RegExp, cure: RegExp) => {
    const start = await lab.here();
    await lab.run(...statements);
    await assert.rejects(lab.changes(start), (error) => {
      assert.match((error as Error).message, message);
      assert.match((error as ConfigError).cure ?? "", cure);
      return true;
    });
  };
  await refuse(
    [table, "XA START 'x'", "INSERT INTO refused VALUES (1, '')", "XA END 'x'", "XA PREPARE 'x'"],
    /an XA transaction changes table shop\.refused/,
    /ordinary transactions/,
  );
  await lab.run("XA ROLLBACK 'x'");
  await refuse(
    [
      "SET SESSION binlog_format = STATEMENT",
      "/*M!100000 INSERT INTO refused VALUES (2, '') */",
      "SET SESSION binlog_format = ROW",
    ],
    /the binlog holds a statement \(INSERT\)/,
    /SET GLOBAL binlog_format = ROW/,
  );
  await refuse(
    [
      "SET SESSION binlog_format = STATEMENT",
      "SET STATEMENT max_statement_time = 60 FOR UPDATE refused SET t = 'x'",
      "SET SESSION binlog_format = ROW",
    ],
    /the binlog holds a statement \(UPDATE\)/,
    /SET GLOBAL binlog_format = ROW/,
  );
  const period = (column: string, bound: string) =>
    `${column} BIGINT UNSIGNED GENERATED ALWAYS AS ROW ${bound}`;
  const numbered = `CREATE TABLE numbered (id INT PRIMARY KEY, ${period("b", "START")}, ` +
    `${period("e", "END")}, PERIOD FOR SYSTEM_TIME (b, e)) WITH SYSTEM VERSIONING`;
  await refuse(
    [numbered, "INSERT INTO numbered (id) VALUES (1)"],
    /the binlog holds a statement \(INSERT\)/,
    /history by transactions.*TIMESTAMP\(6\)/,
  );
  const [named] = (await lab.source().inspect()).filter(({ level }) => level === "error");
  assert.match(`${named!.subject} ${named!.found}`, /^table shop\.numbered its history is by/);
  await lab.run("DROP TABLE numbered");
  await refuse(
    [
      "SET GLOBAL binlog_row_metadata = NO_LOG",
      table,
      "INSERT INTO refused VALUES (3, '')",
      "SET GLOBAL binlog_row_metadata = FULL",
    ],
    /Column "id" of table shop\.refused: The binlog does not say whether it is signed/,
    /SET GLOBAL binlog_row_metadata = FULL/,
  );
  await refuse(
    [
      "SET GLOBAL mysql56_temporal_format = OFF",
      "CREATE OR REPLACE TABLE refused (id INT PRIMARY KEY, at DATETIME(3))",
      "SET GLOBAL mysql56_temporal_format = ON",
      "INSERT INTO refused VALUES (3, NULL)",
    ],
    /type code 12, which is not known/,
    /mysql56_temporal_format = OFF.*ALTER TABLE \.\.\. FORCE/,
  );
}

async function resuming(lab: Lab): Promise<void> {
  await lab.run("CREATE TABLE resumed (id INT PRIMARY KEY)");
  const start = await lab.here();
  for (let i = 0; i < 60; i++) {
    if (i === 30) await lab.run("FLUSH BINARY LOGS");
    await lab.run(`INSERT INTO resumed VALUES (${i * 2}), (${i * 2 + 1})`);
  }
  const batches = await lab.batches(start, lab.source({ batch_changes: 3 }));
  const all = batches.flatMap(({ changes }) => changes.map(({ position }) => position));
  assert.equal(all.length, 120);
  assert.deepEqual(all, [...all].sort());
  for (const cut of [0, 7, Math.floor(batches.length / 2), batches.length - 1]) {
    const seen = batches.slice(0, cut + 1).flatMap(({ changes }) => changes);
    const rest = (await lab.changes(batches[cut]!.resume)).map(({ position }) => position);
    const last = seen.at(-1)?.position ?? "";
    const again = rest.filter((position) => position <= last);
    assert.ok(again.length <= 2, `more than the transaction that was cut comes again: ${again}`);
    assert.deepEqual(rest, all.slice(seen.length - again.length), `after batch ${cut}`);
  }
  const { resume } = batches.at(-1)!;
  await lab.server.restart("SIGKILL");
  await lab.run("INSERT INTO shop.resumed VALUES (1000)");
  const later = await lab.changes(resume);
  assert.deepEqual(ids(later), [1000]);
  assert.ok(later[0]!.position > all.at(-1)!, "positions rise over files");
}

async function lostHistories(lab: Lab): Promise<void> {
  await lab.run("CREATE TABLE shop.kept (id INT PRIMARY KEY)");
  const start = await lab.here();
  await lab.run("INSERT INTO shop.kept VALUES (1)");
  const middle = (await lab.batches(start)).at(-1)!.resume;
  await lab.run("INSERT INTO shop.kept VALUES (2)");
  const end = (await lab.batches(middle)).at(-1)!.resume;
  await lab.lost({ ...end, server_id: "2" }, /of server_id 1, and .* is of server 2/);
  await lab.lost({ ...end, offset: Number(end.offset) - 1 }, /No event begins at/);
  await lab.lost({ ...end, gtid_set: "0-1-1" }, /has 0-1-\d+.* where this capture has seen 0-1-1:/);
  await lab.lost({ ...end, file: "binlog.999999" }, /lies beyond the end of the log/);

  // All that was captured may go; what was not may not.
  await lab.run("FLUSH BINARY LOGS");
  await lab.lost({ ...end, offset: 9_999_999 }, /No event begins at .*:9999999:/);
  const [[file]] = await lab.run("SHOW MASTER STATUS") as [[string]];
  // A file goes once the engine has made its transactions durable.
  await until(`the files before ${file} are purged`, async () => {
    await lab.run(`PURGE BINARY LOGS TO '${file}'`);
    return (await lab.run("SHOW BINARY LOGS")).length === 1;
  });
  // Nothing of domain 5 is in the files any more: it may be given up.
  await lab.run("INSERT INTO shop.kept VALUES (3)", "FLUSH BINARY LOGS DELETE_DOMAIN_ID = (5)");
  await lab.run("INSERT INTO shop.kept VALUES (4)");
  const after = await lab.batches(end);
  assert.deepEqual(ids(after.flatMap(({ changes }) => changes)), [3, 4]);
  assert.match(String(end.gtid_set), /,5-77-\d+$/);
  assert.deepEqual(await lab.changes(after.at(-1)!.resume), []);
  const last = await lab.here();
  assert.deepEqual(after.at(-1)!.resume, last);
  await lab.lost(middle, /what lies between is purged/);

  await lab.run("RESET MASTER");
  await lab.lost(
    last,
    /lies beyond the end of the log|what lies between is purged, or .* was reset/,
  );
  // The same numbers are given again to other transactions.
  for (let id = 10; id < 60; id++) await lab.run(`INSERT INTO shop.kept VALUES (${id})`);
  await lab.run("FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "INSERT INTO shop.kept VALUES (99)");
  await lab.lost(last, /was reset/);
}

/** Rows with how often they are there. */
function counted(changes: readonly Change[]): Map<string, number> {
  const rows = new Map<string, number>();
  const add = (row: unknown, by: number) => {
    const text = JSON.stringify(row);
    const count = (rows.get(text) ?? 0) + by;
    assert.ok(count >= 0, `${text} went more often than it came`);
    if (count === 0) rows.delete(text);
    else rows.set(text, count);
  };
  for (const { before, after } of changes) {
    if (before !== null) add(before, -1);
    if (after !== null) add(after, 1);
  }
  return rows;
}

/** Writes rows without a key until it is told to stop. */
function writer(lab: Lab, table: string) {
  const stop = new AbortController();
  const done = (async () => {
    for (let n = 0; !stop.signal.aborted; n++) {
      await lab.run(
        `INSERT INTO shop.${table} VALUES (${n % 7}, ${n})`,
        `UPDATE shop.${table} SET n = n + 1 WHERE n = ${n % 50}`,
        `DELETE FROM shop.${table} WHERE n = ${(n * 7) % 90} LIMIT 1`,
      );
    }
  })();
  done.catch(() => {}); // thrown when it is stopped
  return { stop: async () => (stop.abort(), await done) };
}

/** Without a key nothing can be repeated or left out unnoticed; the user may not lock. */
async function snapshotsUnderWrites(lab: Lab): Promise<void> {
  await lab.run("CREATE TABLE shop.hammered (v INT, n INT)");
  const rows = Array.from({ length: 500 }, (_, n) => `(${n % 5}, ${n})`);
  await lab.run(`INSERT INTO shop.hammered VALUES ${rows.join(",")}`);
  for (let round = 0; round < 5; round++) {
    const writing = writer(lab, "hammered");
    const changes: Change[] = [];
    let resume: ResumePoint | undefined;
    const source = lab.source({ snapshot: "initial", tables: ["shop.hammered"] });
    for (const batch of await lab.batches(undefined, source)) {
      changes.push(...batch.changes);
      resume = batch.resume;
    }
    await writing.stop();
    changes.push(...await lab.changes(resume, lab.source({ tables: ["shop.hammered"] })));
    const content = await lab.run("SELECT v, n FROM shop.hammered");
    const expected = Map.groupBy(content, (row) => JSON.stringify(row));
    assert.deepEqual(
      [...counted(changes)].sort(),
      [...expected].map(([row, { length }]) => [row, length]).sort(),
      `round ${round}`,
    );
    assert.ok(changes.some(({ op }) => op === "r") && changes.some(({ op }) => op !== "r"));
  }
  const moments = lab.told.filter(({ event }) => event === "snapshot_moment");
  assert.ok(moments.length >= 5 && moments.every(({ fields }) => Number(fields.connections) >= 1));
}

/** Clients that ask the server for its status without a pause, as monitors do now and then. */
const MONITORS = 4;
/** Asked once each, some 10 of these would be wrong. */
const QUESTIONS = 1_000;

async function placesAmongMonitors(lab: Lab): Promise<void> {
  await lab.run("CREATE TABLE shop.watched (id INT)");
  const { seen } = MARIADB.snapshot_place!;
  const { host, port, users } = lab.server.info;
  const options = mysqlOptions.parse({ host, port, ...users.admin, tables: ["shop.*"] });
  const connect = () => MysqlSession.connect(options, "places");
  const reader = await connect();
  const monitors = await Promise.all(Array.from({ length: MONITORS }, connect));
  const stop = new AbortController();
  try {
    await reader.query(CONSISTENT_SNAPSHOT);
    const ask = (sql: string) => reader.query(sql);
    const place = await seen(ask);
    await lab.run("INSERT INTO shop.watched VALUES (1)");
    const watching = monitors.map(async (monitor) => {
      while (!stop.signal.aborted) await monitor.query("SHOW GLOBAL STATUS LIKE 'binlog%'");
    });
    const places: string[] = [];
    while (places.length < QUESTIONS) places.push(await seen(ask));
    stop.abort();
    await Promise.all(watching);
    assert.deepEqual(places.filter((other) => other !== place), [], `the place is ${place}`);
  } finally {
    stop.abort();
    await Promise.all([reader, ...monitors].map((session) => session.close()));
  }
}

async function incremental(lab: Lab): Promise<void> {
  await lab.run(
    "CREATE TABLE shop.again (id INT PRIMARY KEY, n INT)",
    "CREATE TABLE shop.signals (id VARCHAR(64) PRIMARY KEY, type VARCHAR(32), data TEXT)",
    `INSERT INTO shop.again SELECT seq, 0 FROM seq_1_to_100`,
  );
  const more = { tables: ["shop.again"], signal_table: "shop.signals", snapshot_chunk_rows: 10 };
  const start = await lab.here();
  const data = JSON.stringify({ "data-collections": ["shop.again"], type: "incremental" });
  await lab.run(`INSERT INTO shop.signals VALUES ('1', 'execute-snapshot', '${data}')`);
  const stop = new AbortController();
  const writing = (async () => {
    for (let n = 0; !stop.signal.aborted; n++) {
      await lab.run(
        `UPDATE shop.again SET n = n + 1 WHERE id % 10 = ${n % 10}`,
        `DELETE FROM shop.again WHERE id = ${1 + n % 100}`,
        `INSERT INTO shop.again VALUES (${1 + n % 100}, ${n})`,
      );
    }
  })();
  const batches = await lab.batches(start, lab.source(more));
  stop.abort();
  await writing;
  const changes = batches.flatMap(({ changes }) => changes);
  const read = new Set(changes.filter(({ op }) => op === "r").map(({ after }) => after![0]));
  assert.ok(read.size > 90, `${read.size} rows; one that is just deleted is not read`);
  changes.push(...await lab.changes(batches.at(-1)!.resume, lab.source(more)));
  const rows = await lab.run("SELECT id, n FROM shop.again");
  assert.deepEqual(
    lastRows(changes).map((row) => /\{[^}]*\}$/.exec(row)![0]).sort(),
    rows.map(([id, n]) => `{"id":${id},"n":${n}}`).sort(),
  );
  const positions = changes.map(({ position }) => position);
  assert.deepEqual(positions, [...positions].sort(), "positions rise");
}

/** A commit waits here between the log and the engine, for a replica's answer that never comes. */
async function notYetVisible(lab: Lab): Promise<void> {
  await lab.run(
    "CREATE TABLE shop.waiting (id INT PRIMARY KEY, n INT)",
    "INSERT INTO shop.waiting VALUES (1, 1)",
    "SET GLOBAL rpl_semi_sync_master_timeout = 3000",
    "SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC",
    "SET GLOBAL rpl_semi_sync_master_enabled = ON",
  );
  const start = await lab.here();
  const data = JSON.stringify({ "data-collections": ["shop.waiting"], type: "incremental" });
  await lab.run(
    "BEGIN",
    "UPDATE shop.waiting SET n = 2",
    `INSERT INTO shop.signals VALUES ('2', 'execute-snapshot', '${data}')`,
  );
  const committing = lab.run("COMMIT");
  await until("the log has the transaction", async () => {
    const { file, offset } = await lab.here();
    return file !== start.file || Number(offset) > Number(start.offset);
  });
  const more = { tables: ["shop.waiting"], signal_table: "shop.signals" };
  const changes = await lab.changes(start, lab.source(more));
  await committing;
  await lab.run("SET GLOBAL rpl_semi_sync_master_enabled = OFF");
  assert.deepEqual(shape(changes), [["u", [1, 1], [1, 2]], ["r", null, [1, 2]]]);
}

async function heartbeats(lab: Lab): Promise<void> {
  const { file, offset } = await lab.here() as { file: string; offset: number };
  const { host, port, users } = lab.server.info;
  const at = { host, port, ...users.replicator, tables: ["shop.*"], heartbeat_interval_ms: 100 };
  const identity = captureIdentity("heartbeats", undefined);
  const parts = { flavour: MARIADB, identity, program: "heartbeats" };
  const dump = await BinlogDump.start(mysqlOptions.parse(at), parts, { file, offset });
  const beats: unknown[] = [];
  await until("three heartbeats", () => {
    for (let raw = dump.take(); raw !== undefined; raw = dump.take()) {
      const event = readEvent(raw.bytes, raw.at, raw.end, true);
      if (event.type === EventType.HEARTBEAT) beats.push(readHeartbeat(event));
    }
    return beats.length >= 3;
  });
  dump.stop();
  assert.deepEqual(beats.slice(0, 3), Array(3).fill({ file, offset }));
}

async function places(lab: Lab): Promise<void> {
  await lab.run("CREATE TABLE shop.moved (id INT PRIMARY KEY)");
  const first = await lab.here();
  await lab.run("INSERT INTO shop.moved VALUES (1)");
  const second = await lab.here();
  await lab.run("FLUSH BINARY LOGS", "INSERT INTO shop.moved VALUES (2)");
  const source = lab.source();
  const { lag_bytes, lost, log } = await source.standing(first);
  assert.ok(lag_bytes! > 100 && lost === undefined, JSON.stringify({ lag_bytes, lost }));
  assert.deepEqual([log["server_id"], log["gtid_missing"]], ["1", log["gtid_executed"]]);
  for (const { file, offset, gtid_set } of [first, second]) {
    for (const to of [`${file}:${offset}`, String(gtid_set)]) {
      const { resume, back } = await source.locate(to, await lab.here());
      assert.ok(back, to);
      assert.equal(resume["gtid_set"], gtid_set, to);
      assert.deepEqual(
        ids(await lab.changes(resume)),
        file === first.file && offset === first.offset ? [1, 2] : [2],
      );
    }
  }
  const inside = `${first.file}:${Number(first.offset) + 50}`;
  await assert.rejects(source.locate(inside, first), /No transaction begins at/);
  await assert.rejects(source.locate("9-9-9", first), /is no|has|never/);
}

async function checks(lab: Lab): Promise<void> {
  const wrong: Record<string, string> = {
    binlog_format: "MIXED",
    binlog_row_image: "MINIMAL",
    binlog_row_metadata: "NO_LOG",
    binlog_expire_logs_seconds: "3600",
  };
  await lab.run("CREATE TABLE shop.parent (id INT PRIMARY KEY)");
  await lab.run(
    `CREATE TABLE shop.child (id INT PRIMARY KEY, p INT REFERENCES parent (id) ON DELETE CASCADE)`,
    ...Object.entries(wrong).map(([name, value]) => `SET GLOBAL ${name} = ${value}`),
  );
  const { host, port, users } = lab.server.info;
  const child = { tables: ["shop.child"], snapshot: "initial" as const };
  // Who may only read a table is not told of its foreign keys.
  const findings = await lab.source({ ...users.admin, ...child }).inspect();
  const bad = findings.filter(({ level }) => level !== "ok");
  assert.deepEqual(bad.map(({ level, subject }) => [level, subject]), [
    ["error", "binlog_format"],
    ["warning", "binlog_row_image"],
    ["error", "binlog_row_metadata"],
    ["warning", "binlog_expire_logs_seconds"],
    ["warning", "table shop.child"],
  ]);
  assert.match(bad[0]!.cure!, /^SET GLOBAL binlog_format = ROW; and the line/);
  assert.match(bad[4]!.found, /MariaDB 10\.11\.\d+.* does not log them/);
  const good = findings.filter(({ level }) => level === "ok").map(({ subject }) => subject);
  assert.ok(["privilege BINLOG MONITOR", "binlog", "snapshot"].every((s) => good.includes(s)));
  const missing = await lab.source({ ...users.writer, ...child }).inspect();
  const cures = missing.filter(({ level }) => level === "error").map(({ cure }) => cure ?? "");
  assert.ok(cures.some((cure) => /^GRANT BINLOG MONITOR ON \*\.\* TO 'writer'@/.test(cure)));

  const options = mysqlOptions.parse({ host, port, ...users.replicator, tables: ["shop.*"] });
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const other = new MysqlSource(options, { name: "other", version: "0", log, now: Date.now });
  const [finding] = await other.inspect();
  assert.match(finding!.found, /The server is MariaDB \(10\.11/);
  assert.equal(finding!.cure, "job: capture-mariadb");
}

Deno.test("MariaDB as a source", async (t) => {
  await withOwnMariadb(async (server) => {
    const lab = new Lab(server);
    await lab.run("ALTER DATABASE shop CHARACTER SET utf8mb4");
    const steps: Record<string, (lab: Lab) => Promise<void>> = {
      "every type's values are the server's own, by stream and by snapshot": everyType,
      "every collation belongs to the character set that we take it for": everyCollation,
      "each character of every character set gives the server's text": everyCharset,
      "changes carry the server's GTIDs, whatever domain and server they are of": gtids,
      "rows come whole from compressed events, partial images and every kind of transaction":
        shapesOfEvents,
      "TRUNCATE is told with every clause and in every character set": truncates,
      "generated columns and sequences are left out, invisible columns come": columnsAndSequences,
      "of a table with a history come the rows that a SELECT shows": histories,
      "what cannot be read truthfully is refused with a cure": refusals,
      "a start in the middle brings the rest under the same positions, also after a kill": resuming,
      "purged, reset and foreign logs are lost history; files that were captured may go":
        lostHistories,
      "a snapshot without any lock leads into the stream to the row": snapshotsUnderWrites,
      "a snapshot's place is told truly while others ask for the server's status":
        placesAmongMonitors,
      "a table that is written is read again while the stream goes on": incremental,
      "a chunk waits until what the log has can be seen": notYetVisible,
      "an idle stream has heartbeats, which say where the log stands": heartbeats,
      "places of the log are found by file and offset and by GTIDs": places,
      "check names what is wrong, in MariaDB's words": checks,
    };
    for (const [name, step] of Object.entries(steps)) await t.step(name, () => step(lab));
  });
});
