import assert from "node:assert/strict";
import fc from "fast-check";
import type { Change } from "../../../shared/change.ts";
import { Repetitions } from "../../../shared/pipeline/repetitions.ts";
import { formatPosition } from "../../../shared/position.ts";

function at(name: string, minor: number): Change {
  const position = formatPosition({ generation: 1, major: 1n, minor: BigInt(minor), row: 0 });
  return { source: { connector: "mysql", name, version: "0" }, position } as Change;
}

const histories = fc.array(fc.record({ name: fc.constantFrom("a", "b"), minor: fc.nat(20) }));

Deno.test("Of each source's changes those pass that stand after all before them", () => {
  fc.assert(fc.property(histories, histories, (first, second) => {
    const highest = new Map<string, number>();
    const expected = [...first, ...second].map(({ name, minor }) => {
      const isNew = minor > (highest.get(name) ?? -1);
      if (isNew) highest.set(name, minor);
      return isNew;
    });
    const before = new Repetitions(new Map());
    const found = first.map(({ name, minor }) => before.isNew(at(name, minor)));
    const after = new Repetitions(before.positions());
    found.push(...second.map(({ name, minor }) => after.isNew(at(name, minor))));
    assert.deepEqual(found, expected, JSON.stringify([first, second]));
  }));
});

Deno.test("A batch that is given up leaves the positions of the one before", () => {
  const before = new Repetitions(new Map());
  before.isNew(at("a", 1));
  const kept = before.positions();
  new Repetitions(kept).isNew(at("a", 2));
  assert.equal(new Repetitions(kept).isNew(at("a", 2)), true);
});
