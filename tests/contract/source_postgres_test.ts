/** The PostgreSQL source against a real server. */
import assert from "node:assert/strict";
import pg from "pg";
import { LogicalReplicationService, PgoutputPlugin } from "pg-logical-replication";
import type { Change, Row, Value } from "../../shared/change.ts";
import {
  classify,
  ConfigError,
  HistoryLostError,
  RecordError,
  RetryableError,
} from "../../shared/errors.ts";
import type { Log } from "../../shared/observe/log.ts";
import { type PostgresOptions, postgresOptions } from "../../shared/sources/postgres/options.ts";
import { PostgresSource } from "../../shared/sources/postgres/source.ts";
import type { ResumePoint, SourceBatch } from "../../shared/sources/source.ts";
import { batchesToEnd } from "../source_rows.ts";
import { testStack } from "../stack.ts";
import { DEADLINE_MS, until } from "../until.ts";

const PLUGINS = ["pgoutput", "wal2json"] as const;
type Plugin = (typeof PLUGINS)[number];

const DATABASE = "source_test";

type Account = "admin" | "replicator" | "writer";

function address(account: Account, database = DATABASE) {
  const { host, port, users } = testStack().pg;
  return { host, port, database, ...users[account] };
}

async function withClient<T>(
  work: (client: pg.Client) => Promise<T>,
  account: Account = "admin",
  database = DATABASE,
): Promise<T> {
  const client = new pg.Client(address(account, database));
  client.on("error", () => {}); // a test may end its server process
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function rowsOf(sql: string, values: unknown[] = []): Promise<(string | null)[][]> {
  const types = { getTypeParser: () => (text: string) => text };
  return await withClient(async (client) => {
    const query = { text: sql, values, rowMode: "array" as const, types: types as never };
    return (await client.query(query)).rows;
  });
}

/** Runs statements one after the other, each in its own transaction unless it says otherwise. */
async function run(...statements: string[]): Promise<void> {
  await withClient(async (client) => {
    for (const statement of statements) await client.query(statement);
  });
}

interface Told {
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** Sources of one test: each has a schema, a slot and a publication of its own, dropped at the end. */
class Fixture {
  readonly schema: string;
  readonly told: Told[] = [];
  /** The sources' clock. */
  now = (): number => Date.now();
  readonly #sources: PostgresSource[] = [];
  readonly #made = new Map<string, PostgresOptions>();

  constructor(name: string) {
    this.schema = `s_${name}`;
  }

  options(plugin: Plugin, changed: Partial<PostgresOptions> = {}): PostgresOptions {
    return postgresOptions.parse({
      ...address("admin"),
      tables: [`${this.schema}.*`],
      snapshot: "never",
      plugin,
      slot: `${this.schema}_${plugin}`,
      publication: this.schema,
      status_interval_ms: 50,
      ...changed,
    });
  }

  source(plugin: Plugin, changed: Partial<PostgresOptions> = {}): PostgresSource {
    const options = this.options(plugin, changed);
    const tell = (event: string, fields = {}) => void this.told.push({ event, fields });
    const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
    const context = { name: this.schema, version: "0.0.0", log, now: () => this.now() };
    const source = new PostgresSource(options, context);
    this.#sources.push(source);
    this.#made.set(options.slot!, this.options(plugin, { slot: options.slot }));
    return source;
  }

  /** Makes slot and publication, so that what follows is captured. */
  async begin(plugin: Plugin, changed: Partial<PostgresOptions> = {}): Promise<ResumePoint> {
    const source = this.source(plugin, changed);
    const resume = await source.open({ resume: undefined, generation: 1 });
    await source.close();
    return resume;
  }

  /** All changes from `resume` to the end of the log. */
  async drain(
    plugin: Plugin,
    resume: ResumePoint | undefined,
    changed: Partial<PostgresOptions> = {},
  ): Promise<{ changes: Change[]; batches: SourceBatch[] }> {
    const batches = await batchesToEnd(this.source(plugin, changed), resume);
    return { changes: batches.flatMap((batch) => batch.changes), batches };
  }

  async dispose(): Promise<void> {
    for (const source of this.#sources) await source.close();
    for (const options of this.#made.values()) {
      const context = { name: this.schema, version: "0", log: QUIET, now: () => Date.now() };
      await new PostgresSource(options, context).remove();
    }
    await run(`DROP SCHEMA IF EXISTS ${this.schema} CASCADE`);
  }
}

const QUIET: Log = { debug() {}, info() {}, warn() {}, error() {} };

let counter = 0;
let prepared: Promise<void> | undefined;

/** The tests' own database; what an earlier run left there is dropped. */
function prepare(): Promise<void> {
  return prepared ??= withClient(
    async (client) => {
      await client.query(
        `select pg_terminate_backend(active_pid) from pg_replication_slots
         where database = $1 and active_pid is not null`,
        [DATABASE],
      );
      await until("slots of an earlier run are free", async () => {
        const { rows } = await client.query(
          "select from pg_replication_slots where database = $1 and active",
          [DATABASE],
        );
        return rows.length === 0;
      });
      await client.query(
        "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1",
        [DATABASE],
      );
      await client.query(`DROP DATABASE IF EXISTS ${DATABASE} WITH (FORCE)`);
      await client.query(`CREATE DATABASE ${DATABASE}`);
    },
    "admin",
    testStack().pg.database,
  );
}

function test(name: string, body: (fixture: Fixture) => Promise<void>): void {
  Deno.test(`postgres source: ${name}`, async () => {
    await prepare();
    const fixture = new Fixture(`t${++counter}`);
    try {
      await run(`CREATE SCHEMA ${fixture.schema}`);
      await body(fixture);
    } finally {
      await fixture.dispose();
    }
  });
}

/** Changes as op, table, before and after; absent values as a word. */
function told(changes: readonly Change[]) {
  const row = (row: Row | null) =>
    row?.map((value) => value === undefined ? "(absent)" : value) ?? null;
  return changes.map(({ op, table, before, after }) =>
    [op, table.table, row(before), row(after)] as const
  );
}

/** The rows after creations and updates, absent values as `undefined`. */
function afters(changes: readonly Change[]): (Row | null)[] {
  return changes.map((change) => change.after);
}

/** All of a change that both plugins must agree in. */
function comparable(changes: readonly Change[]) {
  return changes.map(({ ts_ms: _, ...change }) => change);
}

// What changes look like --------------------------------------------------------------------------

const ALL_SORTS = (s: string) => [
  `INSERT INTO ${s}.list (category, at) VALUES ('a', '2026-11-21 10:00:00.123456'), ('ü', NULL)`,
  `UPDATE ${s}.list SET category = 'b' WHERE id = 1`,
  `UPDATE ${s}.list SET id = 10 WHERE id = 2`,
  `DELETE FROM ${s}.list WHERE id = 1`,
  `BEGIN; INSERT INTO ${s}.pair VALUES (1, 2, 'v'), (3, 4, 'w'); SAVEPOINT one;
   INSERT INTO ${s}.pair VALUES (7, 7, 'rolled back'); ROLLBACK TO one;
   UPDATE ${s}.pair SET b = 9 WHERE a = 2; DELETE FROM ${s}.pair WHERE a = 4; COMMIT`,
  `INSERT INTO ${s}.whole VALUES (1, repeat('x', 9000))`,
  `UPDATE ${s}.whole SET n = 5`,
  `UPDATE ${s}.whole SET id = 2`,
  `DELETE FROM ${s}.whole`,
  `INSERT INTO ${s}.keyless VALUES ('a', NULL), ('b', 1)`,
  `UPDATE ${s}.keyless SET n = 2 WHERE t = 'b'`,
  `DELETE FROM ${s}.keyless WHERE t = 'a'`,
  `INSERT INTO ${s}.indexed VALUES (1, 'one', 'x'), (2, 'two', 'y')`,
  `UPDATE ${s}.indexed SET code = 'three' WHERE id = 2`,
  `DELETE FROM ${s}.indexed`,
  `INSERT INTO ${s}.big VALUES (1, repeat('y', 9000), 0)`,
  `UPDATE ${s}.big SET n = 1`,
  `TRUNCATE ${s}.list, ${s}.pair`,
];

async function makeTables(s: string): Promise<void> {
  await run(
    `CREATE TABLE ${s}.list (id bigserial PRIMARY KEY, category text, at timestamp)`,
    `CREATE TABLE ${s}.pair (b int, a int, v text, twice int GENERATED ALWAYS AS (a * 2) STORED,
       PRIMARY KEY (a, b))`,
    `CREATE TABLE ${s}.whole (id int PRIMARY KEY, t text, n int)`,
    `ALTER TABLE ${s}.whole REPLICA IDENTITY FULL, ALTER t SET STORAGE EXTERNAL`,
    `CREATE TABLE ${s}.keyless (t text, n int)`,
    `ALTER TABLE ${s}.keyless REPLICA IDENTITY FULL`,
    `CREATE TABLE ${s}.indexed (id int PRIMARY KEY, code text NOT NULL, t text)`,
    `CREATE UNIQUE INDEX by_code ON ${s}.indexed (code)`,
    `ALTER TABLE ${s}.indexed REPLICA IDENTITY USING INDEX by_code`,
    `CREATE TABLE ${s}.big (id int PRIMARY KEY, t text, n int)`,
    `ALTER TABLE ${s}.big ALTER t SET STORAGE EXTERNAL`,
  );
}

const X = "x".repeat(9000);
const Y = "y".repeat(9000);

const EXPECTED = [
  ["c", "list", null, [1, "a", "2026-11-21T10:00:00.123456"]],
  ["c", "list", null, [2, "ü", null]],
  ["u", "list", null, [1, "b", "2026-11-21T10:00:00.123456"]],
  ["d", "list", [2, "(absent)", "(absent)"], null],
  ["c", "list", null, [10, "ü", null]],
  ["d", "list", [1, "(absent)", "(absent)"], null],
  ["c", "pair", null, [1, 2, "v"]],
  ["c", "pair", null, [3, 4, "w"]],
  ["d", "pair", [1, 2, "(absent)"], null],
  ["c", "pair", null, [9, 2, "v"]],
  ["d", "pair", [3, 4, "(absent)"], null],
  ["c", "whole", null, [1, X, null]],
  ["u", "whole", [1, X, null], [1, X, 5]],
  ["d", "whole", [1, X, 5], null],
  ["c", "whole", null, [2, X, 5]],
  ["d", "whole", [2, X, 5], null],
  ["c", "keyless", null, ["a", null]],
  ["c", "keyless", null, ["b", 1]],
  ["d", "keyless", ["b", 1], null],
  ["c", "keyless", null, ["b", 2]],
  ["d", "keyless", ["a", null], null],
  ["c", "indexed", null, [1, "one", "x"]],
  ["c", "indexed", null, [2, "two", "y"]],
  ["d", "indexed", ["(absent)", "two", "(absent)"], null],
  ["c", "indexed", null, [2, "three", "y"]],
  ["d", "indexed", ["(absent)", "one", "(absent)"], null],
  ["d", "indexed", ["(absent)", "three", "(absent)"], null],
  ["c", "big", null, [1, Y, 0]],
  ["u", "big", null, [1, "(absent)", 1]],
  ["t", "list", null, null],
  ["t", "pair", null, null],
];

test("both plugins give the same changes for the same SQL, positions included", async (f) => {
  await makeTables(f.schema);
  for (const plugin of PLUGINS) await f.begin(plugin);
  await run(...ALL_SORTS(f.schema));
  const [pgoutput, wal2json] = [
    await f.drain("pgoutput", undefined),
    await f.drain("wal2json", undefined),
  ];
  assert.deepEqual(told(pgoutput.changes), EXPECTED);
  assert.deepEqual(comparable(wal2json.changes), comparable(pgoutput.changes));
});

test("pg-logical-replication reads the same rows from the same log", async (f) => {
  await makeTables(f.schema);
  await f.begin("pgoutput");
  const slot = `${f.schema}_oracle`;
  await run(`SELECT pg_create_logical_replication_slot('${slot}', 'pgoutput')`);
  try {
    await run(...ALL_SORTS(f.schema));
    const { changes } = await f.drain("pgoutput", undefined);
    const ours = changes.filter(({ op }) => op !== "t").map(({ op, table, before, after }) =>
      JSON.stringify([op, table.table, textOf(table.columns, before ?? after!)])
    );
    assert.deepEqual(ours, await rowsByLibrary(slot, f.schema, ours.length));
  } finally {
    await until("the library's connection has let go of its slot", async () => {
      const active = "SELECT active FROM pg_replication_slots WHERE slot_name = $1";
      return (await rowsOf(active, [slot]))[0]?.[0] === "f";
    });
    await run(`SELECT pg_drop_replication_slot('${slot}')`);
  }
});

/** The library makes a Date of a timestamp, without its microseconds. */
const LOSSY = "at";

/** A row as text by column, what is absent left out. */
function textOf(columns: readonly { readonly name: string }[], row: Row): Record<string, unknown> {
  return Object.fromEntries(
    columns.flatMap(({ name }, at) =>
      row[at] === undefined || name === LOSSY ? [] : [[name, short(row[at])]]
    ),
  );
}

/** The first `count` rows after the slot, read by the library and put as `textOf` does; the old row of an update where the log has one. */
async function rowsByLibrary(slot: string, publication: string, count: number): Promise<string[]> {
  const library = new LogicalReplicationService(address("admin"), {
    acknowledge: { auto: false, timeoutSeconds: 0 },
  });
  const found: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const tell = (op: string, relation: PgoutputRow["relation"], row: Record<string, unknown>) => {
    const { keyColumns, replicaIdentity, name } = relation;
    const columns = Object.entries(row).filter(([column, value]) =>
      value !== undefined && column !== LOSSY &&
      (op !== "d" || replicaIdentity === "full" || keyColumns.includes(column))
    ).map(([column, value]) => [column, short(value)]);
    found.push(JSON.stringify([op, name, Object.fromEntries(columns)]));
    if (found.length === count) resolve();
  };
  library.on("error", reject);
  library.on("data", (_lsn: string, message: PgoutputRow) => {
    const { tag, relation, key, old } = message;
    if (tag === "insert") tell("c", relation, message.new!);
    else if (tag === "delete") tell("d", relation, key ?? old!);
    else if (tag === "update") {
      const before = key ?? old;
      const moved = relation.replicaIdentity === "full"
        ? relation.name === "keyless" || before!["id"] !== message.new!["id"]
        : before !== null;
      if (!moved) return tell("u", relation, before ?? message.new!);
      tell("d", relation, before!);
      tell("c", relation, message.new!);
    }
  });
  const plugin = new PgoutputPlugin({ protoVersion: 1, publicationNames: [publication] });
  const ended = library.subscribe(plugin, slot).catch(reject);
  const late = () => reject(new Error(`the library gave ${found.length} of ${count} rows`));
  const timer = setTimeout(late, DEADLINE_MS);
  try {
    await promise;
  } finally {
    clearTimeout(timer);
    await library.stop();
    await ended;
  }
  return found;
}

/** What the library tells of a row; rows are texts by column. */
interface PgoutputRow {
  readonly tag: string;
  readonly relation: {
    readonly name: string;
    readonly keyColumns: readonly string[];
    readonly replicaIdentity: string;
  };
  readonly key: Record<string, unknown> | null;
  readonly old: Record<string, unknown> | null;
  readonly new?: Record<string, unknown>;
}

/** Text that fits a failure's message; long values as their beginning and length. */
function short(value: unknown): string | null {
  if (value === null) return null;
  const text = String(value);
  return text.length > 40 ? `${text.slice(0, 20)}… of ${text.length}` : text;
}

test("positions grow strictly, and keys have the key's own order", async (f) => {
  await makeTables(f.schema);
  await f.begin("pgoutput");
  await run(...ALL_SORTS(f.schema));
  const { changes } = await f.drain("pgoutput", undefined);
  const positions = changes.map((change) => change.position);
  assert.deepEqual(positions, [...new Set(positions)].sort());
  const keys = new Map(
    changes.map(({ table }) =>
      [table.table, table.key.map((index) => table.columns[index]!.name)] as const
    ),
  );
  assert.deepEqual(Object.fromEntries(keys), {
    list: ["id"],
    pair: ["a", "b"],
    whole: ["id"],
    keyless: [],
    indexed: ["code"],
    big: ["id"],
  });
});

for (const plugin of PLUGINS) {
  test(`${plugin}: rows of one COPY share a record of the log and are told apart`, async (f) => {
    await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
    await f.begin(plugin);
    await run(`CREATE TABLE ${f.schema}_plain AS SELECT generate_series(1, 500) AS id`);
    try {
      // COPY FROM PROGRAM is the admin's; it needs no client that speaks COPY.
      await run(`COPY ${f.schema}.t FROM PROGRAM 'seq 1 500'`);
    } finally {
      await run(`DROP TABLE ${f.schema}_plain`);
    }
    const { changes } = await f.drain(plugin, undefined);
    assert.deepEqual(afters(changes), Array.from({ length: 500 }, (_, at) => [at + 1]));
    const lsns = new Set(changes.map((change) => change.coordinates["lsn"]));
    assert(lsns.size < 10, `500 rows at ${lsns.size} LSNs: nothing was shared`);
    assert.equal(new Set(changes.map((change) => change.position)).size, 500);
    assert.deepEqual(changes.map((change) => change.total_order).at(-1), 500);
  });

  test(`${plugin}: a changed key with a value out of line is read by the new key`, async (f) => {
    await run(
      `CREATE TABLE ${f.schema}.t (id int, at timestamptz, t text, PRIMARY KEY (id, at))`,
      `ALTER TABLE ${f.schema}.t ALTER t SET STORAGE EXTERNAL`,
    );
    await f.begin(plugin);
    await run(
      `INSERT INTO ${f.schema}.t VALUES (1, '2026-11-21 10:00:00.5+01', repeat('x', 9000))`,
      `UPDATE ${f.schema}.t SET id = 2`,
    );
    const { changes } = await f.drain(plugin, undefined);
    assert.deepEqual(told(changes).slice(1), [
      ["d", "t", [1, "2026-11-21T09:00:00.5Z", "(absent)"], null],
      ["c", "t", null, [2, "2026-11-21T09:00:00.5Z", X]],
    ]);
  });

  test(`${plugin}: where that row is gone the capture stops and says what to do`, async (f) => {
    await run(
      `CREATE TABLE ${f.schema}.t (id int PRIMARY KEY, t text)`,
      `ALTER TABLE ${f.schema}.t ALTER t SET STORAGE EXTERNAL`,
    );
    await f.begin(plugin);
    await run(
      `INSERT INTO ${f.schema}.t VALUES (1, repeat('x', 9000))`,
      `UPDATE ${f.schema}.t SET id = 2`,
      `DELETE FROM ${f.schema}.t`,
    );
    await assert.rejects(
      () => f.drain(plugin, undefined),
      (error) => error instanceof RecordError && /REPLICA IDENTITY FULL/.test(error.cure ?? ""),
    );
  });

  test(`${plugin}: ALTER in mid-stream never puts a value under another column`, async (f) => {
    const t = `${f.schema}.t`;
    await run(`CREATE TABLE ${t} (id int PRIMARY KEY, a text, b text)`);
    await f.begin(plugin);
    await run(
      `INSERT INTO ${t} VALUES (1, 'a1', 'b1')`,
      `ALTER TABLE ${t} ADD c int DEFAULT 7`,
      `INSERT INTO ${t} VALUES (2, 'a2', 'b2', 2)`,
      `ALTER TABLE ${t} DROP a`,
      `INSERT INTO ${t} VALUES (3, 'b3', 3)`,
      `ALTER TABLE ${t} RENAME b TO a`,
      `UPDATE ${t} SET a = 'renamed' WHERE id = 1`,
      `ALTER TABLE ${t} ALTER c TYPE bigint`,
      `INSERT INTO ${t} VALUES (4, 'a4', 9007199254740993)`,
      `ALTER TABLE ${t} RENAME id TO key`,
      `UPDATE ${t} SET key = 5 WHERE key = 4`,
      `DELETE FROM ${t} WHERE key = 5`,
    );
    const { changes } = await f.drain(plugin, undefined);
    const named = changes.map(({ op, table, before, after }) => {
      const row = (before ?? after)!;
      const cells = table.columns.map((column, at) => [column.name, row[at]] as const)
        .filter(([, value]) => value !== undefined);
      return [op, Object.fromEntries(cells), table.key.map((at) => table.columns[at]!.name)];
    });
    assert.deepEqual(named, [
      ["c", { id: 1, a: "a1", b: "b1" }, ["id"]],
      ["c", { id: 2, a: "a2", b: "b2", c: 2 }, ["id"]],
      ["c", { id: 3, b: "b3", c: 3 }, ["id"]],
      ["u", { id: 1, a: "renamed", c: 7 }, ["id"]],
      ["c", { id: 4, a: "a4", c: 9007199254740993n }, ["id"]],
      ["d", { key: 4 }, ["key"]],
      ["c", { key: 5, a: "a4", c: 9007199254740993n }, ["key"]],
      ["d", { key: 5 }, ["key"]],
    ]);
  });
}

// Types -------------------------------------------------------------------------------------------

/** Type, literal, value, and the type's name where the server writes it otherwise. */
const SAMPLES: readonly (readonly [type: string, literal: string, value: Value])[] = [
  ["smallint", "-32768", -32768],
  ["integer", "2147483647", 2147483647],
  ["bigint", "9007199254740991", 9007199254740991],
  ["bigint", "-9223372036854775808", -9223372036854775808n],
  ["oid", "4294967295", 4294967295],
  ["numeric", "123456789012345678901234567890.10", "123456789012345678901234567890.10"],
  ["numeric(12,2)", "12.5", "12.50"],
  ["real", "0.1", Math.fround(0.1)],
  ["real", "3.4028235e38", Math.fround(3.4028235e38)],
  ["double precision", "0.1", 0.1],
  ["double precision", "-0", -0],
  ["double precision", "5e-324", 5e-324],
  ["money", "1234.5", "$1,234.50"],
  ["boolean", "true", true],
  ["text", "it''s\\ \"x\"\n\té", 'it\'s\\ "x"\n\té'],
  ["character varying(5)", "abc", "abc"],
  ["character(5)", "abc", "abc  "],
  ['"char"', "x", "x"],
  ["name", "n", "n"],
  ["uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
  ["json", '{"a": 1.0,  "b":12345678901234567890}', '{"a": 1.0,  "b":12345678901234567890}'],
  ["jsonb", '{"b": 1.0, "a": null}', '{"a": null, "b": 1.0}'],
  ["date", "2026-11-21", "2026-11-21"],
  ["date", "infinity", "infinity"],
  ["date", "0044-03-15 BC", "0044-03-15 BC"],
  ["time without time zone", "10:00:00.123456", "10:00:00.123456"],
  ["time without time zone", "24:00:00", "24:00:00"],
  ["time with time zone", "10:00:00+05:30", "10:00:00+05:30"],
  ["timestamp without time zone", "2026-11-21 10:00:00.123456", "2026-11-21T10:00:00.123456"],
  ["timestamp(3) without time zone", "2026-11-21 10:00:00.1235", "2026-11-21T10:00:00.124"],
  ["timestamp without time zone", "-infinity", "-infinity"],
  ["timestamp without time zone", "0044-03-15 10:00:00 BC", "0044-03-15 10:00:00 BC"],
  ["timestamp with time zone", "2026-11-21 10:00:00.123456+02", "2026-11-21T08:00:00.123456Z"],
  ["timestamp with time zone", "12026-11-21 10:00:00+00", "12026-11-21T10:00:00Z"],
  ["interval", "1 year 2 mons -3 days 04:05:06.789", "P1Y2M-3DT4H5M6.789S"],
  ["bytea", "\\xdeadbeef00", new Uint8Array([0xde, 0xad, 0xbe, 0xef, 0])],
  ["bytea", "", new Uint8Array()],
  ["bit(4)", "0101", "0101"],
  ["bit varying(8)", "10", "10"],
  ["inet", "192.168.0.1/24", "192.168.0.1/24"],
  ["macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"],
  ["point", "(1,2)", "(1,2)"],
  ["int4range", "[1,5)", "[1,5)"],
  ["tsvector", "a b", "'a' 'b'"],
  ["xml", "<a>1</a>", "<a>1</a>"],
  ["int2vector", "1 2 3", "1 2 3"],
  ["integer[]", "{1,NULL,3}", [1, null, 3]],
  ["integer[]", "{{1,2},{3,4}}", [[1, 2], [3, 4]]],
  ["bigint[]", "{9223372036854775807}", [9223372036854775807n]],
  ["text[]", '{"a b",NULL,"NULL","q\\"\\\\",""}', ["a b", null, "NULL", 'q"\\', ""]],
  ["timestamp with time zone[]", '{"2026-11-21 10:00:00+00"}', ["2026-11-21T10:00:00Z"]],
  ["bytea[]", '{"\\\\x00ff"}', [new Uint8Array([0, 255])]],
  ["boolean[]", "{t,f}", [true, false]],
  ["double precision[]", "{NaN,-Infinity,0.1}", [NaN, -Infinity, 0.1]],
  ["box[]", "{(1,1),(0,0);(2,2),(1,1)}", ["(1,1),(0,0)", "(2,2),(1,1)"]],
  ["$.mood", "ok", "ok"],
  ['$."Odd Mood"', "so so", "so so"],
  ["$.mood[]", "{ok,NULL}", ["ok", null]],
  ["$.small", "5", 5],
  ["$.flag", "true", true],
  ["$.smalls", "{1,2}", [1, 2]],
  ["$.pair", "(1,x)", "(1,x)"],
];

async function makeTypes(s: string): Promise<void> {
  await run(
    `CREATE TYPE ${s}.mood AS ENUM ('ok', 'bad')`,
    `CREATE TYPE ${s}."Odd Mood" AS ENUM ('so so')`,
    `CREATE DOMAIN ${s}.small AS int CHECK (VALUE < 10)`,
    `CREATE DOMAIN ${s}.flag AS boolean`,
    `CREATE DOMAIN ${s}.smalls AS int[]`,
    `CREATE TYPE ${s}.pair AS (a int, b text)`,
  );
}

test("a sample of every type arrives as the type table says, by both plugins", async (f) => {
  const s = f.schema;
  await makeTypes(s);
  const samples = SAMPLES.map(([type, literal, value]) => ({
    type: type.replaceAll("$", s),
    literal,
    value,
  }));
  // Not null: wal2json is refused where a null could stand for NaN.
  const columns = samples.map(({ type }, at) => `c${at} ${type} NOT NULL`);
  await run(`CREATE TABLE ${s}.t (${columns.join(", ")}, PRIMARY KEY (c0))`);
  for (const plugin of PLUGINS) await f.begin(plugin);
  await run(
    `INSERT INTO ${s}.t VALUES (${
      samples.map(({ type, literal }) =>
        `'${type === "text" ? literal : literal.replaceAll("'", "''")}'`
      ).join(", ")
    })`,
  );
  for (const plugin of PLUGINS) {
    const { changes } = await f.drain(plugin, undefined);
    const [change] = changes;
    const found = samples.map(({ literal }, at) => ({
      type: change?.table.columns[at]?.type,
      literal,
      value: change?.after?.[at],
    }));
    assert.deepEqual(found, samples, plugin);
  }
});

test("settings of the database and of the role do not reach the text of values", async (f) => {
  const s = f.schema;
  await run(
    `CREATE TABLE ${s}.t (id int PRIMARY KEY, d date, tz timestamptz, i interval, b bytea,
       f float8 NOT NULL, m money)`,
  );
  const settings = {
    DateStyle: "'German'",
    TimeZone: "'Asia/Kolkata'",
    IntervalStyle: "'sql_standard'",
    bytea_output: "'escape'",
    extra_float_digits: "-3",
  };
  const role = `ALTER ROLE ${address("admin").user} IN DATABASE ${DATABASE}`;
  for (const [at, [name, value]] of Object.entries(settings).entries()) {
    const scope = at % 2 === 0 ? `ALTER DATABASE ${DATABASE}` : role;
    await run(`${scope} SET ${name} = ${value}`);
  }
  try {
    for (const plugin of PLUGINS) await f.begin(plugin);
    await run(
      `INSERT INTO ${s}.t VALUES (1, DATE '2026-11-21', TIMESTAMPTZ '2026-11-21 10:00:00Z',
         INTERVAL '1 day', '\\x00ff', 0.1, 1.5)`,
    );
    for (const plugin of PLUGINS) {
      const { changes } = await f.drain(plugin, undefined);
      assert.deepEqual(afters(changes), [[
        1,
        "2026-11-21",
        "2026-11-21T10:00:00Z",
        "P1D",
        new Uint8Array([0, 255]),
        0.1,
        "$1.50",
      ]], plugin);
    }
  } finally {
    await run(`ALTER DATABASE ${DATABASE} RESET ALL`, `${role} RESET ALL`);
  }
});

test("pgoutput carries NaN and Infinity", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY, f float8, r real, n numeric)`);
  await f.begin("pgoutput");
  await run(`INSERT INTO ${f.schema}.t VALUES (1, 'NaN', '-Infinity', 'NaN')`);
  const { changes } = await f.drain("pgoutput", undefined);
  assert.deepEqual(afters(changes), [[1, NaN, -Infinity, "NaN"]]);
});

test("wal2json is refused where null could mean NaN, and stops where it must mean it", async (f) => {
  const t = `${f.schema}.t`;
  await run(`CREATE TABLE ${t} (id int PRIMARY KEY, f float8)`);
  await assert.rejects(
    () => f.begin("wal2json"),
    (error) =>
      error instanceof ConfigError && /NaN/.test(error.message) && /pgoutput/.test(error.cure!),
  );
  await run(`ALTER TABLE ${t} ALTER f SET NOT NULL`);
  await f.begin("wal2json");
  await run(`INSERT INTO ${t} VALUES (1, 'NaN')`);
  await assert.rejects(
    () => f.drain("wal2json", undefined),
    (error) => error instanceof RecordError && /t\.f/.test(error.message),
  );
});

// Where it begins and ends ------------------------------------------------------------------------

for (const plugin of PLUGINS) {
  test(`${plugin}: a restart from any batch's resume point loses nothing`, async (f) => {
    const t = `${f.schema}.t`;
    await run(`CREATE TABLE ${t} (id int PRIMARY KEY)`);
    const begin = await f.begin(plugin);
    await run(
      `INSERT INTO ${t} SELECT generate_series(1, 25)`,
      `INSERT INTO ${t} SELECT generate_series(26, 30)`,
      `INSERT INTO ${t} SELECT generate_series(31, 55)`,
    );
    const small = { batch_changes: 10 };
    const { changes, batches } = await f.drain(plugin, begin, small);
    assert.equal(changes.length, 55);
    const positions = changes.map((change) => change.position);
    let done = 0;
    for (const { changes: part, resume } of batches) {
      done += part.length;
      const again = (await f.drain(plugin, resume, small)).changes.map((change) => change.position);
      // A transaction that was cut comes again whole, at the same positions.
      assert.deepEqual(again, positions.slice(positions.length - again.length));
      assert(again.length >= 55 - done, `${again.length} changes after ${done} of 55`);
      // The resume point stands after a transaction that is told whole, at the latest the one before.
      const whole = [0, 25, 30, 55].filter((end) => end <= done);
      assert(whole.slice(-2).includes(55 - again.length), `resume after ${done}: ${again.length}`);
    }
  });

  test(`${plugin}: only what is confirmed moves the slot, and an idle stream's slot moves`, async (f) => {
    const t = `${f.schema}.t`;
    await run(`CREATE TABLE ${t} (id int PRIMARY KEY)`, `CREATE TABLE public.${f.schema} (id int)`);
    const source = f.source(plugin);
    const begin = await source.open({ resume: undefined, generation: 1 });
    const confirmed = async () =>
      (await rowsOf(
        "select confirmed_flush_lsn from pg_replication_slots where slot_name = $1",
        [`${f.schema}_${plugin}`],
      ))[0]![0]!;
    const isBehind = async (one: string, other: string) =>
      (await rowsOf("select $1::pg_lsn < $2::pg_lsn", [one, other]))[0]![0] === "t";
    await run(`INSERT INTO ${t} VALUES (1)`);
    const signal = AbortSignal.timeout(DEADLINE_MS);
    const batches = source.batches({ to_end: false, signal })[Symbol.asyncIterator]();
    let batch: SourceBatch = { changes: [], resume: begin, whole: true };
    while (batch.changes.length === 0) batch = (await batches.next()).value;
    assert.deepEqual(afters(batch.changes), [[1]]);
    assert.equal(await confirmed(), begin["lsn"], "nothing was confirmed yet");

    source.confirm(batch.resume);
    await until(
      "the slot stands where it was confirmed",
      async () => await confirmed() === batch.resume["lsn"],
    );

    // Others write: no change of ours, but log that this slot would keep.
    await run(`INSERT INTO public.${f.schema} SELECT generate_series(1, 10000)`);
    const [[end]] = await rowsOf("select pg_current_wal_flush_lsn()") as [[string]];
    while (await isBehind(batch.resume["lsn"] as string, end)) batch = (await batches.next()).value;
    assert.deepEqual(batch.changes, []);
    source.confirm(batch.resume);
    await until(
      "the slot has passed the others' log",
      async () => !await isBehind(await confirmed(), end),
    );
    await run(`DROP TABLE public.${f.schema}`);
  });
}

test("an abort ends the batches in order, also while nothing comes", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const source = f.source("pgoutput");
  await source.open({ resume: undefined, generation: 1 });
  const stop = new AbortController();
  const ended = (async () => {
    for await (const _ of source.batches({ to_end: false, signal: stop.signal }));
    return "ended";
  })();
  stop.abort();
  assert.equal(await ended, "ended");
});

