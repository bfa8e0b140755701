import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { crc32 } from "node:zlib";
import type { Change } from "../../../../shared/change.ts";
import { ConfigError, cureOf, HistoryLostError, RecordError } from "../../../../shared/errors.ts";
import { parsePosition } from "../../../../shared/position.ts";
import type { CatalogTable } from "../../../../shared/sources/mysql/catalog.ts";
import { ChangeReader, fileNumber } from "../../../../shared/sources/mysql/change_reader.ts";
import { TableSelection } from "../../../../shared/sources/mysql/tables.ts";
import { EventType } from "../../../../shared/wire/binlog_event.ts";
import { GtidSet } from "../../../../shared/wire/gtid_set.ts";
import { eventsOf, FIXTURE_FILE, SECTIONS } from "../../wire/binlog_fixture.ts";
import { SILENT } from "../../../silent.ts";

const T: CatalogTable = {
  columns: ([
    ["id", "bigint"],
    ["name", "varchar(50)"],
    ["amount", "decimal(12,2) unsigned"],
    ["at", "datetime(6)"],
    ["state", "enum('new','it''s')"],
    ["tags", "set('a','b','c')"],
    ["doc", "json"],
    ["flags", "bit(11)"],
    ["raw", "binary(4)"],
    ["twice", "bigint"],
  ] as const).map(([name, type]) => ({
    name,
    type,
    generated: name === "twice",
    charset: type.startsWith("varchar") ? "utf8mb4" : undefined,
  })),
  key: ["id"],
};

/** `now`: table `t` as the catalogue has it. */
function newReader(tables = ["ls_fixture.t"], now = () => T): ChangeReader {
  return new ChangeReader({
    identity: { connector: "mysql", name: "test", version: "0.0.0" },
    generation: 9,
    selection: new TableSelection(tables, []),
    catalog: { table: (_db, table) => Promise.resolve(table === "t" ? now() : undefined) },
    start: { gtid_set: new GtidSet(), file: FIXTURE_FILE, offset: 4 },
    server: { server_uuid: "server" },
    lower_case: false,
    table_cache: 64,
    tinyint1_as_boolean: false,
    log: SILENT,
    now: () => 1,
  });
}

async function feed(reader: ChangeReader, events: readonly Uint8Array[]): Promise<Change[]> {
  for (const bytes of events) {
    const raw = { bytes, at: 0, end: bytes.length };
    if (reader.isPayload(raw)) { for await (const _ of reader.payload(raw)); }
    else await reader.read(raw);
  }
  const { changes } = reader;
  reader.changes = [];
  return changes;
}

/** The changes of `section`, read after the start of the stream alone. */
async function changesOf(section: string, reader = newReader()): Promise<Change[]> {
  await feed(reader, eventsOf("connect"));
  return await feed(reader, eventsOf(section));
}

const ids = (changes: readonly Change[]) =>
  changes.map(({ op, before, after }) => [op, before?.[0], after?.[0]]);

Deno.test("an insert gives its rows in the columns' order, generated columns left out", async () => {
  const [first, second] = await changesOf("insert");
  assert.deepEqual(first!.after, [
    1,
    "één",
    "12.50",
    "2026-11-21T10:00:00.123456",
    "it's",
    "a,c",
    '{"a": [true, null], "b": 1.0}',
    "00000000101",
    Uint8Array.of(1, 2, 0, 0),
  ]);
  assert.deepEqual(second!.after, [2, ...Array(8).fill(null)]);
  assert.equal(first!.before, null);
  assert.deepEqual(
    first!.table.columns.map(({ name, type, kind }) => [name, type, kind]),
    [
      ["id", "bigint", "integer"],
      ["name", "varchar(50)", "string"],
      ["amount", "decimal(12,2) unsigned", "string"],
      ["at", "datetime(6)", "string"],
      ["state", "enum('new','it''s')", "string"],
      ["tags", "set('a','b','c')", "string"],
      ["doc", "json", "string"],
      ["flags", "bit(11)", "string"],
      ["raw", "binary(4)", "bytes"],
    ],
  );
  assert.deepEqual(first!.table.key, [0]);
});

Deno.test("position and coordinates are file, end of the event and row", async () => {
  const events = eventsOf("insert");
  const rows = events.find((event) => event[4] === EventType.WRITE_ROWS)!;
  const pos = new DataView(rows.buffer).getUint32(13, true);
  const changes = await changesOf("insert");
  changes.forEach((change, row) => {
    assert.deepEqual(parsePosition(change.position), {
      generation: 9,
      major: BigInt(fileNumber(FIXTURE_FILE)),
      minor: BigInt(pos),
      row,
    });
    const { gtid, ...place } = change.coordinates;
    assert.deepEqual(place, { file: FIXTURE_FILE, pos, row });
    assert.equal(gtid, change.transaction.id);
    assert.equal(change.total_order, row + 1);
  });
});

