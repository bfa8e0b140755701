import assert from "node:assert/strict";
import { merged, rowResult } from "../../../bench/results.ts";
import { rows } from "../../../bench/rows/mod.ts";
import { exampleResults } from "./example.ts";

Deno.test("a ratio above 1 means that ours is better, whichever way is better", () => {
  const rate = rowResult("csv", rows.csv, 1, {
    ours: [{ figures: { per_second: 300 } }],
    theirs: [{ figures: { per_second: 100 } }],
  });
  assert.equal(rate.figures[0]!.ratio, 3);
  const time = rowResult("pipeline-pg-json", rows["pipeline-pg-json"], 1, {
    ours: [{ figures: { seconds: 17 } }],
    theirs: [{ figures: { seconds: 51 } }],
  });
  assert.equal(time.figures[0]!.ratio, 3);
});

Deno.test("a peak that nobody measured is null, and others are drawn together over the rounds", () => {
  const measured = (peak_bytes: number) => ({ figures: { per_second: 1 }, peak_bytes });
  const { ours_peak_bytes, theirs_peak_bytes } = rowResult("csv", rows.csv, 1, {
    ours: [measured(5), measured(9), measured(7)],
    theirs: [{ figures: { per_second: 1 } }],
  });
  assert.equal(ours_peak_bytes!.median, 7);
  assert.equal(theirs_peak_bytes, null);
});

Deno.test("rows that were run again take the place of the old ones, and the order is the table's", () => {
  const old = exampleResults();
  const again = old.rows.filter(({ row }) => row === "csv").map((row) => ({
    ...row,
    changes: 5,
    day: "2026-12-01",
  }));
  const names = Object.keys(rows);
  const both = merged(old, { ...old, rows: again }, names);
  assert.deepEqual(both.rows.map(({ row }) => row), names);
  const { changes, day } = both.rows.find(({ row }) => row === "csv")!;
  assert.deepEqual([changes, day], [5, "2026-12-01"]);
  assert.deepEqual([both.rows[0]!.changes, both.rows[0]!.day], [1_000_000, "2026-11-21"]);
  assert.deepEqual(merged(old, { ...old, rows: [] }, ["csv"]).rows.map(({ row }) => row), ["csv"]);
});