for (const plugin of PLUGINS) {
  test(`${plugin}: a transaction that fits into a batch comes as one`, async (f) => {
    // Many columns, so that the server is busy between one row and the next.
    const columns = Array.from({ length: 200 }, (_, index) => `c${index} int DEFAULT ${index}`);
    await run(
      `CREATE TABLE ${f.schema}.wide (id serial PRIMARY KEY, n int, ${columns.join(", ")})`,
    );
    f.now = () => 0; // the rest may take any time
    const source = f.source(plugin, { batch_bytes: 64 << 20 }); // wal2json writes names with values
    await source.open({ resume: undefined, generation: 1 });
    const [rows, transactions] = [200, 10];
    const write = () =>
      run(`INSERT INTO ${f.schema}.wide (n) SELECT * FROM generate_series(1, ${rows})`);
    let written = write();
    const lengths: number[] = [];
    const signal = AbortSignal.timeout(DEADLINE_MS);
    for await (const { changes, whole } of source.batches({ to_end: false, signal })) {
      if (changes.length === 0) continue;
      lengths.push(changes.length);
      if (!whole) continue;
      await written;
      if (lengths.length >= transactions) break;
      written = write();
    }
    await source.close();
    assert.deepEqual(lengths, Array(transactions).fill(rows), "changes of each batch");
  });
}

