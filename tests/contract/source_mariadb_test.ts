/** MariaDB as a source, on a server of the test's own: the server's SQL says what values are. */
import assert from "node:assert/strict";
import type { Change, Value } from "../../shared/change.ts";
import { ConfigError, HistoryLostError } from "../../shared/errors.ts";
import type { Log } from "../../shared/observe/log.ts";
import { type MysqlOptions, mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MariadbSource, MysqlSource } from "../../shared/sources/mysql/source.ts";
import type { ResumePoint, SourceBatch } from "../../shared/sources/source.ts";
import { charsetByName, charsetOf } from "../../shared/wire/mysql_charset.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import type { OwnMysql } from "../own_mysql.ts";
import { lastRows } from "../source_rows.ts";
import { DEADLINE_MS } from "../until.ts";

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
    const at = { host, port, ...users.replicator, tables: ["shop.*"], heartbeat_interval_ms: 500 };
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

  /** All batches from `resume` to the end of the log as it stands; without one, with a snapshot. */
  async batches(resume: ResumePoint | undefined, source = this.source()): Promise<SourceBatch[]> {
    const batches: SourceBatch[] = [];
    const signal = AbortSignal.timeout(DEADLINE_MS);
    await source.open({ resume, generation: 1 });
    try {
      for await (const batch of source.batches({ to_end: true, signal })) batches.push(batch);
    } finally {
      await source.close();
    }
    assert.ok(!signal.aborted, `the end did not come within ${DEADLINE_MS} ms`);
    return batches;
  }

  async changes(resume: ResumePoint | undefined, source = this.source()): Promise<Change[]> {
    return (await this.batches(resume, source)).flatMap(({ changes }) => changes);
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
      assert.match(error.cure!, /deno task remove JOB/);
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
  { type: "json", values: [`'{"b": 1.0,  "a":[]}'`], shown: "longtext" },
  { type: "geometry", values: ["ST_GeomFromText('POINT(1 2)', 4326)"], ...HEX },
  {
    type: "geometrycollection",
    values: ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 2))')"],
    ...HEX,
    shown: "geomcollection",
  },
  // Behind a geometry: it counts among the columns that have a character set here.
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
  for (const i of TYPES.keys()) await lab.run(`DROP TABLE types_${i}`);
}

Deno.test("MariaDB as a source", async (t) => {
  await withOwnMariadb(async (server) => {
    const lab = new Lab(server);
    await lab.run("ALTER DATABASE shop CHARACTER SET utf8mb4");
    await t.step(
      "every type's values are the server's own, by stream and by snapshot",
      () => everyType(lab),
    );
  });
});
