import assert from "node:assert/strict";
import { BytePool } from "../../../shared/wire/byte_pool.ts";

Deno.test("memory that is given back is taken again, and out of reach of who had it", () => {
  const pool = new BytePool(100);
  const first = pool.take(60);
  first.fill(7);
  assert.equal(pool.give(first), true);
  assert.equal(first.length, 0, "the old view holds nothing");
  assert.throws(() => new Uint8Array(first.buffer, 0, 1));
  const second = pool.take(50);
  assert.deepEqual([second.length, second.buffer.byteLength, second[0]], [50, 60, 7]);
});

Deno.test("no more is kept than the limit allows, and what is too small is not used", () => {
  const pool = new BytePool(100);
  const [small, large] = [pool.take(40), pool.take(80)];
  pool.give(small);
  pool.give(large); // 120 bytes: the small one goes
  assert.equal(pool.take(30).buffer.byteLength, 80);
  assert.equal(pool.take(30).buffer.byteLength, 30);
  const huge = pool.take(101);
  pool.give(huge);
  assert.equal(pool.take(10).buffer.byteLength, 10, "more than the limit is never kept");
});

Deno.test("memory from elsewhere, and what was given back already, is left alone", () => {
  const pool = new BytePool(100);
  const other = new Uint8Array(8);
  assert.equal(pool.give(other), false);
  assert.equal(other.length, 8);
  const own = pool.take(8);
  assert.equal(pool.give(own), true);
  assert.equal(pool.give(own), false);
});
