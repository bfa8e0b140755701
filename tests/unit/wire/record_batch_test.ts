import { deepEqual, equal, ok, throws } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Reader, readRecordsBatch } from "@platformatic/kafka";
import fc from "fast-check";
import { codecs, type Compression, decompress } from "../../../shared/kafka/codecs.ts";
import { crc32c } from "../../../shared/wire/crc32c.ts";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import {
  MalformedBatchError,
  nextOffset,
  readRecordBatches,
  RecordBatchWriter,
  type RecordToWrite,
} from "../../../shared/wire/record_batch.ts";

const STAMP = { producer_id: 7_000_000_000n, producer_epoch: 3, base_sequence: 41 };
const NAMES = Object.keys(codecs) as Compression[];

function writer(compression: Compression = "none"): RecordBatchWriter {
  const codec = codecs[compression];
  return new RecordBatchWriter({ crc32c, compression_id: codec.id, compress: codec.compress });
}

function bytesOf(value: string | Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value as string).toString("hex");
}

function plain(records: readonly RecordToWrite[], first: number) {
  return records.map((record, index) => ({
    offset: first + index,
    key: bytesOf(record.key),
    value: bytesOf(record.value),
    timestamp_ms: record.timestamp_ms,
    headers: (record.headers ?? []).map(([name, value]) => [name, bytesOf(value)]),
  }));
}

/** As a broker appends it: with the partition's offset. */
function placed(bytes: Uint8Array, offset: number): Uint8Array {
  const copy = bytes.slice();
  new DataView(copy.buffer).setBigInt64(0, BigInt(offset));
  return sealed(copy);
}

/** With the checksum of what it holds. */
function sealed(bytes: Uint8Array): Uint8Array {
  new DataView(bytes.buffer).setUint32(17, crc32c(bytes.subarray(21)));
  return bytes;
}

const content = fc.oneof(
  fc.string({ unit: "grapheme" }),
  fc.string({ minLength: 60, maxLength: 70 }),
  fc.string({ unit: "binary", minLength: 2_600, maxLength: 2_800 }),
  fc.string({ minLength: 8_180, maxLength: 8_200 }),
  fc.uint8Array({ maxLength: 300 }),
);
const record: fc.Arbitrary<RecordToWrite> = fc.record({
  key: fc.option(content),
  value: fc.option(content),
  timestamp_ms: fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }),
  headers: fc.array(fc.tuple(fc.string({ unit: "grapheme" }), content), { maxLength: 3 }),
}, { requiredKeys: ["key", "value", "timestamp_ms"] });

Deno.test("what is written is read back, in every compression", () => {
  fc.assert(fc.property(
    fc.array(record, { minLength: 1, maxLength: 12 }),
    fc.constantFrom(...NAMES),
    fc.nat(1_000_000),
    (records, compression, offset) => {
      const { bytes, count } = writer(compression).write(PackedRecords.of(records), 0, 1 << 30);
      equal(count, records.length);
      const read = readRecordBatches(placed(bytes, offset), offset, decompress);
      equal(read.next_offset, offset + records.length);
      deepEqual(plain(read.records as RecordToWrite[], offset), plain(records, offset));
      deepEqual(read.records.map((one) => one.offset), records.map((_, i) => offset + i));
    },
  ));
});

Deno.test("another implementation reads the same records, stamp and checksum", () => {
  fc.assert(
    fc.property(fc.array(record, { minLength: 1, maxLength: 8 }), (records) => {
      const lz4 = writer("lz4");
      const batch = lz4.write(PackedRecords.of(records), 0, 1 << 30);
      lz4.stamp(batch, STAMP);
      const { bytes } = batch;
      const read = readRecordsBatch(Reader.from(Buffer.from(bytes)));
      equal(read.producerId, STAMP.producer_id);
      equal(read.producerEpoch, STAMP.producer_epoch);
      equal(read.firstSequence, STAMP.base_sequence);
      equal(read.crc, crc32c(bytes.subarray(21)));
      equal(read.length, bytes.length - 12);
      deepEqual(
        read.records.map((one) => ({
          key: bytesOf(one.key),
          value: bytesOf(one.value),
          timestamp_ms: Number(read.firstTimestamp + one.timestampDelta),
          headers: one.headers.map(([name, value]) => [name!.toString(), bytesOf(value)]),
        })),
        plain(records, 0).map(({ offset: _, ...rest }) => rest),
      );
    }),
    { numRuns: 50 },
  );
});

Deno.test("batches are cut by bytes, and together hold every record in order", () => {
  fc.assert(fc.property(
    fc.array(record, { minLength: 1, maxLength: 30 }),
    fc.integer({ min: 100, max: 20_000 }),
    (records, limit) => {
      const write = writer();
      const read: unknown[] = [];
      for (let from = 0; from < records.length;) {
        const { bytes, count } = write.write(PackedRecords.of(records), from, limit);
        ok(count >= 1);
        ok(count === 1 || bytes.length <= limit, `${count} records in ${bytes.length} > ${limit}`);
        read.push(...plain(
          readRecordBatches(placed(bytes, from), from, decompress).records as RecordToWrite[],
          from,
        ));
        from += count;
      }
      deepEqual(read, plain(records, 0));
    },
  ));
});

