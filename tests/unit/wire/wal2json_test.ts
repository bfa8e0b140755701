import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import { Wal2jsonDecoder, type Wal2jsonRecord } from "../../../shared/wire/wal2json.ts";

const STAMP = `"xid":745,"timestamp":"2026-11-21 10:00:00.123456+00"`;
const ROW = `${STAMP},"lsn":"0/159AA50","schema":"public","table":"list"`;

function cell(name: string, type: string, oid: number, value: string, position: number): string {
  return `{"name":${JSON.stringify(name)},"type":${type},"typeoid":${oid},"value":${value},` +
    `"optional":true,"position":${position}}`;
}

function old(name: string, type: string, oid: number, value: string): string {
  return `{"name":${JSON.stringify(name)},"type":${type},"typeoid":${oid},"value":${value}}`;
}

function insert(...cells: string[]): string {
  return `{"action":"I",${ROW},"columns":[${
    cells.join(",")
  }],"pk":[{"name":"id","type":"bigint","typeoid":20}]}`;
}

function tokensOf(record: Wal2jsonRecord) {
  return "after" in record ? record.after?.tokens : undefined;
}

Deno.test("wal2json: begin and commit carry LSNs, the commit time in µs, and the xid", () => {
  const decoder = new Wal2jsonDecoder();
  assert.deepEqual(
    decoder.decode(`{"action":"B",${STAMP},"lsn":"16/B374D848","nextlsn":"16/B374D880"}`),
    {
      action: "begin",
      xid: 745,
      commit_us: Date.parse("2026-11-21T10:00:00Z") * 1000 + 123_456,
      lsn: 0x16_b374d848n,
    },
  );
  assert.deepEqual(decoder.decode(`{"action":"C",${STAMP},"lsn":"0/1","nextlsn":"0/2"}`), {
    action: "commit",
    end_lsn: 2n,
  });
});

Deno.test("wal2json: a commit time with fewer digits is the same moment", () => {
  const at = (time: string) => {
    const text = `{"action":"B","xid":1,"timestamp":"${time}","lsn":"0/1","nextlsn":"0/2"}`;
    const record = new Wal2jsonDecoder().decode(text);
    return record.action === "begin" ? record.commit_us : undefined;
  };
  assert.equal(at("2026-11-21 10:00:00.5+00"), at("2026-11-21 10:00:00.500000+00"));
  assert.equal(at("2026-11-21 10:00:00+00"), Date.parse("2026-11-21T10:00:00Z") * 1000);
});

Deno.test("wal2json: values keep every digit and sign, and null is not text", () => {
  const record = new Wal2jsonDecoder().decode(insert(
    cell("id", `"bigint"`, 20, "9223372036854775807", 1),
    cell("n", `"numeric"`, 1700, "1.000000000000000000000000000001", 2),
    cell("f", `"double precision"`, 701, "-0", 3),
    cell("b", `"boolean"`, 16, "true", 4),
    cell("x", `"bytea"`, 17, `"00ff"`, 5),
    cell("t", `"text"`, 25, `"a\\"b\\\\\\u0001é"`, 6),
    cell("e", `"text"`, 25, `""`, 7),
    cell("u", `"text"`, 25, "null", 8),
  ));
  assert.deepEqual(tokensOf(record), [
    "9223372036854775807",
    "1.000000000000000000000000000001",
    "-0",
    true,
    "\\x00ff",
    'a"b\\\u0001é',
    "",
    null,
  ]);
});

Deno.test("wal2json: types are read also where wal2json forgets to escape them", () => {
  const record = new Wal2jsonDecoder().decode(insert(
    cell("c", `"char"`, 18, `"x"`, 1),
    cell("m", `"Shop"."Mood"`, 16_400, `"ok"`, 2),
    cell("s", `"public.\\"Mood\\"[]"`, 16_401, `"{ok}"`, 3),
  ));
  assert(record.action === "insert");
  assert.deepEqual(record.after?.cells.map((cell) => cell.type), [
    '"char"',
    '"Shop"."Mood"',
    'public."Mood"[]',
  ]);
});

