import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../../shared/errors.ts";
import { GtidPosition } from "../../../shared/wire/mariadb_gtid.ts";

const transactions = fc.array(
  fc.tuple(fc.nat(3), fc.nat(2), fc.integer({ min: 1, max: 30 })),
  { maxLength: 30 },
);

Deno.test("of each domain the transaction added last stands in the text, which reads back", () => {
  fc.assert(fc.property(transactions, (list) => {
    const position = new GtidPosition();
    const last = new Map<number, string>();
    for (const [domain, server, number] of list) {
      position.add(`${domain}-${server}`, number);
      last.set(domain, `${domain}-${server}-${number}`);
    }
    const text = [...last].sort(([a], [b]) => a - b).map(([, gtid]) => gtid).join(",");
    assert.equal(position.toString(), text);
    assert.equal(GtidPosition.parse(` ${text.replaceAll(",", " , ")} `).toString(), text);
    assert.equal(position.copy().add("9-1", 1).toString(), text === "" ? "9-1-1" : `${text},9-1-1`);
    assert.equal(position.toString(), text, "a copy is one of its own");
    assert.equal(position.empty, list.length === 0);
  }));
});

Deno.test("a position contains what lies before it in each domain, and is without it what lies after", () => {
  const position = GtidPosition.parse("0-1-5,2-1-7");
  for (const inside of ["", "0-1-5", "0-2-4,2-1-7"]) {
    assert.ok(position.contains(GtidPosition.parse(inside)), inside);
  }
  for (const outside of ["0-1-6", "1-1-1", "0-1-5,2-1-8"]) {
    assert.ok(!position.contains(GtidPosition.parse(outside)), outside);
  }
  const rest = position.without(GtidPosition.parse("0-1-5,2-1-6"));
  assert.equal(rest.toString(), "2-1-7");
  assert.equal(
    position.copy().union(GtidPosition.parse("0-3-9,1-1-1")).toString(),
    "0-3-9,1-1-1,2-1-7",
  );
});

Deno.test("what is no domain-server-sequence is refused, named", () => {
  for (
    const text of [
      "0-1",
      "0-1-x",
      "0-1-5,",
      "7ffc9fed-e5b1-11f1-b8bf-02fc00000001:1",
      "0-1-99999999999999999999",
    ]
  ) {
    assert.throws(() => GtidPosition.parse(text), (error) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, /is no domain-server-sequence/);
      return true;
    });
  }
});