Deno.test("a batch holds what fits compressed, up to four times the limit, whatever came before", () => {
  const kinds = {
    alike: (n: number) => "x".repeat(n),
    unlike: (n: number) => Uint8Array.from({ length: n }, () => Math.random() * 256),
  };
  const value = fc.tuple(fc.constantFrom(...Object.keys(kinds)), fc.integer({ min: 1, max: 900 }));
  const limit = 4_000;
  /** What framing adds to bytes that compression makes no smaller. */
  const frame = 32;
  let most = 0;
  fc.assert(
    fc.property(fc.array(value, { minLength: 60, maxLength: 200 }), (values) => {
      const records = PackedRecords.of(
        values.toSorted().map(([kind, length]) => ({
          key: null,
          value: kinds[kind as keyof typeof kinds](length),
          timestamp_ms: 5,
        })),
      );
      const write = writer("lz4");
      const contents: (string | null)[] = [];
      for (let from = 0; from < records.length;) {
        const { bytes, count } = write.write(records, from, limit);
        ok(bytes.length <= limit + frame, `${count} records in ${bytes.length} > ${limit}`);
        const read = readRecordBatches(placed(bytes, from), from, decompress).records;
        const plain_bytes = read.reduce((sum, { size }) => sum + size, 0);
        ok(plain_bytes <= 4 * limit, `${plain_bytes} bytes before compression`);
        most = Math.max(most, plain_bytes);
        contents.push(...read.map(({ value }) => bytesOf(value)));
        from += count;
      }
      deepEqual(
        contents,
        Array.from({ length: records.length }, (_, index) => bytesOf(records.at(index)!.value)),
      );
    }),
    { numRuns: 20 },
  );
  ok(most > 3 * limit, `${most} bytes at most, which a limit of ${limit} held compressed`);
});

const three: RecordToWrite[] = ["a", "b", "c"].map((key) => ({
  key,
  value: key.repeat(10),
  timestamp_ms: 1_700_000_000_000,
}));

Deno.test("records below the asked offset and a batch that is cut off are left out", () => {
  const { bytes } = writer().write(PackedRecords.of(three), 0, 1 << 20);
  const second = placed(bytes, 103);
  const fetched = Buffer.concat([placed(bytes, 100), second.subarray(0, second.length - 1)]);
  const read = readRecordBatches(fetched, 102, decompress);
  deepEqual(read.records.map(({ offset }) => offset), [102]);
  equal(read.next_offset, 103);
  equal(nextOffset(fetched, 102), 103);
});

Deno.test("a limit leaves whole batches for the next call", () => {
  const { bytes } = writer("lz4").write(PackedRecords.of(three), 0, 1 << 20);
  const fetched = Buffer.concat([0, 3, 6].map((offset) => placed(bytes, offset)));
  const offsets: number[][] = [];
  for (let rest: Uint8Array = fetched, next = 1; rest.length > 0;) {
    const read = readRecordBatches(rest, next, decompress, 1);
    offsets.push(read.records.map(({ offset }) => offset));
    rest = read.rest;
    next = read.next_offset;
  }
  deepEqual(offsets, [[1, 2], [3, 4, 5], [6, 7, 8]]);
});

Deno.test("a control batch gives no record but moves the next offset", () => {
  const { bytes } = writer().write(PackedRecords.of(three.slice(0, 1)), 0, 1 << 20);
  const marker = placed(bytes, 9);
  new DataView(marker.buffer).setInt16(21, 0b110000);
  const { records, next_offset } = readRecordBatches(sealed(marker), 9, decompress);
  deepEqual({ records, next_offset }, { records: [], next_offset: 10 });
});

Deno.test("a batch that compaction emptied moves the next offset", () => {
  const { bytes } = writer().write(PackedRecords.of(three), 0, 1 << 20);
  const emptied = placed(bytes.subarray(0, 61), 20);
  const view = new DataView(emptied.buffer);
  view.setInt32(8, 49);
  view.setInt32(57, 0);
  const { records, next_offset } = readRecordBatches(sealed(emptied), 20, decompress);
  deepEqual({ records, next_offset }, { records: [], next_offset: 23 });
});

Deno.test("a batch of which a bit has changed is refused", () => {
  const bytes = placed(writer().write(PackedRecords.of(three), 0, 1 << 20).bytes, 0);
  for (let bit = 16 * 8; bit < bytes.length * 8; bit++) { // before it stand the offset, the length, the epoch
    const damaged = bytes.slice();
    damaged[bit >> 3]! ^= 1 << (bit & 7);
    throws(() => readRecordBatches(damaged, 0, decompress), MalformedBatchError, `bit ${bit}`);
  }
  const wrong = bytes.slice();
  wrong[16] = 1;
  throws(() => readRecordBatches(wrong, 0, decompress), /offset 0: magic is 1/);
});
