import assert from "node:assert/strict";
import { count, duration } from "../../../workers/cli/figures.ts";
import { ProgressBoard } from "../../../workers/cli/progress.ts";

Deno.test("where there is no terminal, an end writes one line with count, share, rate and time", () => {
  const lines: string[] = [];
  let now_ms = 0;
  const board = new ProgressBoard(false, (line) => lines.push(line), () => now_ms);
  const progress = board.begin("write", 2000);
  now_ms = 4000;
  progress.update(2000);
  progress.end();
  progress.end();
  board.close();
  assert.deepEqual(lines, ["write: 2,000 of 2,000 (100 %), 500/s, took 4.0 s"]);
});

Deno.test("work that is not done tells the time left, and ends with the board", () => {
  const lines: string[] = [];
  let now_ms = 0;
  const board = new ProgressBoard(false, (line) => lines.push(line), () => now_ms);
  const half = board.begin("half", 100_000);
  const open = board.begin("open", 0);
  now_ms = 10_000;
  half.update(25_000);
  open.update(30);
  board.close();
  assert.deepEqual(lines, [
    "half: 25,000 of 100,000 (25 %), 2,500/s, 30 s left",
    "open: 30, 3/s",
  ]);
});

Deno.test("long work writes a line now and then", async () => {
  const said = Promise.withResolvers<string>();
  const board = new ProgressBoard(false, said.resolve, () => 0, 5);
  board.begin("slow", 10);
  // Deno lets a process end while only this timer runs; a test waits on another.
  const deadline = setTimeout(() => said.reject(new Error("no line within 10 s")), 10_000);
  assert.equal(await said.promise, "slow: 0 of 10 (0 %)");
  clearTimeout(deadline);
  board.close();
});

Deno.test("progress that cannot be written ends nothing, on a terminal and elsewhere", async () => {
  const board = new URL("../../../workers/cli/progress.ts", import.meta.url);
  const script = `
    import { ProgressBoard } from "${board}";
    for (const terminal of [true, false]) {
      const board = new ProgressBoard(terminal);
      const progress = board.begin("write", 10);
      board.say("a line");
      progress.end();
      board.close();
    }
    console.log("done");`;
  const shell = `printf %s "$1" | "$0" run -A --config=deno.json --ext=ts - 2> /dev/full`;
  const { code, stdout } = await new Deno.Command("sh", {
    args: ["-c", shell, Deno.execPath(), script],
  }).output();
  assert.deepEqual([code, new TextDecoder().decode(stdout)], [0, "done\n"]);
});

Deno.test("counts and durations read as people write them", () => {
  assert.equal(count(1_234_567), "1,234,567");
  assert.equal(duration(4.24), "4.2 s");
  assert.equal(duration(42.4), "42 s");
  assert.equal(duration(200), "3 min 20 s");
});
