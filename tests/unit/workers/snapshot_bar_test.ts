import assert from "node:assert/strict";
import { ProgressBoard } from "../../../workers/cli/progress.ts";
import { SnapshotBar } from "../../../workers/runtime/snapshot_bar.ts";

Deno.test("a snapshot's bar tells the rate of this attempt alone, and each snapshot has its own", () => {
  const lines: string[] = [];
  let now_ms = 0;
  const board = new ProgressBoard(false, (line) => lines.push(line), () => now_ms);
  const bar = new SnapshotBar(() => board);
  bar.update({ rows: 8_000, rows_estimated: 20_000, finished: false });
  now_ms = 2_000;
  bar.update({ rows: 12_000, rows_estimated: 20_000, finished: false });
  now_ms = 4_000;
  bar.update({ rows: 18_000, rows_estimated: 20_000, finished: true });
  bar.update({ rows: 5, rows_estimated: 5, finished: true });
  bar.update({ rows: 100, rows_estimated: 400, finished: false });
  now_ms = 5_000;
  bar.update({ rows: 200, rows_estimated: 400, finished: false });
  board.close();
  assert.deepEqual(lines, [
    "snapshot rows: 18,000 of 18,000 (100 %), 2,500/s, took 4.0 s",
    "snapshot rows: 5 of 5 (100 %), took 0.0 s",
    "snapshot rows: 200 of 400 (50 %), 100/s, 2.0 s left",
  ]);
});
