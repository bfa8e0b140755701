import assert from "node:assert/strict";
import { RecordError } from "../../../shared/errors.ts";
import {
  EventType,
  readEvent,
  readFormatDescription,
  readGtid,
  readHeartbeatV2,
  readQuery,
  readRotate,
  readTaggedGtid,
  readTransactionPayload,
} from "../../../shared/wire/binlog_event.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import { readTableId, readTableMap } from "../../../shared/wire/binlog_table_map.ts";
import { eventsOf, FIXTURE_FILE } from "./binlog_fixture.ts";

function open(section: string, type: number) {
  const bytes = eventsOf(section).find((event) => event[4] === type)!;
  return readEvent(bytes, 0, bytes.length, true);
}

Deno.test("the format description tells version and checksums", () => {
  const [, bytes] = eventsOf("connect");
  const { server_version, checksums } = readFormatDescription(bytes!, 0, bytes!.length);
  assert.match(server_version, /^9\.7\.4/);
  assert.equal(checksums, true);
});

Deno.test("the first event names the file", () => {
  const { file, offset } = readRotate(open("connect", EventType.ROTATE).body);
  assert.deepEqual({ file, offset }, { file: FIXTURE_FILE, offset: 4 });
});

Deno.test("a flipped bit anywhere in an event is found by its checksum", () => {
  const bytes = eventsOf("insert").find((event) => event[4] === EventType.WRITE_ROWS)!;
  for (let i = 19; i < bytes.length; i++) {
    const damaged = bytes.slice();
    damaged[i]! ^= 1;
    assert.throws(() => readEvent(damaged, 0, damaged.length, true), /checksum/, `byte ${i}`);
  }
});

Deno.test("an event that is longer than its packet is refused", () => {
  const bytes = eventsOf("insert")[0]!;
  assert.throws(() => readEvent(bytes, 0, bytes.length - 1, true), RecordError);
});

Deno.test("a GTID carries its number, commit time and the transaction's length", () => {
  const events = eventsOf("insert");
  const gtid = readGtid(open("insert", EventType.GTID));
  assert.match(gtid.source!, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  assert.ok(gtid.number > 0);
  assert.equal(gtid.transaction_length, events.reduce((sum, { length }) => sum + length, 0));
  const seconds = open("insert", EventType.GTID).timestamp_s;
  assert.ok(Math.abs(gtid.original_commit_us / 1e6 - seconds) < 10, `${gtid.original_commit_us}`);
  assert.equal(gtid.immediate_commit_us, gtid.original_commit_us);
});

Deno.test("a tagged GTID is the same in its own layout", () => {
  const events = eventsOf("tagged");
  const event = open("tagged", EventType.GTID_TAGGED);
  const gtid = readTaggedGtid(event.body);
  assert.equal(gtid.source, `${readGtid(open("insert", EventType.GTID)).source}:fixture`);
  assert.equal(gtid.number, 1);
  assert.equal(gtid.transaction_length, events.reduce((sum, { length }) => sum + length, 0));
  assert.ok(Math.abs(gtid.original_commit_us / 1e6 - event.timestamp_s) < 10);
});

Deno.test("a statement comes with its database", () => {
  const { text } = readQuery(open("truncate", EventType.QUERY));
  assert.equal(text, "/* cleaning up */ TRUNCATE TABLE `ls_fixture` . `t`");
});

/** As servers write them: flags, sql_mode, catalogue, increments where they are not 1, character sets. */
const STATUS = "0000000000" + "010000000000000000" + "0603737464" + "0302000100" + "04";

/** A QUERY with a statement's bytes, both in hexadecimal. */
function query(status: string, text: string, flags = 0) {
  const [variables, database, statement] = [status, "73686f70", text].map(Uint8Array.fromHex);
  const head = new Uint8Array(13);
  head[8] = database!.length;
  head[11] = variables!.length;
  const body = Uint8Array.of(...head, ...variables!, ...database!, 0, ...statement!);
  return { type: EventType.QUERY, flags, body: new BinlogReader(body) };
}

const hexOf = (text: string) => new TextEncoder().encode(text).toHex();
const [TRUNCATE_HEX, QUOTE] = [hexOf("TRUNCATE `"), hexOf("`")];

Deno.test("a statement is read in its client's character set", () => {
  for (
    const [status, name, text] of [
      [`${STATUS}080008002d00`, "6772f6df65", "größe"],
      [`${STATUS}330033002d00`, "f1ede5e3", "снег"],
      [`${STATUS}1c001c002d00`, "d1a9d55c", "雪誠"],
      [`${STATUS}ff00ff00ff0011aa00000000000000`, "c3a9", "é"],
      ["", "c3a9", "é"],
      ["04080008002d00", "e9", "é"],
      ["05035554430408000800", "c3a9", "é"], // a zone where the character sets should stand
      [`${STATUS}ff00ff00ff00`, "6772f6df65", "gr\ufffd\ufffde"],
      [`${STATUS}ffffff00ff00`, "e9", "\ufffd"], // no collation has that id
    ] as const
  ) {
    const read = readQuery(query(status, TRUNCATE_HEX + name + QUOTE));
    assert.deepEqual(read, { database: "shop", text: `TRUNCATE \`${text}\`` }, status);
  }
});

Deno.test("what the server writes itself, as about a MEMORY table, is UTF-8, whatever the client has", () => {
  const text = "TRUNCATE TABLE `shop`.`heaß`";
  const bySession = query(`${STATUS}080008002d00`, hexOf(text));
  assert.equal(readQuery(bySession).text, "TRUNCATE TABLE `shop`.`hea\u00c3\u0178`");
  assert.equal(readQuery(query(`${STATUS}080008002d00`, hexOf(text), 0x8)).text, text);
});

Deno.test("a compressed transaction says how long it is and how it was compressed", () => {
  const payload = readTransactionPayload(
    open("compressed", EventType.TRANSACTION_PAYLOAD).body,
  );
  assert.equal(payload.compression, "zstd");
  assert.ok(payload.uncompressed_size > payload.payload.length);
});

Deno.test("a heartbeat of the second kind has a position of 64 bits", () => {
  const file = new TextEncoder().encode("binlog.000007");
  const bytes = [1, file.length, ...file, 2, 9, 0xfe, 0, 0, 0, 0, 2, 0, 0, 0, 0];
  const { file: name, offset } = readHeartbeatV2(new BinlogReader(Uint8Array.from(bytes)));
  assert.deepEqual({ name, offset }, { name: "binlog.000007", offset: 2 * 2 ** 32 });
});

Deno.test("full row metadata names columns, members, signs and the key", () => {
  const event = open("insert", EventType.TABLE_MAP);
  readTableId(event);
  const map = readTableMap(event.body);
  assert.equal(`${map.db}.${map.table}`, "ls_fixture.t");
  assert.deepEqual(
    map.columns.map(({ name }) => name),
    ["id", "name", "amount", "at", "state", "tags", "doc", "flags", "raw", "twice"],
  );
  assert.deepEqual(map.key, [0]);
  assert.equal(map.columns[2]!.unsigned, true);
  assert.deepEqual(map.columns[4]!.members!.map((m) => new TextDecoder().decode(m)), [
    "new",
    "it's",
  ]);
  assert.deepEqual(map.columns.map(({ nullable }) => nullable), [false, ...Array(9).fill(true)]);
});
