import assert from "node:assert/strict";
import fc from "fast-check";
import type { Cell, Entry } from "../../../shared/verify/fold.ts";
import { Groups, NONE } from "../../../shared/verify/groups.ts";
import { RecordWriter } from "../../../shared/verify/record.ts";
import { Records } from "../../../shared/verify/records.ts";

/** Short and long text, ASCII and not. */
const text = fc.oneof(
  fc.constantFrom("", "a", "b"),
  fc.string({ unit: "grapheme" }),
  fc.string({ minLength: 79, maxLength: 2000 }),
);
const cell: fc.Arbitrary<Cell> = fc.oneof(text, fc.constantFrom(null, undefined));
const entry: fc.Arbitrary<Entry> = fc.record({
  insert: fc.boolean(),
  op: fc.constantFrom(null, "c", "u"),
  position: text,
  cells: fc.array(cell, { minLength: 3, maxLength: 3 }),
  file: fc.nat(),
  row: fc.nat(),
}, { noNullPrototype: true });
const order = fc.shuffledSubarray([0, 1, 2], { minLength: 3 });

/** The entries' records; `identity` of their cells in `order` tell one from another. */
function recordsOf(entries: readonly Entry[], order: readonly number[], identity = 1) {
  const records = new Records(order);
  const record = new RecordWriter(identity);
  const places = entries.map((entry) => {
    record.entry(entry, order);
    const place = records.length;
    records.grow(record.length).set(record.bytes.subarray(0, record.length));
    return place;
  });
  return { records, places };
}

Deno.test("a record says what its entry said, whatever the order of the cells", () => {
  fc.assert(fc.property(fc.array(entry), order, (entries, order) => {
    const { records, places } = recordsOf(entries, order);
    assert.deepEqual(places.map((place) => records.entry(place)), entries);
    assert.deepEqual(places.slice(1), places.slice(0, -1).map((place) => records.after(place)));
  }));
});

Deno.test("two records agree in what both carry, and are the same where all cells are", () => {
  fc.assert(fc.property(entry, entry, (a, b) => {
    const { records, places: [at_a, at_b] } = recordsOf([a, b], [0, 1, 2]);
    const isSame = a.cells.every((cell, at) => cell === b.cells[at]);
    const isAgreed = a.cells.every((cell, at) =>
      cell === undefined || b.cells[at] === undefined || cell === b.cells[at]
    );
    assert.equal(records.sameCells(at_a!, at_b!), isSame);
    assert.equal(records.agree(at_a!, at_b!), isAgreed);
    assert.equal(records.isWhole(at_a!), !a.cells.includes(undefined));
  }));
});

Deno.test("groups are those of equal identities, each in the order in which its records came", () => {
  const ids = fc.array(fc.nat(5000), { maxLength: 3000, size: "max" });
  fc.assert(
    fc.property(ids, (ids) => {
      const entries = ids.map((id, row) => entryOf(row, id));
      const { records, places } = recordsOf(entries, [1, 0, 2]);
      const groups = new Groups(records);
      for (const place of places) groups.add(place);
      const found = Array.from({ length: groups.count }, (_, group) => {
        const rows: number[] = [];
        let record = groups.first(group);
        do rows.push(records.entry(record).row); while ((record = records.next(record)) !== 0);
        return rows;
      });
      assert.deepEqual(found, [...Map.groupBy(ids.keys(), (row) => ids[row]).values()]);
      assert.equal(groups.find(records.add(entryOf(0, -1))), NONE);
    }),
    { numRuns: 20 },
  );
});

function entryOf(row: number, id: number): Entry {
  return {
    insert: true,
    op: null,
    position: "",
    cells: [String(row), String(id), null],
    file: 0,
    row,
  };
}
