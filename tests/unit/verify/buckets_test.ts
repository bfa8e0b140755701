import assert from "node:assert/strict";
import fc from "fast-check";
import { Buckets } from "../../../shared/verify/buckets.ts";

Deno.test("buckets give back their lines in order, however little memory they have", () => {
  const folder = Deno.makeTempDirSync();
  const lines = fc.array(fc.tuple(fc.nat(0xffff_ffff), fc.json()), { maxLength: 200 });
  fc.assert(
    fc.property(lines, fc.integer({ min: 1, max: 5 }), fc.nat(4000), (all, count, bytes) => {
      const buckets = new Buckets({ count, memory_bytes: bytes, folder, name: "test" });
      for (const [hash, line] of all) buckets.add(hash, line);
      const expected = Array.from(
        { length: count },
        (_, bucket) => all.filter(([hash]) => hash % count === bucket).map(([, line]) => line),
      );
      const found = expected.map((_, bucket) => [...buckets.take(bucket)].flat());
      assert.deepEqual(found, expected);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }),
  );
  Deno.removeSync(folder);
});

Deno.test("lines beyond the memory limit are in files, which closing removes", () => {
  const folder = Deno.makeTempDirSync();
  const buckets = new Buckets({ count: 2, memory_bytes: 1000, folder, name: "test" });
  for (let i = 0; i < 1000; i++) buckets.add(i, `line ${i}`);
  const sizes = [...Deno.readDirSync(folder)].map(({ name }) =>
    Deno.statSync(`${folder}/${name}`).size
  );
  assert.equal(sizes.length, 2);
  assert.ok(sizes[0]! > 4000, `a file of ${sizes[0]} bytes`);
  buckets.close();
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  Deno.removeSync(folder);
});
