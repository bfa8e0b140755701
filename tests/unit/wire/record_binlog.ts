/**
 * Records the events of a real server as the fixture binlog_fixture.json, hexadecimal, one list for
 * each section. Run it again when a section is added:
 * LIST_SYNC_STACK=.stack/default/stack.json deno run -A tests/unit/wire/record_binlog.ts
 */
import { Buffer } from "node:buffer";
import mysql from "mysql2/promise";
import { BinlogDump } from "../../../shared/sources/mysql/dump.ts";
import { captureIdentity } from "../../../shared/sources/mysql/identity.ts";
import { MYSQL } from "../../../shared/sources/mysql/mysql_flavour.ts";
import { mysqlOptions } from "../../../shared/sources/mysql/options.ts";
import { GtidSet } from "../../../shared/wire/gtid_set.ts";
import { testStack } from "../../stack.ts";

const DB = "ls_fixture";

const SECTIONS: Record<string, readonly string[]> = {
  create: [
    `CREATE TABLE ${DB}.t (id BIGINT PRIMARY KEY, name VARCHAR(50), amount DECIMAL(12,2) UNSIGNED,
     at DATETIME(6), state ENUM('new','it''s'), tags SET('a','b','c'), doc JSON, flags BIT(11),
     raw BINARY(4), twice BIGINT AS (id * 2) STORED)`,
    `CREATE TABLE ${DB}.plain (v INT) ENGINE = MyISAM`,
  ],
  insert: [
    `INSERT INTO ${DB}.t (id, name, amount, at, state, tags, doc, flags, raw) VALUES
     (1, 'één', 12.50, '2026-11-21 10:00:00.123456', 'it''s', 'a,c', '{"b": 1.0, "a": [true, null]}', b'101', x'0102'),
     (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  ],
  update: [`UPDATE ${DB}.t SET name = 'two' WHERE id = 2`],
  key_change: [`UPDATE ${DB}.t SET id = id + 10 ORDER BY id DESC`],
  delete: [`DELETE FROM ${DB}.t WHERE id = 11`],
  minimal_image: [
    "SET SESSION binlog_row_image = MINIMAL",
    `UPDATE ${DB}.t SET name = 'min' WHERE id = 12`,
    "SET SESSION binlog_row_image = FULL",
  ],
  two_tables: [
    "BEGIN",
    `INSERT INTO ${DB}.t (id) VALUES (20)`,
    "SAVEPOINT s",
    `INSERT INTO ${DB}.t (id) VALUES (21)`,
    "ROLLBACK TO s",
    `INSERT INTO ${DB}.t (id) VALUES (22)`,
    "COMMIT",
  ],
  no_transactions: [`INSERT INTO ${DB}.plain VALUES (1), (1)`],
  create_select: [`CREATE TABLE ${DB}.copied SELECT id, name FROM ${DB}.t`],
  compressed: [
    "SET SESSION binlog_transaction_compression = ON",
    "BEGIN",
    `INSERT INTO ${DB}.plain2 VALUES (7)`,
    `INSERT INTO ${DB}.t (id, name) VALUES (30, REPEAT('x', 40)), (31, REPEAT('y', 40))`,
    `UPDATE ${DB}.t SET id = 32 WHERE id = 31`,
    "COMMIT",
    "SET SESSION binlog_transaction_compression = OFF",
  ],
  tagged: [
    "SET SESSION gtid_next = 'AUTOMATIC:fixture'",
    `INSERT INTO ${DB}.t (id) VALUES (40)`,
    "SET SESSION gtid_next = 'AUTOMATIC'",
  ],
  truncate: [`/* cleaning up */ TRUNCATE TABLE \`${DB}\` . \`t\``],
  xa: [
    "XA START 'x1'",
    `INSERT INTO ${DB}.t (id) VALUES (50)`,
    "XA END 'x1'",
    "XA PREPARE 'x1'",
    "XA ROLLBACK 'x1'",
  ],
  statement: [
    "SET SESSION binlog_format = STATEMENT",
    `INSERT INTO ${DB}.t (id) VALUES (60)`,
    "SET SESSION binlog_format = ROW",
  ],
  partial_json: [
    `INSERT INTO ${DB}.t (id, doc) VALUES (70, JSON_OBJECT('a', REPEAT('x', 100)))`,
    "SET SESSION binlog_row_value_options = PARTIAL_JSON",
    `UPDATE ${DB}.t SET doc = JSON_SET(doc, '$.a', 'y') WHERE id = 70`,
    "SET SESSION binlog_row_value_options = ''",
  ],
};

const { mysql: server } = testStack();
const { user, password } = server.users.admin;
const connection = await mysql.createConnection({
  host: server.host,
  port: server.port,
  user,
  password,
  rowsAsArray: true,
  charset: "utf8mb4",
});
await connection.query(`DROP DATABASE IF EXISTS ${DB}`);
await connection.query(`CREATE DATABASE ${DB}`);
await connection.query(`CREATE TABLE ${DB}.plain2 (v INT)`);
const [[status]] = await connection.query("SHOW BINARY LOG STATUS") as unknown as [string[][]];
const options = mysqlOptions.parse({
  host: server.host,
  port: server.port,
  user,
  password,
  tables: [`${DB}.*`],
  snapshot: "never",
});
const dump = await BinlogDump.start(options, {
  flavour: MYSQL,
  identity: captureIdentity("record", undefined),
  program: "record",
}, {
  gtid_set: GtidSet.parse(status![4]!),
});
const fixture: Record<string, string[]> = {};
const events = fixture.connect = [] as string[];
await collect(events, (type) => type === 35 || type === 15);
for (const [name, statements] of Object.entries(SECTIONS)) {
  for (const statement of statements) await connection.query(statement);
  const [[end]] = await connection.query("SHOW BINARY LOG STATUS") as unknown as [string[][]];
  fixture[name] = [];
  await collect(fixture[name], (_type, log_pos) => log_pos === Number(end![1]));
}
dump.stop();
connection.destroy();
await Deno.writeTextFile(
  new URL("binlog_fixture.json", import.meta.url),
  JSON.stringify({ server: "MySQL 9.7.4", file: status![0], sections: fixture }, null, 1) + "\n",
);

/** Events until `last` accepts one, heartbeats left out. */
async function collect(
  into: string[],
  last: (type: number, log_pos: number) => boolean,
): Promise<void> {
  const signal = AbortSignal.timeout(30_000);
  for (;;) {
    const raw = dump.take();
    if (raw === undefined) {
      await dump.wait(signal);
      if (signal.aborted) throw new Error("the events did not come in time");
      continue;
    }
    const bytes = Buffer.from(raw.bytes.subarray(raw.at, raw.end));
    const type = bytes[4]!;
    if (type === 27 || type === 41) continue;
    into.push(bytes.toString("hex"));
    if (last(type, bytes.readUInt32LE(13))) return;
  }
}