test("on an idle server the end is reached; excluded tables and other schemas do not come", async (f) => {
  const s = f.schema;
  await run(
    `CREATE TABLE ${s}.t (id int PRIMARY KEY)`,
    `CREATE TABLE ${s}.log_1 (id int PRIMARY KEY)`,
  );
  const changed = { exclude_tables: [`${s}.log_*`] };
  await f.begin("pgoutput", changed);
  await run(`INSERT INTO ${s}.log_1 VALUES (1)`, `INSERT INTO ${s}.t VALUES (2)`);
  assert.deepEqual(told((await f.drain("pgoutput", undefined, changed)).changes), [
    ["c", "t", null, [2]],
  ]);
  assert.deepEqual((await f.drain("pgoutput", undefined, changed)).changes.length, 1);
});

test("a consumer that does not pull holds the server back, and loses nothing", async (f) => {
  const t = `${f.schema}.t`;
  await run(`CREATE TABLE ${t} (id int PRIMARY KEY, t text)`);
  await f.begin("pgoutput");
  for (let part = 0; part < 40; part++) {
    await run(
      `INSERT INTO ${t} SELECT ${part} * 1000 + n, repeat('x', 1000) FROM generate_series(1, 1000) n`,
    );
  }
  const [[end]] = await rowsOf("select pg_current_wal_flush_lsn()") as [[string]];
  const source = f.source("pgoutput", { queue_bytes: 65_536 });
  await source.open({ resume: undefined, generation: 1 });
  const sent = async () =>
    (await rowsOf(
      `select r.sent_lsn, $2::pg_lsn - r.sent_lsn from pg_stat_replication r
       join pg_replication_slots s on s.active_pid = r.pid where s.slot_name = $1`,
      [`${f.schema}_pgoutput`, end],
    ))[0]!;
  let last = "";
  let still = 0;
  await until("the server has stopped sending", async () => {
    const [lsn] = await sent();
    still = lsn === last ? still + 1 : 0;
    last = lsn!;
    return still === 15;
  });
  // 40 MB wait; the socket's own buffers take some of it.
  const [, unsent] = await sent();
  assert(Number(unsent) > 20_000_000, `only ${unsent} bytes were held back`);
  let count = 0;
  const signal = AbortSignal.timeout(DEADLINE_MS);
  for await (const batch of source.batches({ to_end: true, signal })) count += batch.changes.length;
  assert.equal(count, 40_000);
});

