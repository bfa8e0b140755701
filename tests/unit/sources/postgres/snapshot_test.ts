import assert from "node:assert/strict";
import { formatPosition } from "../../../../shared/position.ts";
import { chunkPrefix } from "../../../../shared/sources/postgres/snapshot.ts";

Deno.test("a chunk is put after a predecessor's chunk at its boundary, and never inside a transaction that begins there", () => {
  const lsn = 0x1600300n;
  const prefix = (major: bigint, minor: bigint, generation = 2) =>
    chunkPrefix(formatPosition({ generation, major, minor, row: 3 }), 2, lsn);
  const place = (minor: string) => `00000002-0000000001600300-${minor.padStart(16, "0")}-`;
  assert.equal(chunkPrefix("", 2, lsn), place("1"));
  assert.equal(prefix(lsn - 1n, 0x1600200n), place("1"), "an earlier transaction");
  assert.equal(prefix(lsn, 1n), place("2"), "a chunk");
  assert.equal(
    prefix(lsn, 0x1600200n),
    undefined,
    "a change of the transaction that commits there",
  );
  assert.equal(prefix(lsn, 0x100028n), undefined, "one in the first segment of the smallest size");
  assert.equal(prefix(lsn + 1n, 0x1600200n), undefined, "a later transaction");
  assert.equal(prefix(lsn, 0x1600200n, 1), place("1"), "an older generation");
});