Deno.test("an update has both images, a delete the old one", async () => {
  const [update] = await changesOf("update");
  assert.deepEqual([update!.op, update!.before![1], update!.after![1]], ["u", null, "two"]);
  assert.deepEqual(ids(await changesOf("delete")), [["d", 11, undefined]]);
});

Deno.test("a changed key is a delete and a create with rows of their own", async () => {
  const changes = await changesOf("key_change");
  assert.deepEqual(ids(changes), [
    ["d", 2, undefined],
    ["c", undefined, 12],
    ["d", 1, undefined],
    ["c", undefined, 11],
  ]);
  assert.deepEqual(changes.map(({ coordinates }) => coordinates.row), [0, 1, 2, 3]);
});

Deno.test("columns that a partial image leaves out are absent, and the key is filled in", async () => {
  const [change] = await changesOf("minimal_image");
  assert.deepEqual(change!.before, [12, ...Array(8).fill(undefined)]);
  assert.deepEqual(change!.after, [12, "min", ...Array(7).fill(undefined)]);
});

Deno.test("what a savepoint took back does not come, and the count goes through the transaction", async () => {
  const changes = await changesOf("two_tables");
  assert.deepEqual(ids(changes), [["c", undefined, 20], ["c", undefined, 22]]);
  assert.deepEqual(changes.map(({ total_order }) => total_order), [1, 2]);
});

Deno.test("a table without transactions and without a key is captured row by row", async () => {
  const changes = await changesOf("no_transactions", newReader(["ls_fixture.plain"]));
  assert.deepEqual(changes.map(({ after }) => after), [[1], [1]]);
  assert.deepEqual(changes[0]!.table.key, []);
});

Deno.test("CREATE TABLE … SELECT gives its rows and one resume point after them", async () => {
  const reader = newReader(["ls_fixture.copied"]);
  const changes = await changesOf("create_select", reader);
  assert.ok(changes.length > 0);
  assert.ok(reader.reached(FIXTURE_FILE, endOf("create_select")));
});

Deno.test("a compressed transaction gives the same changes, told apart by their place in it", async () => {
  const changes = await changesOf("compressed");
  assert.deepEqual(ids(changes), [
    ["c", undefined, 30],
    ["c", undefined, 31],
    ["d", 31, undefined],
    ["c", undefined, 32],
  ]);
  const positions = changes.map(({ position }) => position);
  assert.deepEqual(positions, [...new Set(positions)].sort(), "they rise");
  assert.equal(new Set(positions.map((position) => parsePosition(position).minor)).size, 1);
});

Deno.test("positions in a compressed transaction hold when another table is captured too", async () => {
  const alone = await changesOf("compressed");
  const both = await changesOf("compressed", newReader(["ls_fixture.*"]));
  assert.equal(both.length, alone.length + 1);
  assert.deepEqual(
    both.filter(({ table }) => table.table === "t").map(({ position }) => position),
    alone.map(({ position }) => position),
  );
});

Deno.test("a tagged GTID stands in the change and in the resume point", async () => {
  const reader = newReader();
  const [change] = await changesOf("tagged", reader);
  assert.match(change!.transaction.id, /:fixture:1$/);
  assert.match(String(reader.resume.gtid_set), /:fixture:1$/);
});

Deno.test("TRUNCATE is a change of the table as it was last seen", async () => {
  const reader = newReader();
  const [row] = await changesOf("insert", reader);
  const [change] = await feed(reader, eventsOf("truncate"));
  assert.deepEqual([change!.op, change!.before, change!.after], ["t", null, null]);
  assert.equal(change!.table, row!.table);
});

Deno.test("TRUNCATE before any row asks the catalogue, and describes the table alike", async () => {
  const [row] = await changesOf("insert");
  const [change] = await changesOf("truncate");
  assert.deepEqual(change!.table, { ...row!.table });
});

/** The columns of a reader's changes before and after an ALTER TABLE that makes `T` into `after`. */
async function columnsAround(
  { sql, after, written = (event) => event }: {
    readonly sql: string;
    readonly after: CatalogTable;
    readonly written?: (event: Uint8Array) => Uint8Array;
  },
): Promise<[before: string[], behind: string[]]> {
  let now = T;
  const reader = newReader(undefined, () => now);
  await feed(reader, eventsOf("connect"));
  const columns = async () => {
    const [change] = await feed(reader, eventsOf("insert").map(written));
    const { columns, key } = change!.table;
    assert.equal(change!.after!.length, columns.length);
    return columns.map(({ name }, i) => key.includes(i) ? `${name}!` : name);
  };
  const before = await columns();
  now = after;
  await feed(reader, [eventsOf("insert")[0]!, queryEvent(sql)]);
  return [before, await columns()];
}

