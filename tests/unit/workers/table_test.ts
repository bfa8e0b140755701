import assert from "node:assert/strict";
import { table } from "../../../workers/cli/table.ts";

Deno.test("columns are as wide as their widest cell, numbers stand to the right", () => {
  const text = table(["table", "rows", "time"], [["list", "1,000,000", "4.2 s"], [
    "x",
    "7",
    "12 s",
  ]]);
  assert.equal(
    text,
    [
      "table       rows   time",
      "-----  ---------  -----",
      "list   1,000,000  4.2 s",
      "x              7   12 s",
    ].join("\n"),
  );
});

Deno.test("a column with words stands to the left", () => {
  assert.equal(table(["a", "b"], [["1", "yes"], ["22", "no"]]).split("\n").at(-1), "22  no");
});

Deno.test("ranges stand to the right, as numbers do", () => {
  assert.equal(table(["a"], [["4.0\u201312.0"], ["7"]]).split("\n").at(-1), "       7");
});
