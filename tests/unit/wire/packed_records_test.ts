import { deepEqual, equal } from "node:assert/strict";
import fc from "fast-check";
import { PackedRecords, RecordArena } from "../../../shared/wire/packed_records.ts";

const utf8 = new TextEncoder();
const text = new TextDecoder();

const record = fc.record({
  key: fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ minLength: 60, maxLength: 70 })),
  value: fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.string({ minLength: 8_180, maxLength: 8_200 }),
    fc.nat({ max: 400_000 }).map((length) => "x".repeat(length)),
  ),
  timestamp_ms: fc.nat(),
  headers: fc.array(fc.tuple(fc.string({ unit: "grapheme" }), fc.string()), { maxLength: 2 }),
});

Deno.test("records written piece by piece read back as they were, until the arena is reset", () => {
  const arena = new RecordArena();
  fc.assert(
    fc.property(fc.array(record, { maxLength: 12 }), (records) => {
      arena.reset();
      const packed = new PackedRecords();
      for (const { key, value, timestamp_ms, headers } of records) {
        arena.begin(key);
        for (let at = 0; at < value.length; at += 3_000) {
          arena.values.text(value.slice(at, at + 3_000).toWellFormed());
        }
        arena.end(headers);
        packed.push(arena, timestamp_ms);
      }
      equal(packed.length, records.length);
      deepEqual(
        records.map((_, index) => {
          const { offset, key, value, timestamp_ms, headers } = packed.at(index)!;
          return {
            offset,
            timestamp_ms,
            key: text.decode(key!),
            value: text.decode(value!),
            headers: headers.map(([name, of]) => [name, text.decode(of)]),
          };
        }),
        records.map((sent, offset) => ({
          offset,
          timestamp_ms: sent.timestamp_ms,
          key: sent.key,
          value: text.decode(utf8.encode(sent.value)),
          headers: sent.headers,
        })),
      );
      equal(packed.slice(1).length, Math.max(0, records.length - 1));
      deepEqual(packed.slice(1).at(0)?.value, packed.at(1)?.value);
      equal(packed.at(records.length), undefined);
    }),
    { numRuns: 60 },
  );
});
