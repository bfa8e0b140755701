import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import { type Conversions, decodePgoutput } from "../../../shared/wire/pgoutput.ts";
import { WireReader } from "../../../shared/wire/postgres_reader.ts";
import { conversionOf, OID } from "../../../shared/wire/postgres_value.ts";

const u8 = (value: number) => Buffer.from([value]);
const u16 = (value: number) => Buffer.from([value >> 8, value & 255]);
const u32 = (value: number) =>
  Buffer.from([value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255]);
const u64 = (value: bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(value);
  return bytes;
};
const text = (value: string) => Buffer.from(value);
const cstring = (value: string) => Buffer.from(`${value}\0`);
const value = (content: string) =>
  Buffer.concat([text("t"), u32(Buffer.byteLength(content)), text(content)]);

const conversions: Conversions = (relation_id) =>
  relation_id === 7
    ? [conversionOf(OID.int8), conversionOf(25)]
    : relation_id === 11
    ? [null, conversionOf(OID.int8), null]
    : null;

function decode(...parts: Buffer[]) {
  const bytes = Buffer.concat(parts);
  // Other messages stand around it in a socket's buffer.
  const buffer = Buffer.concat([text("before"), bytes, text("behind")]);
  return decodePgoutput(new WireReader(buffer, 6, 6 + bytes.length), conversions);
}

/** 2026-11-21T10:00:00.123456Z in microseconds since 2000-01-01. */
const COMMIT = 848_570_400_123_456n;

Deno.test("pgoutput: begin and commit carry LSNs, the commit time in µs since 1970, and the xid", () => {
  assert.deepEqual(decode(text("B"), u64(0x16_b374d848n), u64(COMMIT), u32(4_000_000_000)), {
    kind: "begin",
    final_lsn: 0x16_b374d848n,
    commit_us: Date.parse("2026-11-21T10:00:00Z") * 1000 + 123_456,
    xid: 4_000_000_000,
  });
  assert.deepEqual(decode(text("C"), u8(0), u64(1n), u64(2n), u64(COMMIT)), {
    kind: "commit",
    commit_lsn: 1n,
    end_lsn: 2n,
  });
});

Deno.test("pgoutput: a time before 2000 is read as well", () => {
  const message = decode(text("B"), u64(1n), u64(0xffff_ffff_ffff_ffffn), u32(1));
  assert.equal(message.kind === "begin" && message.commit_us, 946_684_799_999_999);
});

Deno.test("pgoutput: a relation names its columns, flags, types and modifiers", () => {
  const column = (flags: number, name: string, oid: number, modifier: number) =>
    Buffer.concat([u8(flags), cstring(name), u32(oid), u32(modifier >>> 0)]);
  assert.deepEqual(
    decode(
      text("R"),
      u32(16_384),
      cstring("public"),
      cstring("größe"),
      text("d"),
      u16(2),
      column(1, "id", 20, -1),
      column(0, "preis", 1700, 786_438),
    ),
    {
      kind: "relation",
      id: 16_384,
      schema: "public",
      table: "größe",
      replica_identity: "d",
      columns: [
        { name: "id", identity: true, type_oid: 20, type_modifier: -1 },
        { name: "preis", identity: false, type_oid: 1700, type_modifier: 786_438 },
      ],
    },
  );
});

Deno.test("pgoutput: an insert keeps null, empty text and unchanged values apart", () => {
  const row = (...values: Buffer[]) => [u16(2), ...values];
  assert.deepEqual(
    decode(text("I"), u32(7), text("N"), ...row(value("9007199254740993"), text("n"))),
    {
      kind: "insert",
      relation_id: 7,
      after: [9007199254740993n, null],
    },
  );
  assert.deepEqual(decode(text("I"), u32(7), text("N"), ...row(value("-1"), value(""))), {
    kind: "insert",
    relation_id: 7,
    after: [-1, ""],
  });
  assert.deepEqual(
    decode(
      text("U"),
      u32(7),
      text("K"),
      ...row(value("1"), text("n")),
      text("N"),
      ...row(value("2"), text("u")),
    ),
    { kind: "update", relation_id: 7, before: [1, null], key_only: true, after: [2, undefined] },
  );
});