test("one row that is larger than the queue comes all the same", async (f) => {
  const t = `${f.schema}.t`;
  await run(`CREATE TABLE ${t} (id int PRIMARY KEY, t text)`);
  await f.begin("pgoutput");
  await run(`INSERT INTO ${t} VALUES (1, repeat('x', 5000000)), (2, 'small')`);
  const { changes } = await f.drain("pgoutput", undefined, { queue_bytes: 65_536 });
  assert.deepEqual(changes.map((change) => (change.after![1] as string).length), [5_000_000, 5]);
});

// What can go wrong -------------------------------------------------------------------------------

test("a server process that ends is a passing fault", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const source = f.source("pgoutput");
  await source.open({ resume: undefined, generation: 1 });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const ended = (async () => {
    for await (const _ of source.batches({ to_end: false, signal }));
  })();
  const failed = assert.rejects(() => ended, (error) => classify(error) === "retry");
  await run(
    `select pg_terminate_backend(active_pid) from pg_replication_slots
     where slot_name = '${f.schema}_pgoutput'`,
  );
  await failed;
});

test("a second capture of the job is refused and names the first", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const first = f.source("pgoutput");
  await first.open({ resume: undefined, generation: 1 });
  const [[pid]] = await rowsOf(
    "select active_pid from pg_replication_slots where slot_name = $1",
    [`${f.schema}_pgoutput`],
  ) as [[string]];
  const refused = (error: unknown) =>
    error instanceof ConfigError && error.message.includes(`process ${pid}`) &&
    error.message.includes("list-sync");
  await assert.rejects(
    () => f.source("pgoutput").open({ resume: undefined, generation: 1 }),
    refused,
  );
  await assert.rejects(
    () => f.source("pgoutput").remove(),
    (error) => error instanceof ConfigError && error.message.includes(`process ${pid}`),
  );
});

