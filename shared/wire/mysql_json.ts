/** MySQL's binary JSON -> the text that the server itself writes for it. */
import { RecordError } from "../errors.ts";
import { BinlogReader } from "./binlog_reader.ts";
import { readDecimal } from "./mysql_decimal.ts";
import { dateText, datetimeText, timeText } from "./mysql_temporal.ts";

// Type codes of the format; see json_binary.h in the server's source.
const SMALL_OBJECT = 0x00;
const LARGE_OBJECT = 0x01;
const SMALL_ARRAY = 0x02;
const LARGE_ARRAY = 0x03;
const LITERAL = 0x04;
const INT16 = 0x05;
const UINT16 = 0x06;
const INT32 = 0x07;
const UINT32 = 0x08;
const INT64 = 0x09;
const UINT64 = 0x0a;
const DOUBLE = 0x0b;
const STRING = 0x0c;
const OPAQUE = 0x0f;

/** The server refuses documents that nest deeper. */
const MAX_DEPTH = 100;

/**
 * The text of a binary JSON document, exactly as `CAST(document AS CHAR)` gives it: member order,
 * `", "` and `": "` between parts, doubles with `.0`, all digits of integers and decimals.
 * An empty document (a JSON column given no value by IGNORE) is `null`, as the server reads it.
 * Throws RecordError when the bytes are no document.
 */
export function readJson(bytes: Uint8Array): string {
  if (bytes.length === 0) return "null";
  const out: Output = { parts: [], values_left: bytes.length };
  writeValue(out, bytes, bytes[0]!, 1, bytes.length, 0);
  return out.parts.join("");
}

interface Output {
  readonly parts: string[];
  /** Each value has bytes of its own, so damaged offsets that share one are found by counting. */
  values_left: number;
}

function writeValue(
  out: Output,
  bytes: Uint8Array,
  type: number,
  at: number,
  end: number,
  depth: number,
): void {
  if (out.values_left-- <= 0) throw new RecordError("A JSON document uses bytes twice");
  if (depth > MAX_DEPTH) throw new RecordError(`A JSON document nests deeper than ${MAX_DEPTH}`);
  switch (type) {
    case SMALL_OBJECT:
    case LARGE_OBJECT:
      return writeContainer(out, bytes, at, end, depth, type === LARGE_OBJECT, true);
    case SMALL_ARRAY:
    case LARGE_ARRAY:
      return writeContainer(out, bytes, at, end, depth, type === LARGE_ARRAY, false);
  }
  out.parts.push(scalar(type, new BinlogReader(bytes, at, end)));
}

function scalar(type: number, reader: BinlogReader): string {
  switch (type) {
    case LITERAL:
      return literal(reader.u8());
    case INT16:
      return String(reader.u16() << 16 >> 16);
    case UINT16:
      return String(reader.u16());
    case INT32:
      return String(reader.i32());
    case UINT32:
      return String(reader.u32());
    case INT64:
      return String(reader.i64());
    case UINT64:
      return String(reader.u64());
    case DOUBLE:
      return doubleText(reader.f64());
    case STRING:
      return quoteJson(reader.utf8(variableLength(reader)));
    case OPAQUE:
      return opaqueText(reader);
  }
  throw new RecordError(`A JSON value has unknown type ${type}`);
}

function writeContainer(
  out: Output,
  bytes: Uint8Array,
  at: number,
  limit: number,
  depth: number,
  large: boolean,
  object: boolean,
): void {
  const reader = new BinlogReader(bytes, at, limit);
  const offset = large ? () => reader.u32() : () => reader.u16();
  const count = offset();
  const size = offset();
  const end = at + size;
  const entry_bytes = large ? 5 : 3;
  const key_entry_bytes = object ? (large ? 6 : 4) : 0;
  if (end > limit || count * (entry_bytes + key_entry_bytes) > size) {
    throw new RecordError(
      `A JSON ${object ? "object" : "array"} of ${count} members and ${size} bytes does not fit` +
        ` into ${limit - at}`,
    );
  }
  const keys: string[] = [];
  for (let i = 0; object && i < count; i++) {
    const from = at + offset();
    const length = reader.u16();
    keys.push(quoteJson(new BinlogReader(bytes, Math.min(from, end), end).utf8(length)));
  }
  out.parts.push(object ? "{" : "[");
  for (let i = 0; i < count; i++) {
    if (i > 0) out.parts.push(", ");
    if (object) out.parts.push(keys[i]!, ": ");
    const type = reader.u8();
    const inline_at = reader.at;
    const inline = type === LITERAL || type === INT16 || type === UINT16 ||
      (large && (type === INT32 || type === UINT32));
    const value_at = inline ? inline_at : at + offset();
    if (inline) reader.take(entry_bytes - 1);
    // A value stands after its container's entries; without this a damaged offset could point at the container itself for ever.
    else if (value_at < inline_at || value_at > end) {
      throw new RecordError(`A JSON value's offset ${value_at - at} is out of place`);
    }
    writeValue(out, bytes, type, value_at, end, depth + 1);
  }
  out.parts.push(object ? "}" : "]");
}

