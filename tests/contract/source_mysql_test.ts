/** MySQL as a source, on a real server. */
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import assert from "node:assert/strict";
import ZongJi from "@vlasky/zongji";
import type { Connection } from "mysql2/promise";
import type { Change, Value } from "../../shared/change.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import {
  classify,
  ConfigError,
  HistoryLostError,
  RecordError,
  RetryableError,
} from "../../shared/errors.ts";
import { type MysqlOptions, mysqlOptions } from "../../shared/sources/mysql/options.ts";
import { MysqlSource } from "../../shared/sources/mysql/source.ts";
import type { ResumePoint } from "../../shared/sources/source.ts";
import { charsetOf } from "../../shared/wire/mysql_charset.ts";
import { GtidSet } from "../../shared/wire/gtid_set.ts";
import { doubleText } from "../../shared/wire/mysql_json.ts";
import { compareCharsets } from "../charsets.ts";
import { Proxy } from "../proxy.ts";
import { SILENT } from "../silent.ts";
import { batchesToEnd, captured } from "../source_rows.ts";
import { testStack } from "../stack.ts";
import { DEADLINE_MS, until } from "../until.ts";

const DB = "ls_source_mysql";
const server = testStack().mysql;
let made = 0;

function newSource(more: Partial<MysqlOptions> = {}, name = `test-${++made}`): MysqlSource {
  const { user, password } = server.users.admin;
  const options = mysqlOptions.parse({
    host: server.host,
    port: server.port,
    user,
    password,
    tables: [`${DB}.*`],
    snapshot: "never",
    heartbeat_interval_ms: 500,
    ...more,
  });
  return new MysqlSource(options, { name, version: "0.0.0", log: SILENT, now: Date.now });
}

/** A connection in the test's own, empty database. */
async function client(): Promise<Connection & { run(sql: string): Promise<string[][]> }> {
  const { host, port } = server;
  const connection = await connectMysql({
    kind: "mysql",
    host,
    port,
    database: server.database,
    ...server.users.admin,
    tls: false,
    connect_timeout_ms: 5_000,
  });
  const run = async (sql: string) => (await connection.query(sql))[0] as unknown as string[][];
  await run(`CREATE DATABASE IF NOT EXISTS ${DB}`);
  await run(`USE ${DB}`);
  await run("SET time_zone = '+00:00'");
  await run("SET SESSION sql_mode = ''");
  return Object.assign(connection, { run });
}

/** Where the log ends now. */
async function here(): Promise<ResumePoint> {
  const source = newSource();
  try {
    return await source.open({ resume: undefined, generation: 1 });
  } finally {
    await source.close();
  }
}

/** The changes that `statements` make. */
async function changesOf(
  statements: readonly string[],
  more: Partial<MysqlOptions> = {},
): Promise<Change[]> {
  const connection = await client();
  try {
    const start = await here();
    for (const statement of statements) await connection.run(statement);
    return await captured(newSource(more), start);
  } finally {
    connection.destroy();
  }
}

const shape = (changes: readonly Change[]) =>
  changes.map(({ op, before, after }) => [op, before, after]);

Deno.test("each character of every character set gives the server's text", async () => {
  const connection = await client();
  await connection.run("SET SESSION sql_mode = DEFAULT");
  await compareCharsets(connection.run);
  connection.destroy();
});

Deno.test("every collation of the server belongs to the character set that we take it for", async () => {
  const connection = await client();
  const rows = await connection.run(
    `SELECT ID, c.CHARACTER_SET_NAME, MAXLEN FROM information_schema.COLLATIONS c
     JOIN information_schema.CHARACTER_SETS s ON s.CHARACTER_SET_NAME = c.CHARACTER_SET_NAME`,
  );
  connection.destroy();
  for (const [id, name, bytes] of rows) {
    const charset = charsetOf(Number(id));
    assert.deepEqual([charset.name, charset.max_bytes], [name, Number(bytes)], `collation ${id}`);
  }
  assert.ok(rows.length > 200);
});

Deno.test("doubles in JSON have the server's text over their whole range", async () => {
  const connection = await client();
  const doubles: number[] = [];
  for (let exponent = -20; exponent <= 20; exponent++) {
    for (const digits of ["1", "1.5", "9.87654321", "1.2345678901234567", "1.23456789012345"]) {
      doubles.push(Number(`${digits}e${exponent}`), Number(`-${digits}e${exponent}`));
    }
  }
  const [[text]] = await connection.run(
    `SELECT CAST(CAST('[${doubles.map((d) => d.toExponential()).join(", ")}]' AS JSON) AS CHAR)`,
  ) as [[string]];
  connection.destroy();
  for (const one of text.slice(1, -1).split(", ")) assert.equal(doubleText(Number(one)), one);
});