test("a successor waits for the slot of a predecessor that is about to leave", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const first = f.source("pgoutput", { status_interval_ms: 30_000 });
  const resume = await first.open({ resume: undefined, generation: 1 });
  const second = f.source("pgoutput").open({ resume, generation: 1 });
  await first.close();
  assert.deepEqual(await second, resume);
});

for (
  const [what, wrong, found] of [
    ["another server", { system_identifier: "1" }, /another server/],
    ["another timeline", { timeline: 99 }, /timeline/],
    ["a log that ends before it", { lsn: "FFFF/0" }, /ends at/],
  ] as const
) {
  test(`history is lost on ${what}`, async (f) => {
    await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
    const resume = await f.begin("pgoutput");
    await assert.rejects(
      () => f.source("pgoutput").open({ resume: { ...resume, ...wrong }, generation: 1 }),
      (error) => error instanceof HistoryLostError && found.test(error.message) && !!error.cure,
    );
  });
}

test("history is lost when the slot is gone; without a resume point a new one is made and told", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const resume = await f.begin("pgoutput");
  await run(`select pg_drop_replication_slot('${f.schema}_pgoutput')`);
  await assert.rejects(
    () => f.source("pgoutput").open({ resume, generation: 1 }),
    (error) => error instanceof HistoryLostError && /is gone/.test(error.message),
  );
  f.told.length = 0;
  await f.begin("pgoutput");
  assert.deepEqual(f.told.map(({ event }) => event), ["slot_created", "stream_started"]);
});

