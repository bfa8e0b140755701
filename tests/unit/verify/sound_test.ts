import assert from "node:assert/strict";
import fc from "fast-check";
import { type Entry, fold } from "../../../shared/verify/fold.ts";
import { NONE } from "../../../shared/verify/groups.ts";
import { Records } from "../../../shared/verify/records.ts";
import { inOrder, NOT_SOUND, soundRow } from "../../../shared/verify/sound.ts";
import { COLUMNS, histories } from "./histories.ts";

/** What the records of a history say, and `fold`, which is the reference. */
function both(entries: readonly Entry[]) {
  const records = new Records(COLUMNS.map((_, at) => at));
  const history = entries.map((entry) => records.add(entry)).sort(inOrder(records));
  const row = soundRow(records, history);
  return { row: row < 0 ? row : records.entry(row), folded: fold(entries) };
}

/** Entries of one key, shuffled, with up to three of them lost, doubled or altered. */
const damaged = histories({ keys: 1 }).chain(({ entries }) => {
  const damage = fc.tuple(fc.nat(), fc.constantFrom("lost", "doubled", "cell", "blank", "op"));
  return fc.tuple(
    fc.shuffledSubarray(entries, { minLength: entries.length }),
    fc.array(damage, { maxLength: 3 }),
  );
}).map(([entries, damages]) => damages.reduce(harm, entries)).filter(({ length }) => length > 0);

function harm(entries: Entry[], [number, kind]: [number, string]): Entry[] {
  if (entries.length === 0) return entries;
  const at = number % entries.length;
  const entry = entries[at]!;
  switch (kind) {
    case "lost":
      return entries.toSpliced(at, 1);
    case "doubled":
      return [...entries, entry];
    case "cell":
      return entries.with(at, { ...entry, cells: entry.cells.with(1, "altered") });
    case "blank":
      return entries.with(at, { ...entry, cells: entry.cells.with(2, undefined) });
    default:
      return entries.with(at, { ...entry, op: ["r", "u", "c", "d", null, "x"][number % 6]! });
  }
}

Deno.test("a sound history leaves the row that fold leaves, and fold finds nothing wrong with it", () => {
  fc.assert(
    fc.property(damaged, (entries) => {
      const { row, folded } = both(entries);
      if (row === NOT_SOUND) return;
      assert.deepEqual(folded.repeated, []);
      assert.equal(folded.gap, undefined);
      assert.deepEqual(row === NONE ? undefined : row, folded.cells && folded.last);
    }),
    { numRuns: 2000 },
  );
});

Deno.test("an undamaged history is sound", () => {
  const undamaged = histories({ keys: 1 }).filter(({ entries }) => entries.length > 0);
  fc.assert(fc.property(undamaged, ({ entries }) => {
    assert.notEqual(both(entries).row, NOT_SOUND);
  }));
});
