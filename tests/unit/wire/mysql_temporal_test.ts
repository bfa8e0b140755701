import assert from "node:assert/strict";
import fc from "fast-check";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import {
  readDate,
  readDatetime,
  readTime,
  readTimestamp,
  readYear,
} from "../../../shared/wire/mysql_temporal.ts";

/** `value` in `count` bytes, highest first. */
function be(value: bigint, count: number): number[] {
  return Array.from(
    { length: count },
    (_, i) => Number((value >> BigInt(8 * (count - 1 - i))) & 0xffn),
  );
}
const reader = (bytes: number[]) => new BinlogReader(Uint8Array.from(bytes));
const pad = (value: number, digits = 2) => String(value).padStart(digits, "0");
const digits = fc.integer({ min: 0, max: 6 });
const micros = fc.integer({ min: 0, max: 999_999 });

/** Microseconds cut to the column's digits: as stored, and as text. */
function fraction(us: number, count: number): { stored: bigint; bytes: number; text: string } {
  const text = count === 0 ? "" : `.${pad(us, 6).slice(0, count)}`;
  const even = count + (count & 1);
  return { stored: BigInt(text.slice(1).padEnd(even, "0") || 0), bytes: even / 2, text };
}

Deno.test("every DATETIME reads back with the digits that its column declares", () => {
  const parts = fc.record({
    year: fc.integer({ min: 0, max: 9999 }),
    month: fc.integer({ min: 0, max: 12 }),
    day: fc.integer({ min: 0, max: 31 }),
    hour: fc.integer({ min: 0, max: 23 }),
    minute: fc.integer({ min: 0, max: 59 }),
    second: fc.integer({ min: 0, max: 59 }),
    us: micros,
    count: digits,
  });
  fc.assert(fc.property(parts, ({ year, month, day, hour, minute, second, us, count }) => {
    const ymd = (BigInt(year * 13 + month) << 5n) | BigInt(day);
    const hms = BigInt((hour << 12) | (minute << 6) | second);
    const part = fraction(us, count);
    const bytes = [...be(0x80_0000_0000n | (ymd << 17n) | hms, 5), ...be(part.stored, part.bytes)];
    const gap = month === 0 || day === 0 ? " " : "T";
    assert.equal(
      readDatetime(reader(bytes), count),
      `${pad(year, 4)}-${pad(month)}-${pad(day)}${gap}${pad(hour)}:${pad(minute)}:${
        pad(second)
      }${part.text}`,
    );
  }));
});

Deno.test("every TIME reads back, negative ones and fractions of them too", () => {
  const parts = fc.record({
    negative: fc.boolean(),
    hour: fc.integer({ min: 0, max: 838 }),
    minute: fc.integer({ min: 0, max: 59 }),
    second: fc.integer({ min: 0, max: 59 }),
    us: micros,
    count: digits,
  });
  fc.assert(fc.property(parts, ({ negative, hour, minute, second, us, count }) => {
    const part = fraction(us, count);
    const size = BigInt((hour << 12) | (minute << 6) | second);
    const scale = 256n ** BigInt(part.bytes);
    const packed = size * scale + part.stored;
    const zero = 0x80_0000n * scale;
    const isNegative = negative && packed > 0n;
    const bytes = be(zero + (isNegative ? -packed : packed), 3 + part.bytes);
    assert.equal(
      readTime(reader(bytes), count),
      `${isNegative ? "-" : ""}${pad(hour)}:${pad(minute)}:${pad(second)}${part.text}`,
    );
  }));
});

Deno.test("a TIMESTAMP is written in UTC, and zero as the server writes it", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), micros, digits, (s, us, count) => {
      const part = fraction(us, count);
      const bytes = [...be(BigInt(s), 4), ...be(part.stored, part.bytes)];
      const expected = new Date(s * 1000).toISOString().slice(0, 19) + part.text + "Z";
      assert.equal(readTimestamp(reader(bytes), count), expected);
    }),
  );
  assert.equal(readTimestamp(reader([0, 0, 0, 0, 0, 0]), 3), "0000-00-00 00:00:00.000");
});

Deno.test("DATE and YEAR keep their zeros", () => {
  const date = (2026 << 9) | (11 << 5) | 21;
  assert.equal(readDate(reader([date & 255, (date >> 8) & 255, date >> 16])), "2026-11-21");
  assert.equal(readDate(reader([0, 0, 0])), "0000-00-00");
  assert.equal(readYear(reader([126])), "2026");
  assert.equal(readYear(reader([0])), "0000");
});