Deno.test("wal2json: while columns stay the same the cells are the same object; other columns, others", () => {
  const decoder = new Wal2jsonDecoder();
  const cellsOf = (text: string) => {
    const record = decoder.decode(text);
    return "after" in record ? record.after?.cells : undefined;
  };
  const id = (value: string) => cell("id", `"bigint"`, 20, value, 1);
  const name = cell("name", `"text"`, 25, `"x"`, 2);
  const first = cellsOf(insert(id("1"), name));
  assert.equal(cellsOf(insert(id("2"), name)), first);
  const renamed = cellsOf(insert(id("3"), cell("title", `"text"`, 25, `"x"`, 2)));
  assert.notEqual(renamed, first);
  assert.deepEqual(renamed?.map((cell) => cell.name), ["id", "title"]);
});

Deno.test("wal2json: a value left out of an update does not move the others", () => {
  const decoder = new Wal2jsonDecoder();
  const id = cell("id", `"bigint"`, 20, "1", 1);
  const big = cell("big", `"text"`, 25, `"x"`, 2);
  const n = cell("n", `"integer"`, 23, "5", 3);
  decoder.decode(insert(id, big, n));
  const record = decoder.decode(
    `{"action":"U",${ROW},"columns":[${id},${n}],"identity":[${
      old("id", `"bigint"`, 20, "1")
    }],"pk":[]}`,
  );
  assert(record.action === "update");
  assert.deepEqual(record.after?.cells.map((cell) => cell.name), ["id", "n"]);
  assert.deepEqual(record.after?.tokens, ["1", "5"]);
  assert.deepEqual(record.identity?.tokens, ["1"]);
});

Deno.test("wal2json: deletes carry the identity, truncates the table, messages nothing", () => {
  const decoder = new Wal2jsonDecoder();
  const record = decoder.decode(
    `{"action":"D",${ROW},"identity":[${
      old("id", `"bigint"`, 20, "1")
    }],"pk":[{"name":"id","type":"bigint","typeoid":20}]}`,
  );
  assert(record.action === "delete");
  assert.equal(record.after, null);
  assert.deepEqual(record.identity?.tokens, ["1"]);
  assert.deepEqual(record.primary_key, ["id"]);
  assert.deepEqual(decoder.decode(`{"action":"T",${ROW}}`), {
    action: "truncate",
    schema: "public",
    table: "list",
  });
  const message =
    `{"action":"M","xid":null,"timestamp":null,"lsn":"0/1","transactional":false,"prefix":"p","content":""}`;
  assert.deepEqual(decoder.decode(message), { action: "skipped" });
});

const MALFORMED: readonly (readonly [string, string])[] = [
  ["nothing", ""],
  ["an unknown action", `{"action":"X"}`],
  ["a record cut short", insert(cell("id", `"bigint"`, 20, "1", 1)).slice(0, -3)],
  ["text after the record", `${insert()}x`],
  [
    "a time in another zone",
    `{"action":"B","xid":1,"timestamp":"2026-11-21 10:00:00+01","lsn":"0/1","nextlsn":"0/2"}`,
  ],
  ["a bad escape", insert(cell("t", `"text"`, 25, `"\\x"`, 1))],
  ["a value that is none", insert(cell("t", `"text"`, 25, "what", 1))],
  ["an insert without a row", `{"action":"I",${ROW},"pk":[]}`],
];

for (const [what, text] of MALFORMED) {
  Deno.test(`wal2json: ${what} is refused with a RecordError`, () => {
    assert.throws(() => new Wal2jsonDecoder().decode(text), RecordError, text);
  });
}

const FUZZ_RUNS = Number(Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? 20_000);

Deno.test("wal2json: a record with any damage is read or refused with a RecordError", () => {
  const good = [
    insert(cell("id", `"bigint"`, 20, "1", 1), cell("t", `"text"`, 25, `"a\\nb"`, 2)),
    `{"action":"B",${STAMP},"lsn":"0/1","nextlsn":"0/2"}`,
    `{"action":"T",${ROW}}`,
  ];
  const decoder = new Wal2jsonDecoder();
  const damage = fc.tuple(
    fc.constantFrom(...good),
    fc.nat(400),
    fc.nat(20),
    fc.string({ maxLength: 6 }),
  );
  fc.assert(
    fc.property(damage, ([text, at, length, insert]) => {
      const broken = text.slice(0, at) + insert + text.slice(at + length);
      try {
        decoder.decode(broken);
      } catch (error) {
        assert(error instanceof RecordError, `${broken}: ${error}`);
      }
    }),
    { numRuns: FUZZ_RUNS },
  );
});
