/** A MySQL column: its type as text, and how one value is read from a row image. */
import type { Kind, Value } from "../change.ts";
import { READ_ALL_AGAIN, RecordError } from "../errors.ts";
import { inflated, uuidText } from "./binlog_event.ts";
import { BinlogReader } from "./binlog_reader.ts";
import { ColumnType as T, type MappedColumn } from "./binlog_table_map.ts";
import { BINARY_COLLATION, charsetOf } from "./mysql_charset.ts";
import { readDecimal } from "./mysql_decimal.ts";
import { readJson } from "./mysql_json.ts";
import { inet6Text } from "./inet6.ts";
import { readDate, readDatetime, readTime, readTimestamp, readYear } from "./mysql_temporal.ts";
import { readVector } from "./mysql_vector.ts";

/** Reads one value that is not null. */
export type ValueReader = (reader: BinlogReader) => Value;

/** A column's exact type and how its values are held. */
export interface TypeOfColumn {
  /** As the server writes COLUMN_TYPE, but for display widths and ZEROFILL, which the log does not hold. */
  readonly type: string;
  readonly kind: Kind;
  /** Kind of the elements, for arrays. */
  readonly element?: Kind;
}

/** MariaDB's types that its log shows as BINARY: that type, and how the bytes become the server's text. */
export const SHOWN_AS_BINARY: Readonly<
  Record<string, { readonly shown: string; readonly text: (bytes: Uint8Array) => string }>
> = {
  inet4: { shown: "binary(4)", text: (bytes) => bytes.join(".") },
  inet6: { shown: "binary(16)", text: inet6Text },
  uuid: { shown: "binary(16)", text: uuidText },
};

const INTEGERS = new Map<number, string>([
  [T.TINY, "tinyint"],
  [T.SHORT, "smallint"],
  [T.INT24, "mediumint"],
  [T.LONG, "int"],
  [T.LONGLONG, "bigint"],
]);
const TEMPORALS = new Map<number, string>([
  [T.TIMESTAMP2, "timestamp"],
  [T.DATETIME2, "datetime"],
  [T.TIME2, "time"],
]);
const BLOBS = ["tiny", "", "medium", "long"] as const;
const GEOMETRIES = [
  "geometry",
  "point",
  "linestring",
  "polygon",
  "multipoint",
  "multilinestring",
  "multipolygon",
  "geomcollection",
] as const;

/** The type of a column, from its table map alone. Throws RecordError where the map does not tell. */
export function typeOfColumn(column: MappedColumn): TypeOfColumn {
  const sign = column.unsigned === true ? " unsigned" : "";
  const integer = INTEGERS.get(column.type);
  if (integer !== undefined) {
    if (column.unsigned !== undefined) return { type: integer + sign, kind: "integer" };
    throw new RecordError("The binlog does not say whether it is signed", { cure: FULL_METADATA });
  }
  const temporal = TEMPORALS.get(column.type);
  if (temporal !== undefined) {
    return { type: column.size === 0 ? temporal : `${temporal}(${column.size})`, kind: "string" };
  }
  switch (column.type) {
    case T.FLOAT:
      return { type: "float" + sign, kind: "float32" };
    case T.DOUBLE:
      return { type: "double" + sign, kind: "float64" };
    case T.NEWDECIMAL:
      return { type: `decimal(${column.size},${column.scale})${sign}`, kind: "string" };
    case T.DATE:
    case T.NEWDATE:
      return { type: "date", kind: "string" };
    case T.YEAR:
      return { type: "year", kind: "string" };
    case T.BIT:
      return { type: `bit(${column.size})`, kind: "string" };
    case T.JSON:
      return { type: "json", kind: "string" };
    case T.GEOMETRY:
      return { type: GEOMETRIES[column.geometry ?? 0] ?? "geometry", kind: "bytes" };
    case T.VECTOR:
      return { type: `vector(${column.dimension ?? "?"})`, kind: "array", element: "float32" };
    case T.ENUM:
    case T.SET:
      return { type: listType(column), kind: "string" };
    default:
      return stringType(column);
  }
}