Deno.test("names that hurt stay in the table's order", async () => {
  const names = [
    "2",
    "1",
    "__proto__",
    "constructor",
    "quo`te",
    'dou"ble',
    "sin'gle",
    "größe",
    "a.b",
  ];
  const columns = names.map((name) => `\`${name.replaceAll("`", "``")}\` INT`);
  const table = "`odd ``name.1`";
  const [change] = await changesOf([
    `DROP TABLE IF EXISTS ${table}`,
    `CREATE TABLE ${table} (${columns.join(", ")}, PRIMARY KEY (\`__proto__\`, \`2\`))`,
    `INSERT INTO ${table} VALUES (${names.map((_, i) => i + 1).join(", ")})`,
  ]);
  assert.equal(change!.table.table, "odd `name.1");
  assert.deepEqual(change!.table.columns.map(({ name }) => name), names);
  assert.deepEqual(change!.after, names.map((_, i) => i + 1));
  assert.deepEqual(change!.table.key, [2, 0]);
});

Deno.test("generated columns and those of functional indexes are left out, invisible ones come", async () => {
  const [change] = await changesOf([
    "DROP TABLE IF EXISTS computed",
    `CREATE TABLE computed (id INT PRIMARY KEY, v INT AS (id + 1) VIRTUAL, hidden INT INVISIBLE,
     s INT AS (id + 2) STORED, at DATETIME DEFAULT CURRENT_TIMESTAMP, INDEX ((id * 2)))`,
    "INSERT INTO computed (id, hidden, at) VALUES (1, 5, '2026-11-21 10:00:00')",
  ]);
  assert.deepEqual(change!.table.columns.map(({ name }) => name), ["id", "hidden", "at"]);
  assert.deepEqual(change!.after, [1, 5, "2026-11-21T10:00:00"]);
});

Deno.test("a generated column that the key needs stays", async () => {
  const [change] = await changesOf([
    "DROP TABLE IF EXISTS generated_key",
    "CREATE TABLE generated_key (id INT, k INT AS (id * 10) STORED PRIMARY KEY)",
    "INSERT INTO generated_key (id) VALUES (4)",
  ]);
  assert.deepEqual([change!.after, change!.table.key], [[4, 40], [1]]);
});

Deno.test("each row is under the columns that it was written with when the table changes in between", async () => {
  const changes = await changesOf([
    "DROP TABLE IF EXISTS altered",
    "CREATE TABLE altered (id INT PRIMARY KEY, a INT, b VARCHAR(10))",
    "INSERT INTO altered VALUES (1, 10, 'x')",
    "ALTER TABLE altered ADD COLUMN first INT FIRST, DROP COLUMN a",
    "INSERT INTO altered VALUES (7, 2, 'y')",
    "ALTER TABLE altered RENAME COLUMN b TO c, MODIFY COLUMN id BIGINT UNSIGNED",
    "UPDATE altered SET c = 'z' WHERE id = 2",
    "RENAME TABLE altered TO altered_2",
    "DELETE FROM altered_2 WHERE id = 1",
    "DROP TABLE altered_2",
  ]);
  assert.deepEqual(
    changes.map(({ op, table, before, after }) => [
      op,
      table.table,
      table.columns.map(({ name, type }) => `${name} ${type}`).join(", "),
      before,
      after,
    ]),
    [
      ["c", "altered", "id int, a int, b varchar(10)", null, [1, 10, "x"]],
      ["c", "altered", "first int, id int, b varchar(10)", null, [7, 2, "y"]],
      ["u", "altered", "first int, id bigint unsigned, c varchar(10)", [7, 2, "y"], [7, 2, "z"]],
      ["d", "altered_2", "first int, id bigint unsigned, c varchar(10)", [null, 1, "x"], null],
    ],
  );
  assert.equal(new Set(changes.slice(0, 3).map(({ table }) => table.id)).size, 3);
  assert.deepEqual(
    changes.map(({ table }) => table.columns[table.key[0]!]!.name),
    Array(4).fill("id"),
  );
});

Deno.test("a changed key is a delete and a create; equal under the collation is still changed", async () => {
  const changes = await changesOf([
    "DROP TABLE IF EXISTS keyed",
    "CREATE TABLE keyed (k VARCHAR(10) PRIMARY KEY, v INT)",
    "INSERT INTO keyed VALUES ('a', 1)",
    "UPDATE keyed SET k = 'A'",
    "UPDATE keyed SET v = 2",
    "TRUNCATE keyed",
  ]);
  assert.deepEqual(shape(changes), [
    ["c", null, ["a", 1]],
    ["d", ["a", 1], null],
    ["c", null, ["A", 1]],
    ["u", ["A", 1], ["A", 2]],
    ["t", null, null],
  ]);
  assert.equal(changes[4]!.table.id, changes[0]!.table.id);
});

Deno.test("TRUNCATE is told however its client wrote it", async () => {
  const changes = await changesOf([
    ...["`größe`", "`Ã¶`", "`雪誠`", "plain"].map((name) =>
      `CREATE TABLE IF NOT EXISTS ${name} (id INT)`
    ),
    "SET NAMES latin1",
    "TRUNCATE größe",
    "TRUNCATE `Ã¶`",
    "SET NAMES gbk",
    "TRUNCATE TABLE `雪誠`",
    "SET NAMES utf8mb4",
    "TRUNCATE TABLE größe;",
    "/*M!100000 ALTER */ TRUNCATE /*!50000 TABLE*/ plain /*M!100000 NOWAIT */ --",
    "--\nTRUNCATE plain",
  ]);
  const names = ["größe", "Ã¶", "雪誠", "größe", "plain", "plain"];
  assert.deepEqual(
    changes.map(({ op, table }) => op + table.table),
    names.map((name) => `t${name}`),
  );
});

Deno.test("a partial row image leaves values out; under another key the row is whole or the capture stops", async () => {
  const image = (name: string) => `SET SESSION binlog_row_image = ${name}`;
  const table = [
    "DROP TABLE IF EXISTS part",
    "CREATE TABLE part (id INT PRIMARY KEY, v INT, t TEXT)",
    "INSERT INTO part VALUES (1, 5, 't')",
  ];
  const changes = await changesOf([
    ...table,
    image("MINIMAL"),
    "UPDATE part SET v = 6",
    image("NOBLOB"),
    "UPDATE part SET v = 7, t = 'u'",
    "UPDATE part SET id = 2, t = 'v'",
    "DELETE FROM part",
  ]);
  assert.deepEqual(shape(changes), [
    ["c", null, [1, 5, "t"]],
    ["u", [1, undefined, undefined], [1, 6, undefined]],
    ["u", [1, 6, undefined], [1, 7, "u"]],
    ["d", [1, 7, undefined], null],
    ["c", null, [2, 7, "v"]],
    ["d", [2, 7, undefined], null],
  ]);
  for (const name of ["MINIMAL", "NOBLOB"]) {
    const moved = changesOf([...table, image(name), "UPDATE part SET id = 2"]);
    await assert.rejects(moved, (error) => {
      assert.ok(error instanceof RecordError, String(error));
      assert.match(error.message, /another key, and the log leaves out its values of (v, )?t/);
      return /binlog_row_image = FULL/.test(error.cure ?? "");
    });
  }
});

Deno.test("minimal row metadata takes names from information_schema while both agree, else stops", async () => {
  const table = [
    "DROP TABLE IF EXISTS meta",
    "CREATE TABLE meta (id INT UNSIGNED PRIMARY KEY, e ENUM('x','ü'), v VARCHAR(9), b BIT(3))",
  ];
  const minimal = "SET GLOBAL binlog_row_metadata = MINIMAL";
  const full = "SET GLOBAL binlog_row_metadata = FULL";
  const [change] = await changesOf([
    ...table,
    minimal,
    "INSERT INTO meta VALUES (4, 'ü', 'v', b'101')",
    full,
  ]);
  assert.deepEqual(change!.after, [4, "ü", "v", "101"]);
  assert.deepEqual(
    change!.table.columns.map(({ name, type }) => `${name} ${type}`),
    ["id int unsigned", "e enum('x','ü')", "v varchar(9)", "b bit(3)"],
  );
  assert.deepEqual(change!.table.key, [0]);
  await assert.rejects(
    changesOf([
      ...table,
      minimal,
      "INSERT INTO meta VALUES (4, 'ü', 'v', b'101')",
      full,
      "ALTER TABLE meta MODIFY v INT",
    ]),
    (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(
        error.message,
        /Column 3 of table ls_source_mysql\.meta is varchar\(9\).*"v" int/,
      );
      assert.match(error.cure!, /binlog_row_metadata = FULL/);
      return true;
    },
  );
});

Deno.test("members with signs that the server escapes are the same by snapshot and stream, however much the log tells", async () => {
  const list = String.raw`('a\\b','n\nn','r\rr','z\0z','it''s','\\n')`;
  const connection = await client();
  const [[before]] = await connection.run("SELECT @@GLOBAL.binlog_row_metadata") as [[string]];
  const stream: Change[] = [];
  try {
    await connection.run("DROP TABLE IF EXISTS members");
    await connection.run(
      `CREATE TABLE members (id INT AUTO_INCREMENT PRIMARY KEY, e ENUM${list}, s SET${list},
       g ENUM${list} AS (e) STORED)`,
    );
    for (const metadata of ["MINIMAL", "FULL"]) {
      await connection.run(`SET GLOBAL binlog_row_metadata = ${metadata}`);
      const start = await here();
      await connection.run(
        "INSERT INTO members (e, s) VALUES (1,1),(2,2),(3,4),(4,8),(5,16),(6,63)",
      );
      const changes = await captured(newSource(), start);
      const text = await connection.run("SELECT e, s FROM members ORDER BY id DESC LIMIT 6");
      assert.deepEqual(changes.map(({ after }) => after!.slice(1)), text.toReversed(), metadata);
      stream.push(...changes);
    }
  } finally {
    await connection.run(`SET GLOBAL binlog_row_metadata = ${before}`);
    connection.destroy();
  }
  const only = newSource({ snapshot: "only", tables: [`${DB}.members`] });
  const snapshot = await captured(only, undefined);
  assert.deepEqual(snapshot.map(({ after }) => after), stream.map(({ after }) => after));
  assert.deepEqual(
    new Set(stream.map(({ table }) => JSON.stringify(table))),
    new Set([JSON.stringify(snapshot[0]!.table)]),
    "one schema",
  );
  assert.deepEqual(snapshot[0]!.table.columns.map(({ name }) => name), ["id", "e", "s"]);
});

Deno.test("a compressed transaction larger than the queue comes whole, in batches", async () => {
  const rows = Array.from({ length: 500 }, (_, i) => `(${i})`).join(", ");
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS packed");
  await connection.run(
    "CREATE TABLE packed (n INT AUTO_INCREMENT PRIMARY KEY, i INT, text VARCHAR(200) DEFAULT 'the same text again and again')",
  );
  const start = await here();
  await connection.run("SET SESSION binlog_transaction_compression = ON");
  await connection.run("BEGIN");
  for (let i = 0; i < 40; i++) await connection.run(`INSERT INTO packed (i) VALUES ${rows}`);
  await connection.run("COMMIT");
  connection.destroy();
  const batches = await batchesToEnd(
    newSource({ batch_changes: 1_000, queue_bytes: 65_536 }),
    start,
  );
  const changes = batches.flatMap(({ changes }) => changes);
  assert.equal(changes.length, 20_000);
  assert.ok(batches.every((batch) => batch.changes.length <= 1_600), "bounded batches");
  const positions = changes.map(({ position }) => position);
  assert.ok(positions.every((position, i) => i === 0 || positions[i - 1]! < position), "rising");
  assert.deepEqual(changes.map(({ total_order }) => total_order), changes.map((_, i) => i + 1));
  const own = GtidSet.parse(changes[0]!.transaction.id);
  const parts = batches.slice(0, batches.findLastIndex(({ changes }) => changes.length > 0));
  const covering = parts.filter(({ resume }) =>
    GtidSet.parse(String(resume["gtid_set"])).contains(own)
  );
  assert.deepEqual(covering, [], "a start there sends the whole transaction");
});

Deno.test("a start in the middle brings the rest under the same positions, a cut transaction whole", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS resumed");
  await connection.run("CREATE TABLE resumed (id INT PRIMARY KEY)");
  const start = await here();
  for (let i = 0; i < 60; i++) {
    if (i === 30) await connection.run("FLUSH BINARY LOGS");
    await connection.run(`INSERT INTO resumed VALUES (${i * 2}), (${i * 2 + 1})`);
  }
  connection.destroy();
  const batches = await batchesToEnd(newSource({ batch_changes: 3 }), start);
  const all = batches.flatMap(({ changes }) => changes.map(({ position }) => position));
  assert.equal(all.length, 120);
  assert.deepEqual(all, [...all].sort());
  for (const cut of [0, 7, Math.floor(batches.length / 2), batches.length - 1]) {
    const seen = batches.slice(0, cut + 1).flatMap(({ changes }) => changes);
    const rest = (await batchesToEnd(newSource(), batches[cut]!.resume))
      .flatMap(({ changes }) => changes.map(({ position }) => position));
    const last = seen.at(-1)?.position ?? "";
    const again = rest.filter((position) => position <= last);
    assert.ok(again.length <= 2, `more than the transaction that was cut comes again: ${again}`);
    assert.deepEqual(rest, all.slice(seen.length - again.length), `after batch ${cut}`);
  }
});

