import assert from "node:assert/strict";
import fc from "fast-check";
import { type Cell, type Entry, fold } from "../../../shared/verify/fold.ts";
import { histories, type History } from "./histories.ts";

/** Entries of one key only. */
const ofOneKey = histories({ keys: 1 });

function shuffled<T>(items: readonly T[]): fc.Arbitrary<T[]> {
  return fc.shuffledSubarray([...items], { minLength: items.length });
}

const inAnyOrder = ofOneKey.filter((history) => history.entries.length > 0)
  .chain((history) => fc.tuple(fc.constant(history), shuffled(history.entries)));

Deno.test("folding a history in any order leaves the row that the model leaves", () => {
  fc.assert(fc.property(inAnyOrder, ([history, entries]) => {
    const folded = fold(entries);
    const [row] = history.rows.values();
    assert.deepEqual(folded.cells, row);
    assert.equal(folded.gap, undefined, folded.gap?.reason ?? "no gap");
    assert.deepEqual(folded.repeated, []);
  }));
});

Deno.test("an entry that is there twice is named once, and changes nothing", () => {
  const withDouble = inAnyOrder.chain(([history, entries]) =>
    fc.tuple(fc.constant(history), fc.constant(entries), fc.constantFrom(...entries))
  );
  fc.assert(fc.property(withDouble, ([history, entries, double]) => {
    const folded = fold([...entries, { ...double, row: 9999 }]);
    const [row] = history.rows.values();
    assert.deepEqual(folded.cells, row);
    assert.equal(folded.repeated.length, 1);
    assert.equal(folded.repeated[0]!.position, double.position);
    assert.equal(folded.repeated[0]!.insert, double.insert);
  }));
});

function entry(insert: boolean, op: string | null, position: string, cells: Cell[]): Entry {
  return { insert, op, position, cells, file: 0, row: 1 };
}

Deno.test("at one position the insert wins over the delete: together they are an update", () => {
  const folded = fold([
    entry(true, "u", "2", ["1", "new"]),
    entry(false, "u", "2", ["1", "old"]),
    entry(true, "c", "1", ["1", "old"]),
  ]);
  assert.deepEqual(folded.cells, ["1", "new"]);
  assert.equal(folded.gap, undefined);
});

Deno.test("values that the log did not carry are those of the row before", () => {
  const folded = fold([
    entry(true, "c", "1", ["1", "large", "a"]),
    entry(false, "u", "2", ["1", undefined, undefined]),
    entry(true, "u", "2", ["1", undefined, "b"]),
    entry(false, "u", "3", ["1", undefined, undefined]),
    entry(true, "u", "3", ["1", undefined, null]),
  ]);
  assert.deepEqual(folded.cells, ["1", "large", null]);
  assert.equal(folded.gap, undefined);
});

Deno.test("a snapshot may read a row again, and the later reading counts", () => {
  const folded = fold([
    entry(true, "r", "1", ["1", "a"]),
    entry(true, "r", "2", ["1", "b"]),
  ]);
  assert.deepEqual(folded.cells, ["1", "b"]);
  assert.equal(folded.gap, undefined);
});

Deno.test("each way in which a history is broken is told in words", () => {
  const cases: [Entry[], RegExp][] = [
    [[entry(false, "d", "1", ["1"])], /is deleted before it was inserted/],
    [
      [entry(false, "u", "1", ["1"]), entry(true, "u", "1", ["1"])],
      /is deleted before it was inserted/,
    ],
    [[entry(true, "c", "1", ["1"]), entry(true, "c", "2", ["1"])], /older row of this key/],
    [[entry(true, "c", "1", ["1"]), entry(true, "u", "2", ["1"])], /half.*delete/],
    [[entry(true, "c", "1", ["1"]), entry(false, "u", "2", ["1"])], /half.*insert/],
    [
      [entry(true, "c", "1", ["1", "a"]), entry(false, "d", "2", ["1", "b"])],
      /the deleted row differs from the inserted one/,
    ],
  ];
  for (const [entries, reason] of cases) assert.match(fold(entries).gap?.reason ?? "", reason);
});

// A wrong generator would let every property above pass.
Deno.test("the histories that these tests draw hold inserts, updates, deletes and new rows of old keys", () => {
  const drawn = fc.sample(ofOneKey, 500).flatMap((history: History) => history.entries);
  for (const op of ["c", "u", "d"]) assert.ok(drawn.some((one) => one.op === op), op);
});
