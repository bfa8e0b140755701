import assert from "node:assert/strict";
import fc from "fast-check";
import { ConfigError } from "../../../shared/errors.ts";
import { IdPool } from "../../../shared/seed/ids.ts";
import { Random } from "../../../shared/seed/random.ts";

const steps = fc.array(
  fc.oneof(
    fc.record({ add: fc.nat(3000) }),
    fc.record({ take: fc.nat(3000) }),
  ),
  { maxLength: 30 },
);

Deno.test("ids that are taken were there, are taken once, and nothing else goes", () => {
  fc.assert(fc.property(steps, fc.integer(), (history, seed) => {
    const pool = new IdPool(1_000_000);
    const random = new Random(seed);
    const model = new Set<number>();
    let next = 1;
    for (const step of history) {
      if ("add" in step) {
        const ids = Array.from({ length: step.add }, () => next++);
        pool.add(ids);
        for (const id of ids) model.add(id);
      } else {
        const taken = pool.take(step.take, random);
        assert.equal(taken.length, Math.min(step.take, model.size));
        for (const id of taken) assert.ok(model.delete(id), `${id} was not there`);
      }
      assert.equal(pool.size, model.size);
    }
    assert.deepEqual(pool.drain().sort((a, b) => a - b), [...model].sort((a, b) => a - b));
    assert.equal(pool.size, 0);
  }));
});

Deno.test("every id of the pool is taken about as often", () => {
  const random = new Random(7);
  const taken = new Array<number>(100).fill(0);
  for (let round = 0; round < 2000; round++) {
    const pool = new IdPool(100);
    pool.add(taken.map((_, id) => id));
    for (const id of pool.take(10, random)) taken[id]!++;
  }
  // 200 expected each; five standard deviations are 67.
  for (const [id, times] of taken.entries()) {
    assert.ok(times > 133 && times < 267, `id ${id} was taken ${times} times`);
  }
});

Deno.test("a pool beyond its limit is refused with the option that lifts it", () => {
  const pool = new IdPool(3);
  pool.add([1, 2, 3]);
  assert.throws(() => pool.add([4]), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.match(error.cure ?? "", /ids_limit/);
    return true;
  });
});

Deno.test("an id that a double cannot hold exactly is refused", () => {
  assert.throws(() => new IdPool(3).add([2 ** 53]), /9007199254740992/);
});
