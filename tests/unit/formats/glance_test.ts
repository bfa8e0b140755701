import assert from "node:assert/strict";
import fc from "fast-check";
import type { Change } from "../../../shared/change.ts";
import type { Format, Glance, SchemaLookup } from "../../../shared/formats/format.ts";
import { type FormatName, formats } from "../../../shared/formats/mod.ts";
import type { InRecord } from "../../../shared/kafka/port.ts";
import { POSITION_LENGTH } from "../../../shared/position.ts";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import { crc32c } from "../../../shared/wire/crc32c.ts";
import { readRecordBatches, RecordBatchWriter } from "../../../shared/wire/record_batch.ts";
import { encoded } from "../../encoded.ts";
import { change as plainRow } from "../sinks/fixtures.ts";
import { change } from "./arbitrary.ts";

const plain = new RecordBatchWriter({
  compression_id: 0,
  compress: (bytes) => bytes,
  crc32c,
});

/** Records as a fetch brings them: side by side in one piece of memory. */
function fetched(values: readonly (string | Uint8Array | null)[]): InRecord[] {
  const records = values.map((value) => ({ key: "{}", value, timestamp_ms: 0 }));
  const batch = plain.write(PackedRecords.of(records), 0, Infinity);
  plain.stamp(batch, { producer_id: 0n, producer_epoch: 0, base_sequence: 0 });
  return readRecordBatches(batch.bytes, 0, () => assert.fail("nothing is compressed")).records;
}

const valuesIn = (format: Format) => (changes: readonly Change[]) =>
  changes.map((change) => encoded(format, change).value);

/** What a glance tells, with the position as text; undefined: nothing. */
function glance(format: Format, record: InRecord, schemas: SchemaLookup) {
  const told = {} as Glance;
  if (!format.glance!(record, schemas, told)) return undefined;
  const { op, source, ts_us, memory, position_at } = told;
  const position = String.fromCharCode(
    ...memory.subarray(position_at, position_at + POSITION_LENGTH),
  );
  return { op, source, ts_us, position };
}

function decoded(format: Format, record: InRecord, schemas: SchemaLookup) {
  const { op, source, transaction: { ts_us }, position } = format.decode(record, schemas);
  return { op, source, ts_us, position };
}

/** Changes of a row of one table; all but the table and the row is each one's own. */
const changes = fc.tuple(
  change.filter(({ op }) => op === "u"),
  fc.array(fc.tuple(change, fc.constantFrom("c", "u", "d")), { minLength: 1, maxLength: 8 }),
).map(([first, others]) => [
  first,
  ...others.map(([{ transaction, total_order, coordinates, ts_ms }, op]): Change => ({
    ...first,
    op: op as Change["op"],
    transaction,
    total_order,
    coordinates,
    ts_ms,
    before: op === "c" ? null : first.before,
    after: op === "d" ? null : first.after,
  })),
]);

for (const name of Object.keys(formats) as FormatName[]) {
  const { format } = await formats[name]();
  const values = valuesIn(format);

  Deno.test(`${name}: a glance tells what decoding does, or nothing`, () => {
    let told = 0;
    fc.assert(
      fc.property(changes, (changes) => {
        const schemas = () => changes[0]!.table;
        for (const record of fetched(values(changes))) {
          const found = glance(format, record, schemas);
          const expected = decoded(format, record, schemas);
          if (found !== undefined) {
            told++;
            assert.deepStrictEqual(found, expected);
          }
        }
      }),
      { numRuns: 500 },
    );
    assert.ok(told > 50, `only ${told} were told`);
  });

  Deno.test(`${name}: a glance at bytes that are damaged tells what decoding does, throws nothing, and reads no other record`, () => {
    const damage = fc.tuple(changes, fc.nat(), fc.nat(255), fc.nat());
    fc.assert(
      fc.property(damage, ([changes, at, byte, cut]) => {
        const schemas = () => changes[0]!.table;
        const whole = values(changes);
        const last = whole.pop()!;
        last[at % last.length] = byte;
        const torn = last.subarray(0, cut % 3 === 0 ? cut % last.length : last.length);
        const records = fetched([...whole, torn, ...values(changes.slice(0, 1))]);
        decoded(format, records[0]!, schemas);
        const damaged = records.at(-2)!;
        const end = damaged.value_at! + damaged.value_length!;
        const told = {} as Glance;
        if (!format.glance!(damaged, schemas, told)) return;
        assert.ok(told.position_at + POSITION_LENGTH <= end, "it read on into the next record");
        const found = glance(format, damaged, schemas);
        let expected: ReturnType<typeof decoded>;
        try {
          expected = decoded(format, damaged, schemas);
        } catch {
          return; // for its rows, or for what stands after all that a glance looks at
        }
        assert.deepStrictEqual(found, expected);
      }),
    );
  });

  Deno.test(`${name}: a glance tells nothing of tombstones, of other tables, and before one was decoded`, () => {
    const first = plainRow(1, "c", { after: [1, "news", null] });
    const [record, tombstone] = fetched([...values([first]), null]);
    const schemas = () => first.table;
    assert.equal(glance(format, record!, schemas), undefined);
    decoded(format, record!, schemas);
    assert.notEqual(glance(format, record!, schemas), undefined);
    assert.equal(glance(format, tombstone!, schemas), undefined);
    const renamed = {
      ...first,
      source: { ...first.source, name: "other" },
      transaction: { ...first.transaction }, // the writer keeps what a transaction's changes share
    };
    assert.equal(glance(format, fetched(values([renamed]))[0]!, schemas), undefined);
  });

  Deno.test(`${name}: tables that differ in one thing are told apart, by a glance as by decoding`, () => {
    const first = plainRow(1, "c", { after: [1, "news", null] });
    const { table, source } = first;
    const changes = [
      first,
      { ...first, table: { ...table, db: "other" } },
      { ...first, table: { ...table, schema: "other" } },
      { ...first, table: { ...table, table: "other" } },
      { ...first, source: { ...source, name: "other" } },
      { ...first, source: { ...source, version: "other" } },
      { ...first, source: { ...source, connector: "mariadb" as const } },
    ].map((change) => ({ ...change, transaction: { ...change.transaction } }));
    const tables = new Map(changes.map(({ source, table }) => [
      [source.connector, source.name, table.db, table.schema, table.table].join(),
      table,
    ]));
    const schemas: SchemaLookup = (source, db, schema, table) =>
      tables.get([...source.split("/"), db, schema, table].join())!;
    const records = fetched(values(changes));
    for (const [index, record] of records.entries()) {
      const { source, table } = changes[index]!;
      const change = format.decode(record, schemas);
      assert.deepStrictEqual({ source: change.source, table: change.table }, { source, table });
      assert.deepStrictEqual(glance(format, record, schemas)?.source, source);
      for (const other of records) {
        if (other !== record) assert.equal(glance(format, other, schemas), undefined);
      }
    }
  });

  Deno.test(`${name}: a glance tells what decoding does where the position is none`, () => {
    const first = plainRow(1, "c", { after: [1, "news", null] });
    const none = { ...first, position: "z".repeat(POSITION_LENGTH) };
    const [record, other] = fetched(values([first, none]));
    const schemas = () => first.table;
    decoded(format, record!, schemas);
    assert.notEqual(glance(format, record!, schemas), undefined);
    let expected: ReturnType<typeof decoded> | undefined;
    try {
      expected = decoded(format, other!, schemas);
    } catch {
      // what cannot be decoded is not told of
    }
    assert.deepStrictEqual(glance(format, other!, schemas), expected);
  });
}
