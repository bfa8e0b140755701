import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { murmur2, murmur2Text, partitionFor } from "../../../shared/wire/murmur2.ts";

/** From `UtilsTest.testMurmur2` of org.apache.kafka.common.utils. */
const JAVA: readonly (readonly [key: string, hash: number])[] = [
  ["21", -973932308],
  ["foobar", -790332482],
  ["a-little-bit-long-string", -985981536],
  ["a-little-bit-longer-string", -1486304829],
  ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
  ["abc", 479470107],
];

Deno.test("murmur2 gives the hashes of the Java client", () => {
  for (const [key, hash] of JAVA) {
    equal(murmur2(new TextEncoder().encode(key)), hash, key);
    equal(murmur2Text(key), hash, key);
  }
});

Deno.test("a key goes to the partition that the Java client gives it", () => {
  deepEqual(
    JAVA.map(([key]) => partitionFor(key, 3)),
    JAVA.map(([, hash]) => Number(BigInt.asUintN(31, BigInt(hash)) % 3n)),
  );
});

Deno.test("text and its UTF-8 bytes have the same hash", () => {
  fc.assert(fc.property(
    fc.oneof(fc.string(), fc.string({ unit: "binary" }), fc.string({ unit: "grapheme" })),
    (key) => equal(murmur2Text(key), murmur2(new TextEncoder().encode(key))),
  ));
});
