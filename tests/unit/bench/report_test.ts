import assert from "node:assert/strict";
import type { KeptRow } from "../../../bench/results.ts";
import { markdown, number, terminalTable, withResults } from "../../../bench/report.ts";
import { rows } from "../../../bench/rows/mod.ts";
import { exampleResults, exampleRows } from "./example.ts";

Deno.test("the README's table has every row with its peer, its medians, its spread and its ratio", () => {
  const lines = markdown(exampleResults()).split("\n");
  for (const [name, { work, peer, aim }] of Object.entries(rows)) {
    assert.ok(lines.some((line) => line.startsWith(`| \`${name}\` | ${work} | ${peer} |`)), name);
    assert.ok(lines.includes(`| \`${name}\` | ${aim} |`), name);
  }
  const capture = lines.find((line) => line.startsWith("| `capture-mysql` | backlog"));
  assert.match(
    capture!,
    /\| a second \| 8\.0\/s \(4\.0–12\.0\) \| 2\.0\/s \(1\.0–3\.0\) \| \*\*4\.0 ×\*\* \|$/,
  );
  assert.ok(lines.includes("| `capture-mysql` | 200 | 1,500 | 7.5 × |"));
});

Deno.test("rows of few changes or rounds are called trials", () => {
  const { rows: [row], ...rest } = exampleResults();
  const trial = /not how fast it is/;
  assert.doesNotMatch(markdown({ ...rest, rows: [row!] }), trial);
  assert.match(markdown({ ...rest, rows: [row!, { ...row!, changes: 999_999 }] }), trial);
});

Deno.test("rows of other days, with fewer rounds or fewer changes, are told", () => {
  const { rows: [row, other, ...more], ...rest } = exampleResults();
  const head = (rows: readonly KeptRow[]) => markdown({ ...rest, rows }).slice(0, 500);
  assert.match(head([row!, ...more]), /^Run on 2026-11-21: .*of a row: 3\. .*: 1,000,000\.\n/s);
  const [figure] = other!.figures;
  const once = { ...figure!, ours: { ...figure!.ours, rounds: [1] } };
  const rows = [row!, { ...other!, day: "2026-11-22", changes: 5, figures: [once] }, ...more];
  const told = new RegExp(
    `^Run on 2026-11-21 and 2026-11-22: .*of a row: 3; 1 for \`${
      other!.row
    }\`\\. .*: 1,000,000, 5\\. Fewer than three rounds .*\n`,
    "s",
  );
  assert.match(head(rows), told);
});

Deno.test("all lines of a table in the README have as many cells as its head", () => {
  for (const table of markdown(exampleResults()).split("\n\n")) {
    if (!table.startsWith("|")) continue;
    const widths = table.split("\n").map((line) => line.split("|").length);
    assert.equal(new Set(widths).size, 1, table);
  }
});

Deno.test("the terminal's table names every row once and all of its figures", () => {
  const lines = terminalTable(exampleRows()).split("\n");
  for (const name of Object.keys(rows)) {
    assert.equal(lines.filter((line) => line.split("  ")[0] === name).length, 1, name);
  }
  const figures = exampleRows().reduce((sum, { figures }) => sum + figures.length, 0);
  assert.equal(lines.length, 2 + figures);
});

Deno.test("results replace what stands between the markers, and nothing else", () => {
  const readme =
    "head\n<!-- results: written by deno task bench -->\nold\n<!-- end of results -->\ntail\n";
  const once = withResults(readme, "new");
  assert.equal(once, withResults(once, "new"));
  assert.match(once, /^head\n<!-- results[^\n]+\n\nnew\n\n<!-- end of results -->\ntail\n$/);
  assert.throws(() => withResults("head\n", "new"), /lacks <!-- results/);
});

Deno.test("numbers have the digits that count", () => {
  assert.deepEqual([133_249, 99_960, 123.4, 51, 4.94, 0.123].map(number), [
    "133,000",
    "100,000",
    "123",
    "51.0",
    "4.9",
    "0.12",
  ]);
});