Deno.test("a source that is not pulled makes the server wait, and loses nothing", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS slow");
  await connection.run("CREATE TABLE slow (id INT AUTO_INCREMENT PRIMARY KEY, t MEDIUMTEXT)");
  const start = await here();
  for (let i = 0; i < 60; i++) {
    await connection.run("INSERT INTO slow (t) VALUES (REPEAT('x', 1000000))");
  }
  const source = newSource({ queue_bytes: 1 << 20, batch_bytes: 1 << 20 }, "slow");
  await source.open({ resume: start, generation: 1 });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const ids: Value[] = [];
  for await (const { changes } of source.batches({ to_end: true, signal })) {
    if (ids.length === 0 && changes.length > 0) {
      // The queue of 1 MiB and the sockets' buffers hold a part of the 60 MB; then the server stands still.
      const sent = await steady(() => sentBytes(connection, "slow"));
      assert.ok(sent > 1 << 20 && sent < 40e6, `the server has sent ${sent} bytes`);
    }
    ids.push(...changes.map(({ after }) => after![0]!));
  }
  await source.close();
  connection.destroy();
  assert.deepEqual(ids, Array.from({ length: 60 }, (_, i) => i + 1));
});

/** What the server has sent on the dump connection of capture `name`. */
async function sentBytes(
  connection: { run(sql: string): Promise<string[][]> },
  name: string,
): Promise<number> {
  const [row] = await connection.run(
    `SELECT s.VARIABLE_VALUE FROM performance_schema.status_by_thread s
     JOIN performance_schema.threads t ON t.THREAD_ID = s.THREAD_ID
     JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = t.PROCESSLIST_ID
     WHERE s.VARIABLE_NAME = 'Bytes_sent' AND t.PROCESSLIST_COMMAND LIKE 'Binlog Dump%'
     AND a.ATTR_NAME = 'program_name' AND a.ATTR_VALUE = 'list-sync:${name}'`,
  );
  return Number(row?.[0] ?? 0);
}