test("history is lost when the publication is gone, found at a start or while it streams; without a resume point it is made", async (f) => {
  const isLost = (error: unknown) =>
    error instanceof HistoryLostError && /Publication .* is gone/.test(error.message);
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const resume = await f.begin("pgoutput");
  await run(`DROP PUBLICATION ${f.schema}`);
  await assert.rejects(() => f.source("pgoutput").open({ resume, generation: 1 }), isLost);
  const { lag_bytes, lost } = await f.source("pgoutput").standing(resume);
  assert.equal(lag_bytes, undefined);
  assert.match(lost!, /^Publication .* is gone/);
  const { level, found } = (await findings(f, "pgoutput")).get(`publication ${f.schema}`)!;
  assert.deepEqual([level, found.slice(0, 8)], ["warning", "is gone,"]);

  const source = f.source("pgoutput", { table_refresh_ms: 100 });
  await source.open({ resume: undefined, generation: 1 });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const ended = (async () => {
    for await (const _ of source.batches({ to_end: false, signal }));
  })();
  const failed = assert.rejects(() => ended, isLost);
  await run(`DROP PUBLICATION ${f.schema}`);
  await failed;
});

test("a slot of the other plugin is refused with a statement to drop it", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  await f.begin("pgoutput");
  await assert.rejects(
    () => f.begin("wal2json", { slot: `${f.schema}_pgoutput` }),
    (error) => error instanceof ConfigError && /pg_drop_replication_slot/.test(error.cure!),
  );
});

