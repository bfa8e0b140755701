import assert from "node:assert/strict";
import fc from "fast-check";
import { Checksum, hash64 } from "../../../shared/verify/checksum.ts";

function bytesOf(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function hash(text: string): [high: number, low: number] {
  const bytes = bytesOf(text);
  return hash64(bytes, 0, bytes.length);
}

function sum(rows: readonly string[]): string {
  const checksum = new Checksum();
  for (const row of rows) checksum.add(bytesOf(row), 0, bytesOf(row).length);
  return checksum.toString();
}

const rows = fc.array(fc.string(), { minLength: 1, maxLength: 50 });

Deno.test("the sum does not depend on the order of the rows", () => {
  const inTwoOrders = rows.chain((all) =>
    fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length }))
  );
  fc.assert(fc.property(inTwoOrders, ([one, other]) => assert.equal(sum(one), sum(other))));
});

Deno.test("the sum changes when a row goes, comes twice, or is another", () => {
  fc.assert(fc.property(rows, fc.nat(), fc.string(), (all, number, other) => {
    const at = number % all.length;
    assert.notEqual(sum(all), sum(all.toSpliced(at, 1)));
    assert.notEqual(sum(all), sum([...all, all[at]!]));
    if (other !== all[at]) assert.notEqual(sum(all), sum(all.with(at, other)));
  }));
});

Deno.test("the sum is the hashes' sum modulo 2^64", () => {
  fc.assert(fc.property(fc.array(fc.string()), (all) => {
    const whole = all.reduce((total, row) => {
      const [high, low] = hash(row);
      return BigInt.asUintN(64, total + (BigInt(high) << 32n) + BigInt(low));
    }, 0n);
    assert.equal(sum(all), whole.toString(16).padStart(16, "0"));
  }));
});

Deno.test("100,000 texts that differ in one digit have as many hashes", () => {
  const hashes = new Set<string>();
  for (let id = 0; id < 100_000; id++) hashes.add(hash(`["${id}","news"]`).join());
  assert.equal(hashes.size, 100_000);
});