/** The value once it has been above 0 and the same for 200 readings. */
async function steady(read: () => Promise<number>): Promise<number> {
  const deadline = Date.now() + DEADLINE_MS;
  let value = 0;
  for (let same = 0; same < 200;) {
    assert.ok(Date.now() < deadline, `${value} is still changing`);
    const now = await read();
    same = now > 0 && now === value ? same + 1 : 0;
    value = now;
  }
  return value;
}

Deno.test("a packet of more than 16 MiB is one event", async () => {
  const [change] = await changesOf([
    "DROP TABLE IF EXISTS large",
    "CREATE TABLE large (id INT PRIMARY KEY, t LONGBLOB)",
    "INSERT INTO large VALUES (1, REPEAT(x'61', 20000000))",
  ]);
  const value = change!.after![1] as Uint8Array;
  assert.equal(value.length, 20_000_000);
  assert.ok(value.every((byte) => byte === 0x61));
});

Deno.test("a stream goes on with what comes later, and ends when it is told", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS live");
  await connection.run("CREATE TABLE live (id INT PRIMARY KEY)");
  const source = newSource();
  await source.open({ resume: undefined, generation: 1 });
  const stop = new AbortController();
  const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(DEADLINE_MS)]);
  const seen: Value[] = [];
  await connection.run("INSERT INTO live VALUES (1)");
  for await (const { changes } of source.batches({ to_end: false, signal })) {
    for (const { after } of changes) seen.push(after![0]!);
    if (changes.length === 0) continue;
    if (seen.length < 3) await connection.run(`INSERT INTO live VALUES (${seen.length + 1})`);
    else stop.abort();
  }
  await source.close();
  connection.destroy();
  assert.deepEqual(seen, [1, 2, 3]);
});

