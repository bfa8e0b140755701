import assert from "node:assert/strict";
import fc from "fast-check";
import type { Row, TableSchema } from "../../../shared/change.ts";
import { type Rows, rowsOf, scanRows } from "../../../shared/formats/json_rows.ts";
import { ByteScanner } from "../../../shared/wire/byte_scanner.ts";
import { rowWriter } from "../../../shared/wire/value_text.ts";
import { row, table } from "./arbitrary.ts";

const LIST: TableSchema = {
  id: "0",
  db: "shop",
  schema: null,
  table: "list",
  columns: [
    { name: "id", type: "bigint", kind: "integer" },
    { name: "note", type: "text", kind: "string" },
  ],
  key: [0],
};

/** The values of the rows that are the whole text, in the middle of other bytes. */
function scanned(text: string, table = LIST): Rows | undefined {
  const bytes = new TextEncoder().encode(`7${text}9`).subarray(1, -1);
  const input = new ByteScanner();
  input.reset(bytes);
  const rows = scanRows(input, table);
  return rows === undefined || input.at !== bytes.length ? undefined : rowsOf(rows, table);
}

function textOf(table: TableSchema, before: Row | null, after: Row | null): string {
  const write = rowWriter(table.columns);
  const [b, a] = [before, after].map((r) => r === null ? "null" : write(r));
  return `{"before":${b},"after":${a}`;
}

Deno.test("what is read is what was written, or nothing", () => {
  let read = 0;
  const rows = table.chain((table) =>
    fc.tuple(fc.constant(table), fc.option(row(table)), row(table))
  );
  fc.assert(
    fc.property(rows, ([table, before, after]) => {
      const found = scanned(textOf(table, before, after), table);
      if (found === undefined) return;
      read++;
      assert.deepStrictEqual(found, { before, after });
    }),
    { numRuns: 2000 },
  );
  assert.ok(read > 10, `only ${read} of 2000 were read`);
});

Deno.test("ordinary rows are read without a parser", () => {
  assert.deepStrictEqual(scanned('{"before":null,"after":{"id":-42,"note":"naïve 雪"}'), {
    before: null,
    after: [-42, "naïve 雪"],
  });
  assert.deepStrictEqual(scanned('{"before":{"note":null},"after":{"id":0}'), {
    before: [undefined, null],
    after: [0, undefined],
  });
  assert.deepStrictEqual(scanned('{"before":null,"after":{"id":-12345678901234567890,"note":""}'), {
    before: null,
    after: [-12345678901234567890n, ""],
  });
});

Deno.test("whatever needs a parser is left to it", () => {
  for (
    const text of [
      '{"before":null,"after":{"id":1,"note":"a\\"b"}',
      '{"before":null,"after":{"id":1.5}',
      '{"before":null,"after":{"id":1e3}',
      '{"before":null,"after":{"id":01}',
      '{"before":null,"after":{"id":-}',
      '{"before":null,"after":{"id":-0}',
      '{"before":null,"after":{"note":"line\nbreak"}',
      '{"before":null,"after":{"note":"no end',
      '{"before":null,"after":{"note":"a","id":1}',
      '{"before":null,"after":{"other":1}',
      '{"before":null,"after":{"id":1,}',
      '{"before":null,"after":{"id":1',
      '{"before":null,"after":{"id":"1"}',
      '{"before":null,"after":{"note":7}',
      '{"before":nul,"after":null',
      '{ "before":null,"after":null',
      '{"before":null,"after":null,',
      "",
    ]
  ) {
    assert.equal(scanned(text), undefined, text);
  }
});