Deno.test("after DDL the table is looked up again, though its rows look the same", async () => {
  const renamed = T.columns.map((c) => ({ ...c, name: c.name === "name" ? "title" : c.name }));
  for (
    const sql of [
      "ALTER TABLE t RENAME COLUMN name TO title",
      "ALTER ONLINE IGNORE TABLE t CHANGE name title VARCHAR(50)",
      "RENAME TABLE t TO away, other TO t",
      "CREATE OR REPLACE TABLE t (id BIGINT PRIMARY KEY)",
      "DROP TABLE `t` /* generated by server */",
    ]
  ) {
    const after = { ...T, columns: renamed };
    const [before, behind] = await columnsAround({ sql, after, written: withMinimalMetadata });
    assert.equal(before[1], "name", sql);
    assert.equal(behind[1], "title", sql);
  }
  for (
    const sql of ["ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (name)", "DROP INDEX x ON t"]
  ) {
    const after = { ...T, key: ["name"] };
    const [before, behind] = await columnsAround({ sql, after, written: withMinimalMetadata });
    assert.deepEqual(before.slice(0, 2), ["id!", "name"], sql);
    assert.deepEqual(behind.slice(0, 2), ["id", "name!"], sql);
  }
  const ordinary = T.columns.map((column) => ({ ...column, generated: false }));
  const sql = "ALTER TABLE t MODIFY twice BIGINT";
  const [before, behind] = await columnsAround({ sql, after: { ...T, columns: ordinary } });
  assert.deepEqual(behind, [...before, "twice"]);
});

Deno.test("the resume point moves with each transaction and never into one", async () => {
  const reader = newReader();
  await feed(reader, eventsOf("connect"));
  const before = reader.resume;
  const events = eventsOf("two_tables");
  await feed(reader, events.slice(0, -1));
  assert.equal(reader.resume, before, "inside the transaction");
  await feed(reader, events.slice(-1));
  assert.equal(reader.resume.offset, endOf("two_tables"));
  assert.notEqual(reader.resume.gtid_set, before.gtid_set);
});

Deno.test("beyond 4 GiB the position goes on in 64 bits where the header wraps", async () => {
  const reader = newReader();
  await feed(reader, eventsOf("connect"));
  const [gtid, begin, map, rows, xid] = eventsOf("update") as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  // The server rotated to a file whose end comes just before the limit.
  let at = 2 ** 32 - gtid.length - begin.length - 10;
  const rotate = eventsOf("connect")[0]!;
  new DataView(rotate.buffer).setBigUint64(19, BigInt(at), true);
  const place = (event: Uint8Array) => {
    at += event.length;
    const copy = withoutChecksum(event);
    new DataView(copy.buffer).setUint32(13, at % 2 ** 32, true);
    new DataView(copy.buffer).setUint32(9, event.length, true);
    return withChecksum(copy);
  };
  await feed(reader, [withChecksum(withoutChecksum(rotate))]);
  const [change] = await feed(reader, [gtid, begin, map, rows, xid].map(place));
  assert.equal(change!.coordinates.pos, at - xid.length);
  assert.ok(Number(change!.coordinates.pos) > 2 ** 32);
  assert.equal(reader.resume.offset, at);
});

Deno.test("a fresh connection that begins at the start of the file does not move the resume point back", async () => {
  const reader = newReader();
  await changesOf("insert", reader);
  const { offset } = reader.resume;
  await feed(reader, eventsOf("connect"));
  assert.equal(reader.resume.offset, offset);
});

const REFUSED: readonly (readonly [section: string, error: typeof Error, message: RegExp])[] = [
  ["xa", ConfigError as unknown as typeof Error, /XA transaction changes table ls_fixture\.t/],
  ["statement", ConfigError as unknown as typeof Error, /statement \(INSERT\)/],
];

Deno.test("what cannot be captured truthfully stops with the place and a cure", async () => {
  for (const [section, kind, message] of REFUSED) {
    await assert.rejects(changesOf(section), (error) => {
      assert.ok(error instanceof kind, `${section}: ${error}`);
      assert.match(String(error), message);
      assert.match(String(error), new RegExp(`${FIXTURE_FILE}:\\d+`));
      assert.match(cureOf(error) ?? "", /`deno task positions reset --yes JOB`/);
      return true;
    });
  }
});

Deno.test("a TRUNCATE whose table cannot be told stops, whatever is captured", async () => {
  const reader = newReader(["ls_fixture.other"]);
  await feed(reader, eventsOf("connect"));
  const statement = queryEvent("TRUNCATE TABLE t, u");
  await assert.rejects(feed(reader, [eventsOf("insert")[0]!, statement]), (error) => {
    assert.ok(error instanceof RecordError, String(error));
    assert.match(error.message, /^binlog\.\d+:\d+: .*which table.*"TRUNCATE TABLE t, u"/);
    return /positions reset --yes JOB/.test(error.cure ?? "");
  });
});