test("a table that matches later joins the publication at the next start", async (f) => {
  const s = f.schema;
  await run(`CREATE TABLE ${s}.one (id int PRIMARY KEY)`);
  const resume = await f.begin("pgoutput");
  await run(`CREATE TABLE ${s}.two (id int PRIMARY KEY)`);
  await f.begin("pgoutput");
  const extended = f.told.find(({ event }) => event === "publication_extended");
  assert.deepEqual(extended?.fields["tables"], [`${s}.two`]);
  await run(`INSERT INTO ${s}.two VALUES (1)`);
  assert.deepEqual(told((await f.drain("pgoutput", resume)).changes), [["c", "two", null, [1]]]);
});

test("a table without a replica identity is not published: its writers would be refused", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int)`);
  const refused = (error: unknown) =>
    error instanceof ConfigError && /REPLICA IDENTITY FULL/.test(error.cure!);
  for (const plugin of PLUGINS) await assert.rejects(() => f.begin(plugin), refused);
  await run(`UPDATE ${f.schema}.t SET id = 1`);
  await run(`ALTER TABLE ${f.schema}.t ADD PRIMARY KEY (id), REPLICA IDENTITY NOTHING`);
  for (const plugin of PLUGINS) await assert.rejects(() => f.begin(plugin), refused);
});

test("a table whose key is generated is refused: the log does not carry it", async (f) => {
  const t = `${f.schema}.t`;
  await run(
    `CREATE TABLE ${t} (id int NOT NULL, k int GENERATED ALWAYS AS (id * 10) STORED PRIMARY KEY)`,
    `CREATE UNIQUE INDEX by_id ON ${t} (id)`,
  );
  for (const identity of ["DEFAULT", "FULL"]) {
    await run(`ALTER TABLE ${t} REPLICA IDENTITY ${identity}`);
    for (const plugin of PLUGINS) {
      await assert.rejects(
        () => f.begin(plugin),
        (error) => error instanceof ConfigError && /generated column "k"/.test(error.message),
      );
      const { level, cure } = (await findings(f, plugin)).get(`replica identity of ${t}`)!;
      assert.equal(level, "error");
      assert.match(cure!, /REPLICA IDENTITY USING INDEX/);
    }
  }
  await run(`ALTER TABLE ${t} REPLICA IDENTITY USING INDEX by_id`);
  for (const plugin of PLUGINS) await f.begin(plugin);
  await run(`ALTER TABLE ${t} REPLICA IDENTITY DEFAULT`, `INSERT INTO ${t} VALUES (0)`);
  for (const plugin of PLUGINS) {
    await assert.rejects(() => f.drain(plugin, undefined), /generated column "k"/);
  }
  await run(`ALTER TABLE ${t} REPLICA IDENTITY USING INDEX by_id`);
  await run(`INSERT INTO ${t} VALUES (1)`, `UPDATE ${t} SET id = 2 WHERE id = 0`);
  for (const plugin of PLUGINS) {
    const expected = [["c", null, [0]], ["c", null, [1]], ["d", [0], null], ["c", null, [2]]];
    const found = told((await f.drain(plugin, undefined)).changes);
    assert.deepEqual(found.map(([op, , before, after]) => [op, before, after]), expected);
  }
});

test("a role that owns nothing is told what its owner must run; then it captures", async (f) => {
  const s = f.schema;
  const { user, password } = address("replicator");
  await run(
    `CREATE TABLE ${s}.t (id int PRIMARY KEY)`,
    `GRANT USAGE ON SCHEMA ${s} TO ${user}`,
    `GRANT SELECT ON ${s}.t TO ${user}`,
  );
  let cure = "";
  await assert.rejects(
    () => f.begin("pgoutput", { user, password }),
    (error) => {
      cure = (error as ConfigError).cure ?? "";
      return error instanceof ConfigError;
    },
  );
  await run(cure.replace(/^.*?: /, ""));
  await f.begin("pgoutput", { user, password });
  await run(`INSERT INTO ${s}.t VALUES (1)`);
  const { changes } = await f.drain("pgoutput", undefined, { user, password });
  assert.deepEqual(afters(changes), [[1]]);
  await f.source("pgoutput").remove();
});

test("a wrong password and a wrong database are faults of the job; no server is a passing one", async (f) => {
  const open = (changed: Partial<PostgresOptions>) =>
    f.source("pgoutput", { ...changed, slot: "never_made" })
      .open({ resume: undefined, generation: 1 });
  await assert.rejects(() => open({ password: "wrong" }), ConfigError);
  await assert.rejects(() => open({ database: "nowhere" }), ConfigError);
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  await assert.rejects(() => open({ port }), (error) => classify(error) === "retry");
});

test("remove drops slot and publication and says so, once", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  await f.begin("pgoutput");
  const sentences = await f.source("pgoutput").remove();
  assert.deepEqual(
    sentences.map((text) => /^Dropped (replication slot|publication) s_t/.test(text)),
    [
      true,
      true,
    ],
    sentences.join(" "),
  );
  const left = await rowsOf(
    `select slot_name from pg_replication_slots where slot_name like '${f.schema}\\_%'
     union all select pubname from pg_publication where pubname = '${f.schema}'`,
  );
  assert.deepEqual(left, []);
  assert.deepEqual(await f.source("pgoutput").remove(), []);
});

// check -------------------------------------------------------------------------------------------

/** Findings that are not ok, by subject. */
async function findings(f: Fixture, plugin: Plugin, changed: Partial<PostgresOptions> = {}) {
  const found = await f.source(plugin, changed).inspect();
  return new Map(found.map((finding) => [finding.subject, finding]));
}

test("check finds nothing wrong with a table that is captured whole, and changes nothing", async (f) => {
  const s = f.schema;
  await run(
    `CREATE TABLE ${s}.t (id int PRIMARY KEY)`,
    `ALTER TABLE ${s}.t REPLICA IDENTITY FULL`,
    `INSERT INTO ${s}.t VALUES (1), (2)`,
  );
  for (const plugin of PLUGINS) {
    const found = await findings(f, plugin);
    assert.deepEqual([...found.values()].filter((finding) => finding.level !== "ok"), []);
    assert.match(found.get(`rows of ${s}.t`)!.found, /^2 there already/);
    for (const subject of ["wal_level", "role", "max_wal_senders", `plugin ${plugin}`]) {
      assert.equal(found.get(subject)?.level, "ok", subject);
    }
  }
  const made = await rowsOf(
    `select slot_name from pg_replication_slots where slot_name like '${s}%' or slot_name like '%trial%'
     union all select pubname from pg_publication where pubname = '${s}'`,
  );
  assert.deepEqual(made, []);
});

test("check says what a delete will carry, and its cure makes it whole", async (f) => {
  const s = f.schema;
  await run(`CREATE TABLE ${s}.t (id int PRIMARY KEY, t text)`);
  const subject = `replica identity of ${s}.t`;
  const before = (await findings(f, "pgoutput")).get(subject)!;
  assert.equal(before.level, "warning");
  assert.match(before.found, /only the key \(id\)/);
  await run(before.cure!);
  assert.equal((await findings(f, "pgoutput")).get(subject)!.level, "ok");
});

test("check names tables that cannot be captured, each with a cure that works", async (f) => {
  const s = f.schema;
  await run(
    `CREATE TABLE ${s}.keyless (id int)`,
    `CREATE UNLOGGED TABLE ${s}.fast (id int PRIMARY KEY)`,
    `CREATE TABLE ${s}.parted (id int PRIMARY KEY) PARTITION BY RANGE (id)`,
    `CREATE TABLE ${s}.floats (id int PRIMARY KEY, f real)`,
  );
  const missing = `${s}.nothing_*`;
  const changed = { tables: [`${s}.*`, missing] };
  const pgoutput = await findings(f, "pgoutput", changed);
  assert.equal(pgoutput.get(`tables ${missing}`)?.level, "error");
  assert.equal(pgoutput.get(`replica identity of ${s}.keyless`)?.level, "error");
  assert.equal(pgoutput.get(`table ${s}.fast`)?.level, "error");
  assert.equal(pgoutput.get(`table ${s}.parted`)?.level, "warning");
  const wal2json = await findings(f, "wal2json", changed);
  const limits = wal2json.get(`wal2json and ${s}.floats`)!;
  assert.match(limits.found, /NaN/);
  await run(
    pgoutput.get(`replica identity of ${s}.keyless`)!.cure!,
    pgoutput.get(`table ${s}.fast`)!.cure!.split(", or")[0]!,
    limits.cure!.slice(limits.cure!.indexOf("ALTER")),
  );
  const after = [
    ...(await findings(f, "wal2json")).values(),
    ...(await findings(f, "pgoutput")).values(),
  ];
  assert.deepEqual(after.filter((finding) => finding.level === "error"), []);
});

test("a publication that holds rows or columns back is refused at check and at each start, and the cure widens it", async (f) => {
  const s = f.schema;
  await run(`CREATE TABLE ${s}.t (id int PRIMARY KEY, v text)`);
  const subject = `publication ${s} for ${s}.t`;
  for (
    const [part, found] of [
      ["(id) WHERE (id > 5)", /only the rows WHERE \(id > 5\)/],
      ["(id, v)", /only the columns/],
      ["WHERE (id < 5)", /only the rows WHERE/],
    ] as const
  ) {
    await run(`CREATE PUBLICATION ${s} FOR TABLE ${s}.t`);
    const resume = await f.begin("pgoutput");
    await run(`ALTER PUBLICATION ${s} SET TABLE ${s}.t ${part}`);
    const finding = (await findings(f, "pgoutput")).get(subject)!;
    assert.equal(finding.level, "error");
    assert.match(finding.found, found);
    for (const stored of [undefined, resume]) {
      await assert.rejects(
        () => f.source("pgoutput").open({ resume: stored, generation: 1 }),
        (error) => error instanceof ConfigError && found.test(error.message),
      );
    }
    await run(finding.cure!);
    assert.equal((await findings(f, "pgoutput")).get(subject), undefined);
    await f.begin("pgoutput");
    await run(`DROP PUBLICATION ${s}`);
  }
});

test("check tells a role that may not replicate or publish, with statements for the admin", async (f) => {
  const s = f.schema;
  const { user, password } = address("writer");
  await run(`CREATE TABLE ${s}.t (id int PRIMARY KEY)`, `GRANT USAGE ON SCHEMA ${s} TO ${user}`);
  const found = await findings(f, "pgoutput", { user, password });
  assert.deepEqual(found.get("role")?.level, "error");
  assert.equal(found.get("role")?.cure, `ALTER ROLE "${user}" REPLICATION`);
  const publication = found.get(`publication ${s}`)!;
  assert.equal(publication.level, "error");
  assert.equal(publication.cure, `CREATE PUBLICATION "${s}" FOR TABLE "${s}"."t"`);
});

test("check names the capture that holds the slot", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const source = f.source("pgoutput");
  await source.open({ resume: undefined, generation: 1 });
  const slot = (await findings(f, "pgoutput")).get(`slot ${f.schema}_pgoutput`)!;
  assert.equal(slot.level, "warning");
  assert.match(slot.found, /in use by process \d+/);
});

test("a stream that is lost is an error that says retry, not an end", async (f) => {
  await run(`CREATE TABLE ${f.schema}.t (id int PRIMARY KEY)`);
  const source = f.source("pgoutput");
  await source.open({ resume: undefined, generation: 1 });
  const signal = AbortSignal.timeout(DEADLINE_MS);
  const ended = (async () => {
    for await (const _ of source.batches({ to_end: false, signal }));
  })();
  const failed = assert.rejects(() => ended, RetryableError);
  await source.close();
  await failed;
});
