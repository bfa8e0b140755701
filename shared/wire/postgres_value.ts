/**
 * PostgreSQL's text of a value -> the value in memory, by type. The texts are those of a session with
 * `DateStyle=ISO`, `IntervalStyle=iso_8601`, `TimeZone=UTC`, `bytea_output=hex`,
 * `extra_float_digits=3` and `lc_monetary=C`.
 */
import { Buffer } from "node:buffer";
import type { Kind, Value } from "../change.ts";
import { RecordError } from "../errors.ts";
import { latin1Slice, utf8Slice } from "./slice.ts";
import { parseArray } from "./postgres_array.ts";

/** How the values of one type are read. Both ways give the same value; both throw RecordError. */
export interface Conversion {
  readonly kind: Kind;
  /** Kind of the elements, for arrays. */
  readonly element?: Kind;
  fromText(text: string): Value;
  /** The same from the bytes `from` ... `to`, without a text in between where that is faster. */
  fromBytes(bytes: Buffer, from: number, to: number): Value;
}

/** Object ids of the built-in types that are not held as text (`pg_type.dat`). */
export const OID = {
  bool: 16,
  bytea: 17,
  char: 18,
  int8: 20,
  int2: 21,
  int4: 23,
  oid: 26,
  float4: 700,
  float8: 701,
  timestamp: 1114,
  timestamptz: 1184,
  numeric: 1700,
} as const;

/** The conversion of a type that is neither a domain nor an array; types not named here are text. */
export function conversionOf(oid: number): Conversion {
  return BY_OID.get(oid) ?? TEXT;
}

/** The conversion of an array of `element`s; `delimiter` stands between them (`;` for box, else `,`). */
export function arrayConversion(element: Conversion, delimiter: string): Conversion {
  const read = (text: string) => element.fromText(text);
  return viaText("array", (text) => parseArray(text, delimiter, read), element.kind);
}

function viaText(kind: Kind, fromText: (text: string) => Value, element?: Kind): Conversion {
  return {
    kind,
    ...(element === undefined ? {} : { element }),
    fromText,
    fromBytes: (bytes, from, to) => fromText(utf8Slice(bytes, from, to)),
  };
}

function malformed(text: string, expected: string): RecordError {
  return new RecordError(
    `Cannot read ${JSON.stringify(text.slice(0, 40))} as a value: expected ${expected}`,
  );
}

// Text --------------------------------------------------------------------------------------------

const TEXT: Conversion = {
  kind: "string",
  fromText: (text) => text,
  fromBytes: (bytes, from, to) => utf8Slice(bytes, from, to),
};

// Numbers -----------------------------------------------------------------------------------------

const INTEGER_TEXT = /^-?[0-9]{1,20}$/;

function integerFromText(text: string): Value {
  if (!INTEGER_TEXT.test(text)) throw malformed(text, "an integer");
  const value = Number(text);
  return Number.isSafeInteger(value) ? value + 0 : BigInt(text);
}

/** Numbers of up to so many digits are exact as doubles whatever their digits are. */
const EXACT_DIGITS = 15;

function integerFromBytes(bytes: Buffer, from: number, to: number): Value {
  const negative = bytes[from] === 0x2d;
  let at = negative ? from + 1 : from;
  if (to - at > EXACT_DIGITS || at >= to) {
    return integerFromText(latin1Slice(bytes, from, to));
  }
  let value = 0;
  for (; at < to; at++) {
    const digit = bytes[at]! - 0x30;
    if (digit < 0 || digit > 9) throw malformed(latin1Slice(bytes, from, to), "an integer");
    value = value * 10 + digit;
  }
  return negative && value !== 0 ? -value : value;
}

const INTEGER: Conversion = {
  kind: "integer",
  fromText: integerFromText,
  fromBytes: integerFromBytes,
};

const FLOAT_TEXT = /^(?:-?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|-?Infinity|NaN)$/;

function floatFromText(text: string): number {
  if (!FLOAT_TEXT.test(text)) throw malformed(text, "a floating-point number");
  return Number(text);
}

