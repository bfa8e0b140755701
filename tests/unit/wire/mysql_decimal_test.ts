import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordError } from "../../../shared/errors.ts";
import { BinlogReader } from "../../../shared/wire/binlog_reader.ts";
import { readDecimal } from "../../../shared/wire/mysql_decimal.ts";

const BYTES = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4];

/** The server's own encoding, written the long way: groups of nine digits away from the point. */
function encode(negative: boolean, whole: string, fraction: string): Uint8Array {
  const groups: string[] = [];
  const lead = whole.length % 9;
  if (lead > 0) groups.push(whole.slice(0, lead));
  for (let i = lead; i < whole.length; i += 9) groups.push(whole.slice(i, i + 9));
  for (let i = 0; i < fraction.length; i += 9) groups.push(fraction.slice(i, i + 9));
  const bytes = groups.flatMap((digits) => {
    const count = BYTES[digits.length]!;
    const value = Number(digits);
    return Array.from(
      { length: count },
      (_, i) => Math.floor(value / 256 ** (count - 1 - i)) % 256,
    );
  });
  bytes[0]! ^= 0x80;
  return Uint8Array.from(bytes, (byte) => negative ? byte ^ 0xff : byte);
}

const digits = (length: number) =>
  fc.array(fc.integer({ min: 0, max: 9 }), { minLength: length, maxLength: length })
    .map((each) => each.join(""));

const decimals = fc.record({ scale: fc.integer({ min: 0, max: 30 }), extra: fc.nat(35) })
  .map(({ scale, extra }) => ({ scale, precision: Math.max(1, Math.min(65, scale + extra)) }))
  .chain(({ scale, precision }) =>
    fc.record({
      scale: fc.constant(scale),
      precision: fc.constant(precision),
      negative: fc.boolean(),
      whole: digits(precision - scale),
      fraction: digits(scale),
    })
  );

Deno.test("every decimal of every precision and scale reads back with all its digits", () => {
  fc.assert(fc.property(decimals, ({ precision, scale, negative, whole, fraction }) => {
    const bytes = encode(negative, whole, fraction);
    const reader = new BinlogReader(bytes);
    const units = whole.replace(/^0+(?=\d)/, "") || "0";
    const expected = `${negative ? "-" : ""}${units}${scale > 0 ? `.${fraction}` : ""}`;
    assert.equal(readDecimal(reader, precision, scale), expected);
    assert.equal(reader.left, 0, "bytes left");
  }));
});

Deno.test("the manual's example -1234567890.1234 is read from its bytes", () => {
  const bytes = Uint8Array.fromHex("7ef204c72dfb2d");
  assert.equal(readDecimal(new BinlogReader(bytes), 14, 4), "-1234567890.1234");
});

Deno.test("a precision or scale that MySQL does not have is refused", () => {
  for (const [precision, scale] of [[0, 0], [66, 0], [40, 31], [5, 6]] as const) {
    assert.throws(
      () => readDecimal(new BinlogReader(new Uint8Array(40)), precision, scale),
      RecordError,
    );
  }
});
