import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../../shared/errors.ts";
import { GtidSet } from "../../../shared/wire/gtid_set.ts";

const A = "7ffc9fed-e5b1-11f1-b8bf-02fc00000001";
const B = "00000000-0000-0000-0000-000000000002";
const sources = [A, B, `${A}:tag_1`];

/** Transactions as a plain list, to compare with. */
const transactions = fc.array(
  fc.tuple(fc.constantFrom(...sources), fc.integer({ min: 1, max: 30 })),
  { maxLength: 60 },
);
const setOf = (list: [string, number][]) =>
  list.reduce((set, [source, number]) => set.add(source, number), new GtidSet());
const name = ([source, number]: [string, number]) => `${source}:${number}`;

Deno.test("a set holds what was added to it, in whichever order", () => {
  fc.assert(fc.property(transactions, (list) => {
    const set = setOf(list);
    const members = new Set(list.map(name));
    for (const source of sources) {
      for (let number = 1; number <= 31; number++) {
        assert.equal(set.has(source, number), members.has(name([source, number])));
      }
    }
    assert.equal(set.toString(), setOf([...list].reverse()).toString());
    assert.equal(GtidSet.parse(set.toString()).toString(), set.toString());
  }));
});

Deno.test("union, difference and containment are those of sets", () => {
  fc.assert(fc.property(transactions, transactions, (left, right) => {
    const names = new Set(right.map(name));
    const rest = setOf(left.filter((one) => !names.has(name(one))));
    assert.equal(setOf(left).without(setOf(right)).toString(), rest.toString());
    assert.equal(setOf(right).contains(setOf(left)), rest.empty);
    const both = setOf(left).union(setOf(right));
    assert.equal(both.toString(), setOf([...left, ...right]).toString());
    assert.ok(both.contains(setOf(left)) && both.contains(setOf(right)));
  }));
});

Deno.test("a copy does not change with its original", () => {
  const set = GtidSet.parse(`${A}:1-5`);
  const copy = set.copy();
  set.add(A, 6);
  assert.equal(copy.toString(), `${A}:1-5`);
});

Deno.test("the server's own text is read, with line breaks, tags and upper case", () => {
  const text = `${A.toUpperCase()}:1-5:7:tag_1:1:9,\n${B}:3`;
  assert.equal(GtidSet.parse(text).toString(), `${B}:3,${A}:1-5:7,${A}:tag_1:1:9`);
  assert.ok(GtidSet.parse("").empty);
});

Deno.test("text that is no set is refused, naming the part", () => {
  for (const [text, part] of [["nonsense:1", "nonsense"], [`${A}:5-3`, "5-3"], [`${A}:0`, "0"]]) {
    assert.throws(
      () => GtidSet.parse(text!),
      (error) => error instanceof ConfigError && error.message.includes(JSON.stringify(part)),
      text,
    );
  }
});

Deno.test("a set is encoded as the dump command wants it, ends exclusive", () => {
  const hex = Array.from(
    GtidSet.parse(`${A}:1-5`).encode(),
    (b) => b.toString(16).padStart(2, "0"),
  );
  assert.equal(
    hex.join(""),
    "0100000000000000" + A.replaceAll("-", "") + "0100000000000000" + "0100000000000000" +
      "0600000000000000",
  );
});
