/** Values as a MySQL query's answer has them (text protocol) -> values in memory, the same as from the binlog. */
import type { Value } from "../change.ts";
import { RecordError } from "../errors.ts";
import type { BinlogReader } from "./binlog_reader.ts";
import { charsetByName } from "./mysql_charset.ts";
import { readVector } from "./mysql_vector.ts";

/** Reads one cell of `count` bytes that is not null. */
export type CellReader = (reader: BinlogReader, count: number) => Value;

/**
 * How the cells of a column are read. `type`: COLUMN_TYPE; `charset`: undefined where the column has
 * no characters. The session has `time_zone = '+00:00'` and `character_set_results = NULL`, so text
 * comes in the column's own character set, as it does in the log; FLOAT is asked for as DOUBLE.
 * Throws RecordError for a character set that nobody knows.
 */
export function cellReader(type: string, charset: string | undefined): CellReader {
  const name = /^[a-z]+\d?/.exec(type)?.[0] ?? "";
  switch (name) {
    case "tinyint":
    case "smallint":
    case "mediumint":
    case "int":
    case "bigint":
      return readInteger;
    case "float":
      return (reader, count) => Math.fround(Number(ascii(reader, count)));
    case "double":
      return (reader, count) => Number(ascii(reader, count));
    case "decimal":
      return /zerofill/.test(type) ? readFilledDecimal : ascii;
    case "date":
    case "time":
    case "year":
    case "inet4":
    case "inet6":
    case "uuid":
      return ascii;
    case "datetime":
      return (reader, count) => isoText(ascii(reader, count));
    case "timestamp":
      return (reader, count) => zoned(isoText(ascii(reader, count)));
    case "bit":
      return bitReader(Number(/\d+/.exec(type)?.[0] ?? 1));
    case "json":
      return (reader, count) => reader.utf8(count);
    case "vector":
      return readVector;
  }
  if (charset === undefined) return (reader, count) => reader.copy(count);
  return charsetByName(charset).read;
}

function ascii(reader: BinlogReader, count: number): string {
  const text = reader.ascii(count);
  if (text !== undefined) return text;
  throw new RecordError(`A number or time of ${count} bytes has one of 0x80 or more`);
}

/** Numbers of so many digits are exact as doubles whatever their digits are. */
const EXACT_DIGITS = 15;

function readInteger(reader: BinlogReader, count: number): Value {
  const { bytes, at } = reader;
  if (count > EXACT_DIGITS || count === 0) return longInteger(ascii(reader, count));
  const isNegative = bytes[at] === 0x2d;
  const end = reader.take(count) + count;
  let value = 0;
  for (let i = isNegative ? at + 1 : at; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) throw new RecordError(`An integer has the byte ${bytes[i]}`);
    value = value * 10 + digit;
  }
  return isNegative && value !== 0 ? -value : value;
}

function longInteger(text: string): Value {
  if (!/^-?\d+$/.test(text)) throw new RecordError(`${JSON.stringify(text)} is no integer`);
  const value = Number(text);
  return Number.isSafeInteger(value) ? value : BigInt(text);
}

/** The log does not hold the zeros that ZEROFILL shows. */
function readFilledDecimal(reader: BinlogReader, count: number): string {
  return ascii(reader, count).replace(/^0+(?=\d)/, "");
}

/** ISO 8601; a date with a zero month or day has no such form and keeps the server's own text. */
function isoText(text: string): string {
  const isZero = text.startsWith("00", 5) || text.startsWith("00", 8);
  return isZero ? text : `${text.slice(0, 10)}T${text.slice(11)}`;
}

function zoned(text: string): string {
  return text[10] === "T" ? `${text}Z` : text;
}

function bitReader(size: number): CellReader {
  return (reader, count) => {
    let text = "";
    for (const byte of reader.view(count)) text += byte.toString(2).padStart(8, "0");
    return text.padStart(size, "0").slice(-size);
  };
}

const NULL = 0xfb;

/** The values of one row's packet, in order. Throws RecordError when it does not fit. */
export function readTextRow(reader: BinlogReader, cells: readonly CellReader[]): Value[] {
  const row: Value[] = new Array(cells.length);
  const { bytes } = reader;
  for (let index = 0; index < cells.length; index++) {
    if (reader.left > 0 && bytes[reader.at] === NULL) {
      reader.at++;
      row[index] = null;
      continue;
    }
    const count = reader.lenenc();
    const end = reader.at + count;
    row[index] = cells[index]!(reader, count);
    if (reader.at !== end) throw new RecordError(`Column ${index + 1} is not ${count} bytes long`);
  }
  if (reader.left > 0) throw new RecordError(`A row has ${reader.left} bytes too many`);
  return row;
}