Deno.test("pgoutput: columns that nobody wants are left out of rows, whatever stands there", () => {
  for (const generated of [value("any"), text("n"), text("u")]) {
    const row = Buffer.concat([u16(3), generated, value("5"), generated]);
    const message = decode(text("I"), u32(11), text("N"), row);
    assert.deepEqual(message, { kind: "insert", relation_id: 11, after: [5] });
  }
});

Deno.test("pgoutput: updates and deletes say whether the old row is whole", () => {
  const row = [u16(2), value("1"), value("é")];
  assert.deepEqual(decode(text("U"), u32(7), text("N"), ...row), {
    kind: "update",
    relation_id: 7,
    before: null,
    key_only: false,
    after: [1, "é"],
  });
  assert.deepEqual(decode(text("U"), u32(7), text("O"), ...row, text("N"), ...row), {
    kind: "update",
    relation_id: 7,
    before: [1, "é"],
    key_only: false,
    after: [1, "é"],
  });
  assert.deepEqual(decode(text("D"), u32(7), text("O"), ...row), {
    kind: "delete",
    relation_id: 7,
    before: [1, "é"],
    key_only: false,
  });
  assert.deepEqual(decode(text("D"), u32(7), text("K"), u16(2), value("1"), text("n")), {
    kind: "delete",
    relation_id: 7,
    before: [1, null],
    key_only: true,
  });
});

Deno.test("pgoutput: a truncate names every table; rows of unwanted tables are skipped unread", () => {
  assert.deepEqual(decode(text("T"), u32(2), u8(3), u32(7), u32(9)), {
    kind: "truncate",
    relation_ids: [7, 9],
  });
  assert.deepEqual(decode(text("I"), u32(9), text("N"), u16(60_000)), { kind: "skipped" });
});

const MALFORMED: readonly (readonly [string, RegExp, Buffer[]])[] = [
  ["an unknown letter", /unknown type: byte 88/, [text("X")]],
  ["an empty message", /ends too early/, []],
  ["a message cut short", /ends too early/, [text("B"), u64(1n)]],
  ["bytes after a message", /1 bytes too many/, [text("T"), u32(0), u8(0), u8(0)]],
  ["more tables than bytes", /ends too early/, [text("T"), u32(0xffff_ffff), u8(0)]],
  ["a value longer than its message", /ends too early/, [
    text("I"),
    u32(7),
    text("N"),
    u16(2),
    text("t"),
    u32(0xffff_ffff),
  ]],
  ["a row of another width", /3 columns for a table of 2/, [text("I"), u32(7), text("N"), u16(3)]],
  ["a value in binary", /unknown form: byte 98/, [text("I"), u32(7), text("N"), u16(2), text("b")]],
  ["a row that is not new", /where N belongs/, [text("I"), u32(7), text("O")]],
  ["a delete without an old row", /where K or O belongs/, [text("D"), u32(7), text("N")]],
  ["a name without its end", /zero byte/, [text("R"), u32(7), text("public")]],
  ["text where a number belongs", /expected an integer/, [
    text("I"),
    u32(7),
    text("N"),
    u16(2),
    value("1x"),
    text("n"),
  ]],
];

for (const [what, message, parts] of MALFORMED) {
  Deno.test(`pgoutput: ${what} is refused with a RecordError`, () => {
    assert.throws(
      () => decode(...parts),
      (error) => error instanceof RecordError && message.test(error.message),
    );
  });
}

/** How many random inputs a decoder gets; `deno task fuzz` raises it. */
const FUZZ_RUNS = Number(Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? 20_000);

Deno.test("pgoutput: whatever the bytes are, it answers or throws RecordError", () => {
  const letters = fc.constantFrom(..."BCRIUDTYOM").map((letter) => letter.charCodeAt(0));
  const parts = fc.oneof(
    fc.constantFrom(0, 1, 2, 7, 0x4e, 0x4b, 0x4f, 0x74, 0x6e, 0x75, 255),
    fc.integer({ min: 0, max: 255 }),
  );
  fc.assert(
    fc.property(letters, fc.array(parts, { maxLength: 60 }), (letter, rest) => {
      const bytes = Buffer.from([letter, ...rest]);
      try {
        decodePgoutput(new WireReader(bytes), conversions);
      } catch (error) {
        assert(error instanceof RecordError, `${bytes.toString("hex")}: ${error}`);
      }
    }),
    { numRuns: FUZZ_RUNS },
  );
});