function stringType(column: MappedColumn): TypeOfColumn {
  const collation = collationOf(column);
  const binary = collation === BINARY_COLLATION;
  const kind = binary ? "bytes" : "string";
  if (column.type === T.BLOB || column.type === T.BLOB_COMPRESSED) {
    return { type: BLOBS[column.size - 1] + (binary ? "blob" : "text"), kind };
  }
  const fixed = column.type === T.STRING;
  const name = binary ? (fixed ? "binary" : "varbinary") : (fixed ? "char" : "varchar");
  const bytes = column.type === T.VARCHAR_COMPRESSED ? column.size - 1 : column.size;
  const length = Math.floor(bytes / (binary ? 1 : charsetOf(collation).max_bytes));
  return { type: `${name}(${length})`, kind };
}

/** What COLUMN_TYPE has for characters of a member, whatever the sql_mode. */
const MEMBER_ESCAPES: Readonly<Record<string, string>> = {
  "'": "''",
  "\\": "\\\\",
  "\n": "\\n",
  "\r": "\\r",
  "\0": "\\0",
};
const MEMBER_CHARACTERS = new Map(
  Object.entries(MEMBER_ESCAPES).map(([character, escape]) => [escape, character]),
);

/** Characters that COLUMN_TYPE has as "?". */
const BEYOND_UTF8MB3 = /[\u{10000}-\u{10ffff}]/gu;

function listType(column: MappedColumn): string {
  const labels = memberLabels(column).map((label) => {
    const known = label.replace(BEYOND_UTF8MB3, "?");
    return `'${known.replace(/['\\\n\r\0]/g, (character) => MEMBER_ESCAPES[character]!)}'`;
  });
  return `${column.type === T.ENUM ? "enum" : "set"}(${labels.join(",")})`;
}

/** The members in a COLUMN_TYPE; undefined where it is no ENUM or SET with members in quotes. */
export function membersOfType(type: string): string[] | undefined {
  const list = /^(?:enum|set)\((.*)\)$/s.exec(type)?.[1];
  if (list === undefined) return undefined;
  const labels: string[] = [];
  let at = 0;
  for (const [all, label] of list.matchAll(/'((?:[^'\\]|''|\\[\\nr0])*)'(?:,(?=')|$)/gy)) {
    labels.push(label!.replace(/''|\\./g, (escape) => MEMBER_CHARACTERS.get(escape)!));
    at += all.length;
  }
  return at === list.length ? labels : undefined;
}

/** The names of an ENUM's or SET's members. */
export function memberLabels(column: MappedColumn): string[] {
  if (column.members === undefined) throw new RecordError("The names of its members are missing");
  const read = charsetOf(collationOf(column)).read;
  return column.members.map((bytes) => read(new BinlogReader(bytes), bytes.length));
}

function collationOf(column: MappedColumn): number {
  if (column.collation !== undefined) return column.collation;
  throw new RecordError("The binlog does not name its character set", { cure: FULL_METADATA });
}

/** What makes the log say what it did not. */
export const FULL_METADATA = `SET GLOBAL binlog_row_metadata = FULL, and ${READ_ALL_AGAIN}`;

/** How values of the column are read. Throws RecordError where the table map does not tell. */
export function valueReader(column: MappedColumn): ValueReader {
  const { size, scale, unsigned } = column;
  switch (column.type) {
    case T.TINY:
      return unsigned ? (r) => r.u8() : (r) => r.u8() << 24 >> 24;
    case T.SHORT:
      return unsigned ? (r) => r.u16() : (r) => r.u16() << 16 >> 16;
    case T.INT24:
      return unsigned ? (r) => r.u24() : (r) => r.u24() << 8 >> 8;
    case T.LONG:
      return unsigned ? (r) => r.u32() : (r) => r.i32();
    case T.LONGLONG:
      return unsigned ? (r) => r.u64() : (r) => r.i64();
    case T.FLOAT:
      return (r) => r.f32();
    case T.DOUBLE:
      return (r) => r.f64();
    case T.NEWDECIMAL:
      return (r) => readDecimal(r, size, scale);
    case T.DATE:
    case T.NEWDATE:
      return readDate;
    case T.YEAR:
      return readYear;
    case T.TIMESTAMP2:
      return (r) => readTimestamp(r, size);
    case T.DATETIME2:
      return (r) => readDatetime(r, size);
    case T.TIME2:
      return (r) => readTime(r, size);
    case T.BIT:
      return (r) => readBits(r, size);
    case T.JSON:
      return (r) => readJson(r.view(r.leUint(size)));
    case T.GEOMETRY:
      return (r) => r.copy(r.leUint(size));
    case T.VECTOR:
      return (r) => readVector(r, r.leUint(size));
    case T.ENUM:
      return enumReader(column);
    case T.SET:
      return setReader(column);
    case T.BLOB:
    case T.VARCHAR:
    case T.VAR_STRING:
    case T.STRING:
      return stringReader(column);
    case T.BLOB_COMPRESSED:
    case T.VARCHAR_COMPRESSED:
      return compressedReader(column);
  }
  throw new RecordError(`Its type code ${column.type} is not known`);
}