function literal(code: number): string {
  if (code === 0) return "null";
  if (code === 1) return "true";
  if (code === 2) return "false";
  throw new RecordError(`A JSON literal has unknown code ${code}`);
}

/** A length in groups of 7 bits, lowest first. */
function variableLength(reader: BinlogReader): number {
  let length = 0;
  for (let shift = 0; shift < 5; shift++) {
    const byte = reader.u8();
    length += (byte & 0x7f) * 2 ** (7 * shift);
    if ((byte & 0x80) === 0) return length;
  }
  throw new RecordError("A JSON length has more than five bytes");
}

// deno-lint-ignore no-control-regex -- the server escapes exactly these
const ESCAPED = /["\\\u0000-\u001f]/g;
const SHORT: Readonly<Record<string, string>> = {
  '"': '\\"',
  "\\": "\\\\",
  "\b": "\\b",
  "\f": "\\f",
  "\n": "\\n",
  "\r": "\\r",
  "\t": "\\t",
};

/** `text` as the server writes it in JSON. */
export function quoteJson(text: string): string {
  return `"${
    text.replace(
      ESCAPED,
      (char) => SHORT[char] ?? `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
    )
  }"`;
}

/** Up to this many digits before the point, or zeros after it, the server writes no exponent (`my_gcvt`). */
const FIXED_DIGITS = 15;

/** A double as the server writes it in JSON: shortest digits that read back, `1.0` for a whole one. */
export function doubleText(value: number): string {
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa, exponent] = Math.abs(value).toExponential().split("e") as [string, string];
  const digits = mantissa.replace(".", "");
  const point = Number(exponent) + 1; // digits before the decimal point; negative: zeros after it
  const sign = value < 0 ? "-" : "";
  const long = point > FIXED_DIGITS && digits.length <= point; // all 17 digits with a fraction stay fixed
  if (long || point < -FIXED_DIGITS + 1) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : "";
    return `${sign}${digits[0]}${fraction}e${point - 1}`;
  }
  if (point <= 0) return `${sign}0.${"0".repeat(-point)}${digits}`;
  if (digits.length <= point) return `${sign}${digits.padEnd(point, "0")}.0`;
  return `${sign}${digits.slice(0, point)}.${digits.slice(point)}`;
}

// Column types that an opaque value may carry and that have a text of their own.
const TIMESTAMP = 7;
const DATE = 10;
const TIME = 11;
const DATETIME = 12;
const NEWDECIMAL = 246;

function opaqueText(reader: BinlogReader): string {
  const type = reader.u8();
  const length = variableLength(reader);
  const from = reader.take(length);
  const value = new BinlogReader(reader.bytes, from, from + length);
  if (type === NEWDECIMAL) {
    const precision = value.u8();
    return readDecimal(value, precision, value.u8());
  }
  if (type === DATE || type === DATETIME || type === TIMESTAMP) {
    const [packed, micros] = packedTemporal(value);
    return type === DATE ? `"${dateText(packed >> 17n)}"` : `"${datetimeText(packed, micros)}"`;
  }
  if (type === TIME) {
    const [packed, micros, negative] = packedTemporal(value);
    return `"${timeText(negative, Number(packed), micros)}"`;
  }
  return `"base64:type${type}:${base64(value.view(length))}"`;
}

/** The server's in-memory form of temporals: 40 bits, and 24 of microseconds; sign over all. */
function packedTemporal(value: BinlogReader): [bigint, string, boolean] {
  const packed = BigInt.asIntN(64, BigInt(value.i64()));
  const size = packed < 0n ? -packed : packed;
  const micros = String(size & 0xff_ffffn).padStart(6, "0");
  return [size >> 24n, `.${micros}`, packed < 0n];
}

/** The server breaks its base64 into lines, and the line break is escaped like any other in JSON. */
const BASE64_LINE = /.{76}(?=.)/g;

function base64(bytes: Uint8Array): string {
  return bytes.toBase64().replace(BASE64_LINE, "$&\\n");
}
