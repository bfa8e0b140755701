/** Whatever stands in a topic: a format answers a change, whole in every part, or a RecordError. */
import fc from "fast-check";
import { plainChange, type TableSchema } from "../../../shared/change.ts";
import { RecordError } from "../../../shared/errors.ts";
import type { Format } from "../../../shared/formats/format.ts";
import { type FormatName, formats } from "../../../shared/formats/mod.ts";
import { encoded } from "../../encoded.ts";
import { bytes, damaged, survives } from "../fuzzing.ts";
import { change } from "./arbitrary.ts";

const utf8 = new TextEncoder();

/** Changes of all kinds, always the same ones. */
const CHANGES = fc.sample(change, { numRuns: 60, seed: 7 });

function valueOf(format: Format, sent: (typeof CHANGES)[number]): Uint8Array {
  const { value } = encoded(format, sent);
  return typeof value === "string" ? utf8.encode(value) : value.slice();
}

/** Reads all that a sink could ask for. */
function readWhole(format: Format, value: Uint8Array, table: TableSchema): void {
  const record = { offset: 42, size: value.length, key: null, value, timestamp_ms: 0, headers: [] };
  const lookup = lookups.get(table) ?? (() => table);
  lookups.set(table, lookup);
  format.stamp(record);
  plainChange(format.decode(record, lookup));
}

/** One for each table, as a consumer has one: what is learnt of a table is kept with it. */
const lookups = new Map<TableSchema, () => TableSchema>();

for (const name of Object.keys(formats) as FormatName[]) {
  const { format } = await formats[name]();
  const good = CHANGES.map((sent) => ({ table: sent.table, value: valueOf(format, sent) }));

  Deno.test(`${name}: any bytes survive`, () => {
    const input = fc.tuple(bytes, fc.constantFrom(...CHANGES));
    survives(input, ([value, { table }]) => readWhole(format, value, table), RecordError);
  });

  Deno.test(`${name}: a record that is damaged somewhere survives after a whole one of its table`, () => {
    const input = fc.constantFrom(...good).chain((one) =>
      damaged(one.value).map((value) => ({ ...one, damaged: value }))
    );
    survives(input, (one) => {
      readWhole(format, one.value, one.table);
      readWhole(format, one.damaged, one.table);
    }, RecordError);
  });
}

Deno.test("json: an envelope with any values in the place of its own survives", async () => {
  const { format } = await formats.json();
  const anything = fc.jsonValue({ maxDepth: 2 });
  const envelopes = CHANGES.map((sent) => ({
    table: sent.table,
    envelope: JSON.parse(new TextDecoder().decode(valueOf(format, sent))),
  }));
  const paths = [[], ["before"], ["after"], ["source"], ["transaction"]];
  const names =
    "before after source op ts_ms transaction id total_order ts_us position schema_id snapshot db";
  const change = fc.record({
    path: fc.constantFrom(...paths),
    name: fc.oneof(fc.constantFrom(...names.split(" ")), fc.string({ maxLength: 4 })),
    value: fc.option(anything, { nil: undefined }),
  });
  const input = fc.tuple(fc.constantFrom(...envelopes), fc.array(change, { maxLength: 3 }));
  survives(input, ([{ table, envelope }, changes]) => {
    const made = structuredClone(envelope);
    for (const { path, name, value } of changes) {
      const place = path.reduce(
        (at: unknown, step) => (at as Record<string, unknown>)?.[step],
        made,
      );
      if (typeof place === "object" && place !== null) Object.assign(place, { [name]: value });
    }
    readWhole(format, utf8.encode(JSON.stringify(made)), table);
  }, RecordError);
});