Deno.test("a running capture takes columns as DDL leaves them where the log shows no difference", async () => {
  const connection = await client();
  const [[before]] = await connection.run("SELECT @@GLOBAL.binlog_row_metadata") as [[string]];
  const insert = "INSERT INTO turned (id, a, b) VALUES";
  const steps: readonly (readonly [metadata: string, sql: string, columns: string])[] = [
    ["MINIMAL", "ALTER TABLE turned RENAME COLUMN a TO b, RENAME COLUMN b TO a", "id!,b,a"],
    ["MINIMAL", "ALTER TABLE turned DROP PRIMARY KEY, ADD PRIMARY KEY (a)", "id,b,a!"],
    ["FULL", "ALTER TABLE turned MODIFY c INT", "id,b,a!,c"],
  ];
  const source = newSource();
  try {
    await connection.run("DROP TABLE IF EXISTS turned");
    await connection.run(
      "CREATE TABLE turned (id INT PRIMARY KEY, a INT NOT NULL, b INT NOT NULL, c INT AS (7) STORED)",
    );
    await source.open({ resume: undefined, generation: 1 });
    const batches = source.batches({ to_end: false, signal: AbortSignal.timeout(DEADLINE_MS) });
    let id = 0;
    const inserted = async () => {
      await connection.run(`${insert} (${++id}, ${id * 10}, ${id * 100})`);
      for (;;) {
        const { value, done } = await batches.next();
        assert.ok(!done, "the stream goes on");
        if (value.changes.length > 0) return value.changes[0]!;
      }
    };
    for (const [metadata, sql, columns] of steps) {
      await connection.run(`SET GLOBAL binlog_row_metadata = ${metadata}`);
      await inserted();
      await connection.run(sql);
      const { table, after } = await inserted();
      const names = table.columns.map(({ name }, i) => table.key.includes(i) ? `${name}!` : name);
      assert.equal(names.join(), columns, sql);
      const value = (name: string) => after![table.columns.findIndex((c) => c.name === name)];
      assert.deepEqual(["id", "a", "b"].map(value), [id, id * 10, id * 100], sql);
    }
    await batches.return(undefined);
  } finally {
    await connection.run(`SET GLOBAL binlog_row_metadata = ${before}`);
    await source.close();
    connection.destroy();
  }
});

