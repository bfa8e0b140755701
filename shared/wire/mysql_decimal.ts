/** MySQL's binary DECIMAL -> its exact text. */
import { RecordError } from "../errors.ts";
import type { BinlogReader } from "./binlog_reader.ts";

/** Bytes that hold 0 to 9 decimal digits; see `decimal2bin` in the server's decimal.cc. */
const BYTES_OF_DIGITS = [0, 1, 1, 2, 2, 3, 3, 4, 4, 4] as const;
const MAX_PRECISION = 65;
const MAX_SCALE = 30;

/**
 * A DECIMAL(precision, scale): groups of nine digits in big-endian words, the first bit flipped,
 * a negative one with all bits inverted. The text keeps the scale: `-12.50`.
 * Throws RecordError for a precision or scale that MySQL does not have, or digits that are none.
 */
export function readDecimal(reader: BinlogReader, precision: number, scale: number): string {
  if (precision < 1 || precision > MAX_PRECISION || scale > MAX_SCALE || scale > precision) {
    throw new RecordError(`MySQL has no DECIMAL(${precision},${scale})`);
  }
  const whole = precision - scale;
  const lead = whole % 9;
  const tail = scale % 9;
  const first = reader.left > 0 ? reader.bytes[reader.at]! : 0;
  const negative = (first & 0x80) === 0;
  let flip = 0x80; // the sign bit stands in the first byte alone
  const group = (digits: number): string => {
    const count = BYTES_OF_DIGITS[digits]!;
    const at = reader.take(count);
    let value = 0;
    for (let i = at; i < at + count; i++) {
      value = value * 256 + (reader.bytes[i]! ^ flip ^ (negative ? 0xff : 0));
      flip = 0;
    }
    const text = String(value);
    if (text.length > digits) {
      throw new RecordError(`A DECIMAL(${precision},${scale}) holds ${text} in ${digits} digits`);
    }
    return text.padStart(digits, "0");
  };
  let text = lead > 0 ? group(lead) : "";
  for (let i = lead; i < whole; i += 9) text += group(9);
  let fraction = "";
  for (let i = 9; i <= scale; i += 9) fraction += group(9);
  if (tail > 0) fraction += group(tail);
  let start = 0;
  while (start < text.length - 1 && text.charCodeAt(start) === 48) start++;
  const units = text.slice(start) || "0";
  return `${negative ? "-" : ""}${units}${scale > 0 ? `.${fraction}` : ""}`;
}