Deno.test("an update that holds parts of a JSON document gives the whole document", async () => {
  const [inserted, updated] = await changesOf("partial_json");
  const doc = inserted!.after!.findIndex((_, at) => inserted!.table.columns[at]!.name === "doc");
  assert.equal(inserted!.after![doc], `{"a": "${"x".repeat(100)}"}`);
  assert.deepEqual([updated!.op, updated!.before![doc]], ["u", inserted!.after![doc]]);
  assert.equal(updated!.after![doc], '{"a": "y"}');
});

Deno.test("an XA transaction of other tables does not matter", async () => {
  const reader = newReader(["ls_fixture.other"]);
  assert.deepEqual(await changesOf("xa", reader), []);
  assert.ok(reader.reached(FIXTURE_FILE, endOf("xa")));
});

Deno.test("an event that is not known stops the capture unless it says that it may be ignored", async () => {
  const unknown = (flags: number) => {
    const event = withoutChecksum(eventsOf("insert")[0]!);
    event[4] = 99;
    new DataView(event.buffer).setUint16(17, flags, true);
    return withChecksum(event);
  };
  const reader = newReader();
  await feed(reader, eventsOf("connect"));
  assert.deepEqual(await feed(reader, [unknown(0x80)]), []);
  await assert.rejects(feed(reader, [unknown(0)]), /event type 99 is not known/);
});

Deno.test("an incident in the log is lost history", async () => {
  const incident = withoutChecksum(eventsOf("insert")[0]!);
  incident[4] = EventType.INCIDENT;
  incident.set([1, 0, 3, 0x61, 0x62, 0x63], 19);
  const reader = newReader();
  await feed(reader, eventsOf("connect"));
  await assert.rejects(feed(reader, [withChecksum(incident)]), (error) => {
    assert.ok(error instanceof HistoryLostError, String(error));
    assert.match(cureOf(error) ?? "", /`deno task positions reset --yes JOB`/);
    return true;
  });
});

Deno.test("every recorded section is read by a test or by the recorder's set-up", () => {
  const here = Deno.readTextFileSync(new URL(import.meta.url));
  assert.deepEqual(SECTIONS.filter((name) => !here.includes(`"${name}"`) && name !== "create"), []);
});

/** End of the section's last event in its file. */
function endOf(section: string): number {
  return new DataView(eventsOf(section).at(-1)!.buffer).getUint32(13, true);
}

function withoutChecksum(event: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(event.subarray(0, event.length - 4));
}

function withChecksum(event: Uint8Array): Uint8Array {
  const whole = new Uint8Array(event.length + 4);
  whole.set(event);
  new DataView(whole.buffer).setUint32(event.length, crc32(event), true);
  return whole;
}

/** The event of a statement that ran in the fixture's database. */
function queryEvent(sql: string): Uint8Array {
  const [database, text] = ["ls_fixture", sql].map((part) => new TextEncoder().encode(part));
  const head = new Uint8Array(19 + 13);
  head[4] = EventType.QUERY;
  head[19 + 8] = database!.length;
  return placed(Uint8Array.of(...head, ...database!, 0, ...text!));
}

/** A TABLE_MAP as binlog_row_metadata = MINIMAL has it: without names, members and key. */
function withMinimalMetadata(event: Uint8Array): Uint8Array {
  if (event[4] !== EventType.TABLE_MAP) return event;
  const bytes = withoutChecksum(event);
  let at = 19 + 8;
  for (let name = 0; name < 2; name++) at += 1 + bytes[at]! + 1;
  const columns = bytes[at]!;
  at += 1 + columns;
  at += 1 + bytes[at]! + Math.ceil(columns / 8);
  const kept = [bytes.subarray(0, at)];
  while (at < bytes.length) {
    const [from, type, length] = [at, bytes[at]!, bytes[at + 1]!];
    at += 2 + length;
    if (!FULL_METADATA.includes(type)) kept.push(bytes.subarray(from, at));
  }
  return placed(Buffer.concat(kept));
}

/** Fields of a TABLE_MAP that say what MINIMAL leaves out (Table_map_log_event's Optional_metadata_field_type). */
const FULL_METADATA = [4, 5, 6, 8, 9, 10, 11];

/** `event` with its length and checksum, at no place of the log. */
function placed(event: Uint8Array): Uint8Array {
  const copy = new Uint8Array(event);
  const view = new DataView(copy.buffer);
  view.setUint32(9, copy.length + 4, true);
  view.setUint32(13, 0, true);
  return withChecksum(copy);
}
