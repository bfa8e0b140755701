import assert from "node:assert/strict";
import fc from "fast-check";
import { type Change, plainChange } from "../../../shared/change.ts";
import { format } from "../../../shared/formats/json.ts";
import { META, type MetaName } from "../../../shared/sinks/csv/options.ts";
import { lineWriter } from "../../../shared/sinks/csv/rows.ts";
import { ByteArena } from "../../../shared/wire/byte_arena.ts";
import { encoded } from "../../encoded.ts";
import { change as anyChange } from "../formats/arbitrary.ts";
import { at, change, listTable } from "./fixtures.ts";

const UNAVAILABLE = "__gone";

/** The change as a consumer reads it: of a table that it knows already, rows in text where possible. */
function received(sent: Change): Change {
  const { key, value } = encoded(format, sent);
  const bytes = new TextEncoder();
  const record = {
    offset: 0,
    size: 0,
    key: typeof key === "string" ? bytes.encode(key) : key,
    value: value as Uint8Array,
    timestamp_ms: 0,
    headers: [],
  };
  const lookup = () => sent.table;
  format.decode(record, lookup);
  return format.decode(record, lookup);
}

/** The lines that a change makes, as text. */
function lines(
  change: Change,
  options: { split_files: boolean; meta: MetaName[]; escape_formulas: boolean },
): string[] {
  const writer = lineWriter(change.table, { ...options, unavailable_value: UNAVAILABLE }, at);
  const written: string[] = [];
  const line = (write: (change: Change, out: ByteArena) => void) => {
    const out = new ByteArena();
    out.begin();
    write(change, out);
    written.push(new TextDecoder().decode(out.end()));
  };
  if (change.after !== null) line(writer.insert);
  if (change.op === "u" || change.op === "d") line(writer.delete);
  return written;
}

const options = fc.record({
  split_files: fc.boolean(),
  meta: fc.subarray<MetaName>([...META]),
  escape_formulas: fc.boolean(),
});

Deno.test("A row that came as text is written as one made of its values", () => {
  const text = fc.oneof(
    fc.constantFrom(
      "",
      ",",
      "a,b",
      "null",
      UNAVAILABLE,
      "\\.",
      'a"b',
      "a\nb",
      "naïve 雪",
      "-0",
      "=1",
      "'",
    ),
    fc.string(),
  );
  const cell = fc.option(text, { nil: null });
  const table = listTable("note");
  const ordinary = fc.tuple(
    fc.constantFrom("c", "u", "d", "r"),
    fc.tuple(cell, cell, cell),
    fc.nat(),
  )
    .map(([op, [a, b, c], id]) => {
      const rows = {
        before: op === "u" || op === "d" ? [id, a, undefined, c] : undefined,
        after: op === "d" ? undefined : [-id - 1, b, c, op === "u" ? undefined : a],
      };
      return change(id, op as Change["op"], rows as Parameters<typeof change>[2], table);
    });
  const counts = { text: 0, values: 0 };
  fc.assert(
    fc.property(fc.oneof(ordinary, anyChange), options, (sent, options) => {
      const change = received(sent);
      counts[change.text === undefined ? "values" : "text"]++;
      assert.deepEqual(lines(change, options), lines(plainChange(change), options));
    }),
    { numRuns: 2000 },
  );
  assert.ok(counts.text > 200 && counts.values > 200, JSON.stringify(counts));
});
