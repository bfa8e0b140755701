/** The judgement of fault runs sees each way in which something can be wrong. */
import assert from "node:assert/strict";
import { type Found, judge } from "../faults/run/judgement.ts";
import { Ledger } from "../faults/run/ledger.ts";

function ledger(): Ledger {
  const ledger = new Ledger();
  ledger.commit([{ op: "c", ids: [1, 2], note: "a" }, { op: "u", ids: [1], note: "b" }]);
  ledger.commit([{ op: "d", ids: [1], note: "" }, { op: "u", ids: [2], note: "c" }]);
  return ledger;
}

/** A topic that holds just what was committed. Deletions carry the key alone. */
const TOPIC: readonly Found[] = [
  { id: 1, op: "c", version: 1, note: "a" },
  { id: 2, op: "c", version: 1, note: "a" },
  { id: 1, op: "u", version: 2, note: "b" },
  { id: 1, op: "d" },
  { id: 2, op: "u", version: 2, note: "c" },
];

/** What the judgement counts of a topic: lost, repeated, altered. */
function counted(found: readonly Found[], halves = false): [number, number, number] {
  const { lost, repeated, altered } = judge("topic", ledger(), found, halves);
  return [lost, repeated, altered];
}

Deno.test("what was committed, once and in order, is judged to be so", () => {
  assert.deepEqual(counted(TOPIC), [0, 0, 0]);
  assert.equal(ledger().changes, TOPIC.length);
});

for (const [at, { id, op }] of TOPIC.entries()) {
  Deno.test(`a change that is missing is lost: ${op} of row ${id}`, () => {
    assert.deepEqual(counted(TOPIC.toSpliced(at, 1)), [1, 0, 0]);
  });

  Deno.test(`a change that stands there twice is repeated: ${op} of row ${id}`, () => {
    assert.deepEqual(counted([...TOPIC, TOPIC[at]!]), [0, 1, 0]);
  });
}

Deno.test("a value other than the one written is altered", () => {
  assert.deepEqual(counted(TOPIC.with(2, { ...TOPIC[2]!, note: "B" })), [0, 0, 1]);
});

Deno.test("a change that nobody made is altered", () => {
  assert.deepEqual(counted([...TOPIC, { id: 2, op: "u", version: 3, note: "c" }]), [0, 0, 1]);
  assert.deepEqual(counted([...TOPIC, { id: 3, op: "c", version: 1, note: "a" }]), [0, 0, 1]);
});

Deno.test("two changes of a row that change places are altered", () => {
  assert.deepEqual(counted(TOPIC.with(0, TOPIC[2]!).with(2, TOPIC[0]!)), [0, 0, 1]);
});

Deno.test("changes of different rows have no order", () => {
  assert.deepEqual(counted(TOPIC.with(0, TOPIC[1]!).with(1, TOPIC[0]!)), [0, 0, 0]);
});

Deno.test("in files an update is two rows, and half of it is not enough", () => {
  const files = TOPIC.flatMap((row): Found[] =>
    row.op === "u" ? [{ id: row.id, op: "u-" }, row] : [row]
  );
  assert.deepEqual(counted(files, true), [0, 0, 0]);
  assert.deepEqual(counted(files.filter(({ op }) => op !== "u-"), true), [2, 0, 0]);
  assert.deepEqual(counted([...files, { id: 2, op: "u-" }], true), [0, 1, 0]);
});