Deno.test("transactions of other tables move the resume point with empty batches", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS other");
  await connection.run("CREATE TABLE other (id INT PRIMARY KEY)");
  const start = await here();
  await connection.run("INSERT INTO other VALUES (1)");
  connection.destroy();
  const batches = await batchesToEnd(newSource({ exclude_tables: [`${DB}.other`] }), start);
  assert.deepEqual(batches.flatMap(({ changes }) => changes), []);
  const { gtid_set } = batches.at(-1)!.resume;
  const moved = GtidSet.parse(String(gtid_set)).without(GtidSet.parse(String(start.gtid_set)));
  assert.ok(!moved.empty, "the resume point stands still");
});

Deno.test("a second capture of the same job is refused, naming the first; its end frees the name", async () => {
  const first = newSource({}, "twice");
  await first.open({ resume: undefined, generation: 1 });
  const second = newSource({}, "twice");
  await assert.rejects(second.open({ resume: undefined, generation: 1 }), (error) => {
    assert.ok(error instanceof ConfigError, String(error));
    assert.match(error.message, /job "twice" runs: connection \d+ from 127\.0\.0\.1:\d+ as/);
    return true;
  });
  await first.close();
  await second.open({ resume: undefined, generation: 1 });
  await second.close();
});

const OTHER_UUID = "00000000-0000-0000-0000-000000000001";

Deno.test("a position of another server, of the future or of purged transactions is lost history", async () => {
  const now = await here();
  const uuid = String(now.server_uuid);
  const wrong: readonly (readonly [ResumePoint, RegExp])[] = [
    [{ ...now, server_uuid: OTHER_UUID, gtid_set: "" }, /is of server 0{8}-/],
    [{ ...now, server_uuid: OTHER_UUID, gtid_set: `${OTHER_UUID}:1-5` }, /never executed/],
    [{ ...now, gtid_set: `${uuid}:1-999999999` }, /never executed/],
    [{ ...now, file: "binlog.999999" }, /lies beyond the end of the log/],
    [{ ...now, offset: Number(now.offset) - 1 }, /No event begins at the stored position/],
  ];
  for (const [resume, message] of wrong) {
    const source = newSource();
    await assert.rejects(source.open({ resume, generation: 1 }), (error) => {
      assert.ok(error instanceof HistoryLostError, `${message}: ${error}`);
      assert.match(error.message, message);
      assert.match(error.cure!, /deno task positions reset --yes JOB/);
      return true;
    });
    await source.close();
  }
});

Deno.test("a wrong password is for a person to mend, a closed port is a passing fault", async () => {
  const open = (more: object) =>
    newSource(more).open({ resume: undefined, generation: 1 })
      .then(() => undefined, (error: unknown) => error);
  const refused = await open({ password: "wrong" });
  assert.ok(refused instanceof ConfigError, String(refused));
  assert.match(refused.message, /refused a connection of user \w+: Access denied/);
  assert.match(refused.cure!, /correct source\.user and source\.password/);
  assert.equal(classify(await open({ port: 1 })), "retry");
});