function stringReader(column: MappedColumn): ValueReader {
  const { size } = column;
  const prefix = column.type === T.BLOB ? size : size > 255 ? 2 : 1;
  const collation = collationOf(column);
  if (collation !== BINARY_COLLATION) {
    const read = charsetOf(collation).read;
    if (prefix === 1) return (r) => read(r, r.u8());
    if (prefix === 2) return (r) => read(r, r.u16());
    return (r) => read(r, r.leUint(prefix));
  }
  if (column.type !== T.STRING) return (r) => r.copy(r.leUint(prefix));
  return (r) => { // BINARY(n): the log leaves out trailing zeros
    const value = r.view(r.leUint(prefix));
    const padded = new Uint8Array(Math.max(size, value.length));
    padded.set(value);
    return padded;
  };
}

const ZLIB = 8;

/** MariaDB's compressed columns: method and length of the length in a byte, the length, the packed bytes. */
function compressedReader(column: MappedColumn): ValueReader {
  const { size } = column;
  const prefix = column.type === T.BLOB_COMPRESSED ? size : size > 255 ? 2 : 1;
  const collation = collationOf(column);
  const read = collation === BINARY_COLLATION ? undefined : charsetOf(collation).read;
  return (r) => {
    const bytes = unpacked(r.view(r.leUint(prefix)));
    return read === undefined ? new Uint8Array(bytes) : read(new BinlogReader(bytes), bytes.length);
  };
}

function unpacked(value: Uint8Array): Uint8Array {
  if (value.length === 0) return value;
  const reader = new BinlogReader(value);
  const head = reader.u8();
  const method = head >> 4;
  if (method === 0) return value.subarray(1);
  if (method !== ZLIB) throw new RecordError(`A value is compressed by unknown method ${method}`);
  const length = reader.beUint(head & 7);
  return inflated(reader.view(reader.left), length, (head & 8) === 0);
}

function readBits(reader: BinlogReader, size: number): string {
  let text = "";
  for (let left = (size + 7) >> 3; left > 0; left--) {
    text += reader.u8().toString(2).padStart(8, "0");
  }
  return text.slice(text.length - size);
}

/** Index 0 is the value that a non-strict session stores for a wrong one: empty text, as the server shows it. */
function enumReader(column: MappedColumn): ValueReader {
  const labels = memberLabels(column);
  return (r) => {
    const index = r.leUint(column.size);
    if (index === 0) return "";
    const label = labels[index - 1];
    if (label === undefined) {
      throw new RecordError(`An ENUM holds member ${index} of ${labels.length}`);
    }
    return label;
  };
}

function setReader(column: MappedColumn): ValueReader {
  const labels = memberLabels(column);
  return (r) => {
    const chosen: string[] = [];
    for (let byte = 0; byte < column.size; byte++) {
      const bits = r.u8();
      for (let bit = 0; bit < 8; bit++) {
        if ((bits & (1 << bit)) === 0) continue;
        const label = labels[byte * 8 + bit];
        if (label === undefined) {
          throw new RecordError(`A SET holds member ${byte * 8 + bit + 1} of ${labels.length}`);
        }
        chosen.push(label);
      }
    }
    return chosen.join(",");
  };
}
