import assert from "node:assert/strict";
import { RecordError } from "../../../shared/errors.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import { applyJsonDiffs } from "../../../shared/wire/mysql_json_diff.ts";

type Operation = readonly [name: "replace" | "insert" | "remove", path: string, value?: number];

/** Operations as the log holds them; values are small integers (type 5 of binary JSON). */
function diffs(...operations: readonly Operation[]): BinlogReader {
  const bytes = operations.flatMap(([name, path, value]) => {
    const text = new TextEncoder().encode(path);
    const head = [["replace", "insert", "remove"].indexOf(name), text.length, ...text];
    return value === undefined ? head : [...head, 3, 5, value, 0];
  });
  return new BinlogReader(Uint8Array.from(bytes));
}

/** Members stand as the server puts them: by the bytes of their names, shorter ones first. */
const DOCUMENT = '{"": null, "a": [1.0, {"b": "x, y: {"}, []], "ü": "\\"", "a b": {}}';

const APPLIED: readonly (readonly [what: string, Operation, after: string])[] = [
  ["a whole document", ["replace", "$", 7], "7"],
  ["a member", ["replace", '$."ü"', 7], DOCUMENT.replace('"\\""', "7")],
  ["a member deep inside", ["replace", "$.a[1].b", 7], DOCUMENT.replace('"x, y: {"', "7")],
  ["a new member", ["insert", "$.zz", 7], DOCUMENT.replace('"ü"', '"zz": 7, "ü"')],
  [
    "a new member of an empty object",
    ["insert", '$."a b"."\\""', 7],
    DOCUMENT.replace("{}", '{"\\"": 7}'),
  ],
  ["an element before another", ["insert", "$.a[1]", 7], DOCUMENT.replace("1.0, ", "1.0, 7, ")],
  ["an element at the end", ["insert", "$.a[3]", 7], DOCUMENT.replace("[]]", "[], 7]")],
  ["an element that goes", ["remove", "$.a[2]"], DOCUMENT.replace(", []]", "]")],
  ["a member that goes", ["remove", '$.""'], DOCUMENT.replace('"": null, ', "")],
];

for (const [what, operation, after] of APPLIED) {
  Deno.test(`an update of parts of JSON changes ${what}`, () => {
    assert.equal(applyJsonDiffs(DOCUMENT, diffs(operation)), after);
  });
}

Deno.test("operations follow one another, and without any the document is as before", () => {
  const all = diffs(["remove", "$[0]"], ["insert", "$[0]", 1], ["replace", "$[1]", 2]);
  assert.equal(applyJsonDiffs("[8, 9, 10]", all), "[1, 2, 10]");
  assert.equal(applyJsonDiffs(DOCUMENT, diffs()), DOCUMENT);
});

const REFUSED: readonly (readonly [what: string, before: string, BinlogReader])[] = [
  ["a path that leads nowhere", DOCUMENT, diffs(["replace", "$.c", 7])],
  ["a new member that is there", DOCUMENT, diffs(["insert", "$.a", 7])],
  ["an element of an object", DOCUMENT, diffs(["remove", "$[0]"])],
  ["a member of an array", "[1]", diffs(["replace", "$.a", 7])],
  ["a part of a number", "1", diffs(["insert", "$.a", 7])],
  ["a document that goes as a whole", DOCUMENT, diffs(["remove", "$"])],
  ["a path that is none", DOCUMENT, diffs(["remove", "$.a["])],
  ["an operation that nobody knows", "[1]", new BinlogReader(Uint8Array.of(3, 1, 36, 3, 5, 1, 0))],
  ["bytes that end too early", "[1]", new BinlogReader(Uint8Array.of(0, 9, 36))],
];

for (const [what, before, operations] of REFUSED) {
  Deno.test(`an update of parts of JSON is refused: ${what}`, () => {
    assert.throws(() => applyJsonDiffs(before, operations), RecordError);
  });
}