Deno.test("a connection that the server kills is a passing fault", async () => {
  const connection = await client();
  const source = newSource({}, "killed");
  await source.open({ resume: undefined, generation: 1 });
  const pulling = (async () => {
    for await (
      const _ of source.batches({ to_end: false, signal: AbortSignal.timeout(DEADLINE_MS) })
    );
  })().then(() => undefined, (error) => error);
  const id = await until(
    "the capture's connection is in the process list",
    async () =>
      (await connection.run(
        `SELECT p.ID FROM information_schema.PROCESSLIST p
       JOIN performance_schema.session_connect_attrs a ON a.PROCESSLIST_ID = p.ID
       WHERE p.COMMAND LIKE 'Binlog Dump%' AND a.ATTR_VALUE = 'list-sync:killed'`,
      ))[0]?.[0],
  );
  await connection.run(`KILL ${id}`);
  const error = await pulling;
  await source.close();
  connection.destroy();
  assert.equal(classify(error), "retry", `${(error as { code?: string }).code} ${error}`);
});

Deno.test("a connection that falls silent is a passing fault after three heartbeats", async () => {
  const proxy = await Proxy.start(server.port);
  const source = newSource({ port: proxy.port, heartbeat_interval_ms: 200 });
  await source.open({ resume: undefined, generation: 1 });
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS silent");
  await connection.run("CREATE TABLE silent (id INT PRIMARY KEY)");
  await connection.run("INSERT INTO silent VALUES (1)");
  connection.destroy();
  try {
    await assert.rejects(async () => {
      for await (
        const { changes } of source.batches({
          to_end: false,
          signal: AbortSignal.timeout(DEADLINE_MS),
        })
      ) {
        if (changes.length > 0) proxy.mute();
      }
    }, (error) => error instanceof RetryableError && /sent nothing for 600 ms/.test(error.message));
  } finally {
    await source.close();
    await proxy.stop();
  }
});

Deno.test("an event that takes longer than three heartbeats to come is no silence", async () => {
  const [piece_bytes, pause_ms] = [16 << 10, 40];
  const sockets: Socket[] = [];
  const slowly = async (from: Socket, to: Socket) => {
    for await (const bytes of from) {
      for (let at = 0; at < bytes.length; at += piece_bytes) {
        to.write(bytes.subarray(at, at + piece_bytes));
        await new Promise((resolve) => setTimeout(resolve, pause_ms));
      }
    }
  };
  const proxy = createServer((near) => {
    const far = connect(server.port, server.host);
    sockets.push(near, far);
    near.pipe(far).on("error", () => {});
    near.on("error", () => {});
    slowly(far, near).catch(() => {});
  });
  await new Promise<void>((resolve) => proxy.listen(0, "127.0.0.1", resolve));
  const { port } = proxy.address() as AddressInfo;
  const connection = await client();
  try {
    await connection.run("DROP TABLE IF EXISTS slow");
    await connection.run("CREATE TABLE slow (id INT PRIMARY KEY, t LONGTEXT)");
    const start = await here();
    await connection.run("INSERT INTO slow VALUES (1, REPEAT('x', 2097152))"); // 5 s, and silence is 1.5 s
    const [change] = await captured(newSource({ port }), start);
    assert.equal(String(change!.after![1]).length, 2 << 20);
  } finally {
    connection.destroy();
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => proxy.close(resolve));
  }
});

Deno.test("TINYINT(1) is a boolean when the job says so, and stops at what is none", async () => {
  const table = [
    "DROP TABLE IF EXISTS flags",
    "CREATE TABLE flags (id INT PRIMARY KEY, b TINYINT(1), n TINYINT)",
  ];
  const more = { tinyint1_as_boolean: true };
  const [first, second] = await changesOf([
    ...table,
    "INSERT INTO flags VALUES (1, TRUE, 1), (2, 0, 0)",
  ], more);
  assert.deepEqual([first!.after, second!.after], [[1, true, 1], [2, false, 0]]);
  assert.deepEqual(first!.table.columns[1], { name: "b", type: "tinyint(1)", kind: "boolean" });
  await assert.rejects(
    changesOf([...table, "INSERT INTO flags VALUES (1, 5, 5)"], more),
    /table ls_source_mysql\.flags: Column "b": TINYINT\(1\) holds 5/,
  );
});

Deno.test("the end is reached without waiting where it stands at the start of a new file", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS flushed");
  await connection.run("CREATE TABLE flushed (id INT PRIMARY KEY)");
  const start = await here();
  await connection.run("INSERT INTO flushed VALUES (1)");
  await connection.run("FLUSH BINARY LOGS");
  connection.destroy();
  const batches = await batchesToEnd(newSource({ heartbeat_interval_ms: 600_000 }), start);
  assert.equal(batches.flatMap(({ changes }) => changes).length, 1);
});

