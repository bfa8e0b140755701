import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../../shared/errors.ts";
import { checkPlan, countsBetween, parseMix } from "../../../shared/seed/plan.ts";

const mixes = fc.tuple(fc.nat(100), fc.nat(100), fc.nat(100))
  .filter((shares) => shares.some((share) => share > 0))
  .map(([inserts, updates, deletes]) => ({ inserts, updates, deletes }));

Deno.test("batches add up to the whole, whatever their sizes", () => {
  fc.assert(fc.property(mixes, fc.array(fc.integer({ min: 1, max: 5000 })), (mix, sizes) => {
    const sum = { inserts: 0, updates: 0, deletes: 0 };
    let at = 0;
    for (const size of sizes) {
      const counts = countsBetween(mix, at, at + size);
      at += size;
      assert.equal(counts.inserts + counts.updates + counts.deletes, size);
      for (const kind of ["inserts", "updates", "deletes"] as const) {
        assert.ok(counts[kind] >= 0, `${kind} of a batch are ${counts[kind]}`);
        sum[kind] += counts[kind];
      }
    }
    assert.deepEqual(sum, countsBetween(mix, 0, at));
  }));
});

Deno.test("any number of changes keeps the mix to within one change of each kind", () => {
  fc.assert(fc.property(mixes, fc.nat(1_000_000), (mix, rows) => {
    const counts = countsBetween(mix, 0, rows);
    const shares = mix.inserts + mix.updates + mix.deletes;
    for (const kind of ["inserts", "updates", "deletes"] as const) {
      const exact = rows * mix[kind] / shares;
      assert.ok(Math.abs(counts[kind] - exact) < 2, `${kind}: ${counts[kind]}, exactly ${exact}`);
    }
  }));
});

Deno.test("a million changes at 50:25:25 are 500,000 inserts and 250,000 of the others", () => {
  assert.deepEqual(countsBetween(parseMix("50:25:25"), 0, 1_000_000), {
    inserts: 500_000,
    updates: 250_000,
    deletes: 250_000,
  });
});

Deno.test("a mix that is not three shares is refused with an example", () => {
  for (const text of ["", "50:50", "50:25:25:0", "a:b:c", "0:0:0", "-1:1:1", "0.5:0.5:0"]) {
    assert.throws(() => parseMix(text), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.ok(error.message.includes(JSON.stringify(text)), error.message);
      assert.match(error.cure ?? "", /50:25:25/);
      return true;
    });
  }
});

Deno.test("more deletes than the table and the inserts give rows for are refused at the start", () => {
  assert.throws(() => checkPlan(parseMix("0:0:1"), 11, 10), ConfigError);
  assert.throws(() => checkPlan(parseMix("0:1:0"), 1, 0), ConfigError);
  checkPlan(parseMix("0:0:1"), 10, 10);
  checkPlan(parseMix("0:1:0"), 1_000_000, 1);
});
