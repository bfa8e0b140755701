import assert from "node:assert/strict";
import fc from "fast-check";
import { Buckets } from "../../../shared/verify/buckets.ts";
import { RecordWriter } from "../../../shared/verify/record.ts";
import { Records } from "../../../shared/verify/records.ts";

/** A record whose only cell is `text`. */
function write(record: RecordWriter, text: string): RecordWriter {
  record.entry({ insert: true, op: null, position: "", cells: [text], file: 0, row: 1 }, [0]);
  return record;
}

function taken(buckets: Buckets, bucket: number): unknown[] {
  const records = new Records([0]);
  buckets.take(bucket, records);
  const cells: unknown[] = [];
  for (let at = 0; at < records.length; at = records.after(at)) {
    cells.push(records.entry(at).cells[0]);
  }
  return cells;
}

Deno.test("buckets give back their records in order, however little memory they have", () => {
  const folder = Deno.makeTempDirSync();
  const texts = fc.array(fc.string({ unit: "grapheme" }), { maxLength: 200 });
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 5 }), fc.nat(4000), (all, count, bytes) => {
      const buckets = new Buckets({ count, memory_bytes: bytes, folder, name: "test" });
      const record = new RecordWriter(1);
      const expected = Array.from({ length: count }, (): string[] => []);
      for (const text of all) {
        buckets.add(write(record, text));
        expected[record.hash % count]!.push(text);
      }
      assert.deepEqual(expected.map((_, bucket) => taken(buckets, bucket)), expected);
      assert.deepEqual([...Deno.readDirSync(folder)], []);
    }),
  );
  Deno.removeSync(folder);
});

Deno.test("records beyond the memory limit are in files, which closing removes", () => {
  const folder = Deno.makeTempDirSync();
  const buckets = new Buckets({ count: 2, memory_bytes: 1000, folder, name: "test" });
  const record = new RecordWriter(1);
  for (let i = 0; i < 1000; i++) buckets.add(write(record, `line ${i}`));
  const sizes = [...Deno.readDirSync(folder)].map(({ name }) =>
    Deno.statSync(`${folder}/${name}`).size
  );
  assert.equal(sizes.length, 2);
  assert.ok(sizes[0]! > 4000, `a file of ${sizes[0]} bytes`);
  buckets.close();
  assert.deepEqual([...Deno.readDirSync(folder)], []);
  Deno.removeSync(folder);
});