Deno.test("check finds what is as it should be, and what is not with a cure", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS no_key");
  await connection.run("CREATE TABLE no_key (a INT)");
  await connection.run("INSERT INTO no_key VALUES (1)");
  connection.destroy();
  const source = newSource({ tables: [`${DB}.no_key`, `${DB}.missing`] });
  const findings = await source.inspect();
  const bad = findings.filter(({ level }) => level !== "ok");
  assert.deepEqual(
    bad.map(({ level, subject }) => [level, subject]),
    [
      ["error", `tables ${DB}.missing`],
      ["warning", `table ${DB}.no_key`],
      ["warning", `table ${DB}.no_key`],
    ],
  );
  assert.ok(bad.every(({ cure }) => cure), JSON.stringify(bad));
  assert.ok(findings.some(({ subject, level }) => subject === "gtid_mode" && level === "ok"));
});

Deno.test("check names the privileges that are missing", async () => {
  const { user, password } = server.users.writer;
  const findings = await newSource({ user, password }).inspect();
  const missing = findings.filter(({ subject, level }) =>
    subject.startsWith("privilege") && level === "error"
  );
  assert.deepEqual(missing.map(({ subject }) => subject), [
    "privilege REPLICATION SLAVE",
    "privilege REPLICATION CLIENT",
  ]);
  assert.match(missing[0]!.cure!, /^GRANT REPLICATION SLAVE ON \*\.\* TO 'writer'@/);
});

Deno.test("an independent reader of the binlog finds the same rows", async () => {
  const connection = await client();
  await connection.run("DROP TABLE IF EXISTS oracle");
  await connection.run(
    `CREATE TABLE oracle (id BIGINT PRIMARY KEY, n INT UNSIGNED, d DECIMAL(10,3), f DOUBLE, t VARCHAR(50),
     at DATETIME(6), day DATE, e ENUM('a','b'), b VARBINARY(10))`,
  );
  const start = await here();
  await connection.run(
    `INSERT INTO oracle VALUES (1, 4000000000, -1.5, 0.1, 'größe', '2026-11-21 10:00:00.000001', '2026-11-21', 'b', x'ff'),
     (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)`,
  );
  await connection.run("UPDATE oracle SET t = 'x', n = id WHERE id <= 2");
  await connection.run("DELETE FROM oracle WHERE id = 1");
  connection.destroy();
  const ours = (await batchesToEnd(newSource({ tables: [`${DB}.oracle`] }), start))
    .flatMap(({ changes }) => changes.map(({ op, before, after }) => [op, before, after]));
  assert.equal(ours.length, 5);
  assert.deepEqual(
    ours.map((change) => JSON.stringify(change, plain)),
    await rowsByZongji(start, 5),
  );
});

/** Bytes as hexadecimal. */
function plain(_key: string, value: unknown): unknown {
  return value instanceof Uint8Array ? value.toHex() : value;
}

/** The same, read by the library zongji. */
async function rowsByZongji(start: ResumePoint, count: number): Promise<string[]> {
  const { host, port, users } = server;
  const zongji = new ZongJi({ host, port, ...users.admin, dateStrings: true, timezone: "Z" });
  const found: string[] = [];
  const done = Promise.withResolvers<void>();
  const timer = setTimeout(() => done.reject(new Error(`${found.length} rows came`)), DEADLINE_MS);
  const image = (row: Record<string, unknown> | null) =>
    row &&
    Object.entries(row).map(([name, value]) =>
      name === "at" && typeof value === "string"
        ? value.replace(" ", "T")
        : value instanceof Uint8Array
        ? value.toHex()
        : value
    );
  zongji.on("error", done.reject);
  zongji.on("binlog", (raw: unknown) => {
    const event = raw as { getEventName(): string; rows?: Record<string, unknown>[] };
    for (const row of event.rows ?? []) {
      const kind = event.getEventName();
      const { before, after } = row as {
        before: Record<string, unknown>;
        after: Record<string, unknown>;
      };
      if (kind === "writerows") found.push(JSON.stringify(["c", null, image(row)]));
      else if (kind === "deleterows") found.push(JSON.stringify(["d", image(row), null]));
      else found.push(JSON.stringify(["u", image(before), image(after)]));
    }
    if (found.length >= count) done.resolve();
  });
  zongji.start({
    filename: String(start.file),
    position: Number(start.offset),
    includeSchema: { [DB]: ["oracle"] },
    includeEvents: ["tablemap", "writerows", "updaterows", "deleterows"],
  });
  try {
    await done.promise;
  } finally {
    clearTimeout(timer);
    await new Promise<void>((resolve) => {
      zongji.once("stopped", resolve);
      zongji.stop();
    });
  }
  return found;
}