const BOOLEAN = viaText("boolean", (text) => {
  if (text === "t") return true;
  if (text === "f") return false;
  throw malformed(text, "t or f");
});

// Bytes -------------------------------------------------------------------------------------------

const BYTES = viaText("bytes", (text) => {
  // Buffer stops at the first bad digit without a word: the length tells.
  const bytes = Buffer.from(text.startsWith("\\x") ? text.slice(2) : "", "hex");
  if (bytes.length * 2 !== text.length - 2) {
    throw malformed(text, "bytes in hexadecimal (bytea_output=hex)");
  }
  return new Uint8Array(bytes);
});

// Temporals ---------------------------------------------------------------------------------------

/** Date and time of day with a space between; infinity and years before Christ are left as they are. */
const TIMESTAMP_TEXT = /^[0-9]{4,6}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?/;

function isOwnText(text: string): boolean {
  return text === "infinity" || text === "-infinity" || text.endsWith(" BC");
}

function timestampFromText(text: string): Value {
  if (isOwnText(text)) return text;
  const matched = TIMESTAMP_TEXT.exec(text);
  if (matched?.[0].length !== text.length) {
    throw malformed(text, "a timestamp in the style ISO without a time zone");
  }
  return text.replace(" ", "T");
}

function timestamptzFromText(text: string): Value {
  if (isOwnText(text)) return text;
  const matched = TIMESTAMP_TEXT.exec(text);
  if (matched === null || text.slice(matched[0].length) !== "+00") {
    throw malformed(text, "a timestamp in the style ISO in UTC");
  }
  return `${matched[0].replace(" ", "T")}Z`;
}

/** Where the space stands after a year of four digits. */
const SPACE_AT = 10;
const SPACE = 0x20;
const LETTER_T = 0x54;
const LETTER_Z = 0x5a;

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Whether the bytes are a timestamp with a year of four digits, ending with a digit at `end`. */
function isPlainTimestamp(bytes: Buffer, from: number, end: number): boolean {
  return end - from >= 19 && bytes[from + SPACE_AT] === SPACE && isDigit(bytes[from]) &&
    isDigit(bytes[end - 1]) && bytes[from + 4] === 0x2d && bytes[from + 13] === 0x3a;
}

const TIMESTAMP: Conversion = {
  kind: "string",
  fromText: timestampFromText,
  fromBytes(bytes, from, to) {
    if (!isPlainTimestamp(bytes, from, to)) {
      return timestampFromText(utf8Slice(bytes, from, to));
    }
    // One text is made instead of three: the letter is put into the bytes for a moment.
    bytes[from + SPACE_AT] = LETTER_T;
    const text = latin1Slice(bytes, from, to);
    bytes[from + SPACE_AT] = SPACE;
    return text;
  },
};

const TIMESTAMPTZ: Conversion = {
  kind: "string",
  fromText: timestamptzFromText,
  fromBytes(bytes, from, to) {
    const plus = to - 3;
    const utc = bytes[plus] === 0x2b && bytes[plus + 1] === 0x30 && bytes[plus + 2] === 0x30;
    if (!utc || !isPlainTimestamp(bytes, from, plus)) {
      return timestamptzFromText(utf8Slice(bytes, from, to));
    }
    bytes[from + SPACE_AT] = LETTER_T;
    bytes[plus] = LETTER_Z;
    const text = latin1Slice(bytes, from, plus + 1);
    bytes[from + SPACE_AT] = SPACE;
    bytes[plus] = 0x2b;
    return text;
  },
};

const BY_OID = new Map<number, Conversion>([
  [OID.bool, BOOLEAN],
  [OID.bytea, BYTES],
  [OID.int2, INTEGER],
  [OID.int4, INTEGER],
  [OID.int8, INTEGER],
  [OID.oid, INTEGER],
  // The text is the shortest for a float4, so rounding once more gives the very float4.
  [OID.float4, viaText("float32", (text) => Math.fround(floatFromText(text)))],
  [OID.float8, viaText("float64", floatFromText)],
  [OID.timestamp, TIMESTAMP],
  [OID.timestamptz, TIMESTAMPTZ],
]);
