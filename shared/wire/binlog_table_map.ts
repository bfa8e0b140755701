/** TABLE_MAP: the definition of a table as it was when the rows after it were written. */
import { RecordError } from "../errors.ts";
import type { BinlogEvent } from "./binlog_event.ts";
import { BinlogReader } from "./binlog_reader.ts";

/** Column type codes, as in the servers' `enum_field_types`; the compressed ones are MariaDB's. */
export const ColumnType = {
  TINY: 1,
  SHORT: 2,
  LONG: 3,
  FLOAT: 4,
  DOUBLE: 5,
  LONGLONG: 8,
  INT24: 9,
  DATE: 10,
  YEAR: 13,
  NEWDATE: 14,
  VARCHAR: 15,
  BIT: 16,
  TIMESTAMP2: 17,
  DATETIME2: 18,
  TIME2: 19,
  BLOB_COMPRESSED: 140,
  VARCHAR_COMPRESSED: 141,
  VECTOR: 242,
  JSON: 245,
  NEWDECIMAL: 246,
  ENUM: 247,
  SET: 248,
  BLOB: 252,
  VAR_STRING: 253,
  STRING: 254,
  GEOMETRY: 255,
} as const;

/** One column as TABLE_MAP describes it. What minimal metadata leaves out is undefined. */
export interface MappedColumn {
  /** Code of ColumnType; ENUM and SET stand for themselves, not for STRING. */
  readonly type: number;
  /**
   * VARCHAR, STRING: bytes declared, compressed one more. BLOB, JSON, GEOMETRY, VECTOR: bytes of the length prefix.
   * NEWDECIMAL: precision. BIT: bits. Temporal types: fraction digits. ENUM, SET: bytes.
   */
  readonly size: number;
  /** NEWDECIMAL: digits after the point. */
  readonly scale: number;
  readonly nullable: boolean;
  readonly name: string | undefined;
  /** Numeric types; undefined for others. */
  readonly unsigned: boolean | undefined;
  /** Character types, ENUM and SET: collation id; 63 is binary. */
  readonly collation: number | undefined;
  /** ENUM and SET: the members' names, in the column's character set. */
  readonly members: readonly Uint8Array[] | undefined;
  /** GEOMETRY: 0 geometry, 1 point ... 7 geometrycollection. */
  readonly geometry: number | undefined;
  /** VECTOR: number of elements. */
  readonly dimension: number | undefined;
  readonly visible: boolean;
}

/** A table's definition. */
export interface TableMap {
  readonly db: string;
  readonly table: string;
  readonly columns: readonly MappedColumn[];
  /** Indexes of the primary key's columns in the key's order; undefined when the metadata does not tell. */
  readonly key: readonly number[] | undefined;
  /** Names, members and key are there: `binlog_row_metadata=FULL`. */
  readonly full: boolean;
}

const MAX_COLUMNS = 4096;

/** The table's number in the rows events after it. Moves `event.body` to the definition. */
export function readTableId(event: BinlogEvent): number {
  const id = event.body.u48();
  event.body.take(2); // flags
  return id;
}

/** Database and table name alone, from the start of the definition. */
export function readTableName(body: BinlogReader): { db: string; table: string } {
  const db = body.utf8(body.u8());
  body.take(1);
  const table = body.utf8(body.u8());
  body.take(1);
  return { db, table };
}

/**
 * The definition. `mariadb`: as that server writes it. Throws RecordError for types that are not known
 * and for damaged bytes.
 */
export function readTableMap(body: BinlogReader, mariadb = false): TableMap {
  const { db, table } = readTableName(body);
  const count = body.lenenc();
  if (count < 1 || count > MAX_COLUMNS) {
    throw new RecordError(`Table ${db}.${table} has ${count} columns in its TABLE_MAP`);
  }
  const types = body.copy(count);
  const metadata_bytes = body.lenenc();
  const metadata_at = body.take(metadata_bytes);
  const metadata = new BinlogReader(body.bytes, metadata_at, metadata_at + metadata_bytes);
  const sizes = Array.from(types, (type) => readColumnSize(type, metadata));
  const nullable = body.copy((count + 7) >> 3);
  const optional = readOptional(body, sizes, mariadb ? MARIADB_CHARACTER : CHARACTER);
  const columns = sizes.map((column, i): MappedColumn => ({
    ...column,
    nullable: (nullable[i >> 3]! & (1 << (i & 7))) !== 0,
    name: optional.names?.[i],
    unsigned: optional.unsigned.get(i),
    collation: optional.collations.get(i),
    members: optional.members.get(i),
    geometry: optional.geometries.get(i),
    dimension: optional.dimensions.get(i),
    visible: optional.visible?.[i] ?? true,
  }));
  const full = optional.names !== undefined;
  return { db, table, columns, key: full ? optional.key ?? [] : optional.key, full };
}

interface Sized {
  readonly type: number;
  readonly size: number;
  readonly scale: number;
}

function readColumnSize(type: number, metadata: BinlogReader): Sized {
  const T = ColumnType;
  switch (type) {
    case T.TINY:
    case T.SHORT:
    case T.INT24:
    case T.LONG:
    case T.LONGLONG:
    case T.DATE:
    case T.NEWDATE:
    case T.YEAR:
      return { type, size: 0, scale: 0 };
    case T.FLOAT:
    case T.DOUBLE:
    case T.TIMESTAMP2:
    case T.DATETIME2:
    case T.TIME2:
    case T.BLOB:
    case T.BLOB_COMPRESSED:
    case T.JSON:
    case T.GEOMETRY:
    case T.VECTOR:
      return { type, size: checkedSize(type, metadata.u8()), scale: 0 };
    case T.VARCHAR:
    case T.VARCHAR_COMPRESSED:
      return { type, size: metadata.u16(), scale: 0 };
    case T.BIT: {
      const rest = metadata.u8();
      return { type, size: metadata.u8() * 8 + rest, scale: 0 };
    }
    case T.NEWDECIMAL: {
      const precision = metadata.u8();
      return { type, size: precision, scale: metadata.u8() };
    }
    case T.STRING:
    case T.VAR_STRING:
    case T.ENUM:
    case T.SET:
      return readStringSize(type, metadata.u8(), metadata.u8());
  }
  throw new RecordError(`A table has a column of type code ${type}, which is not known`, {
    cure:
      "rebuild columns of times from before MySQL 5.6, or made with mysql56_temporal_format = OFF," +
      " with ALTER TABLE ... FORCE; or exclude the table",
  });
}

const TEMPORAL: ReadonlySet<number> = new Set([
  ColumnType.TIMESTAMP2,
  ColumnType.DATETIME2,
  ColumnType.TIME2,
]);
const PREFIXED: ReadonlySet<number> = new Set([
  ColumnType.BLOB,
  ColumnType.BLOB_COMPRESSED,
  ColumnType.JSON,
  ColumnType.GEOMETRY,
  ColumnType.VECTOR,
]);

function checkedSize(type: number, size: number): number {
  if (TEMPORAL.has(type) && size > 6) {
    throw new RecordError(`A temporal column has ${size} fraction digits; 0 to 6 are possible`);
  }
  if (PREFIXED.has(type) && (size < 1 || size > 4)) {
    throw new RecordError(`A column has lengths of ${size} bytes; 1 to 4 are possible`);
  }
  return size;
}

// CHAR, ENUM and SET share a code; two bits of a length over 255 hide, inverted, in the real type's.
function readStringSize(code: number, first: number, second: number): Sized {
  if ((first & 0x30) !== 0x30) {
    return { type: ColumnType.STRING, size: second | (((first & 0x30) ^ 0x30) << 4), scale: 0 };
  }
  const isMember = first === ColumnType.ENUM || first === ColumnType.SET;
  if (isMember && (second < 1 || second > 8 || (first === ColumnType.ENUM && second > 2))) {
    throw new RecordError(`An ENUM or SET column has values of ${second} bytes`);
  }
  const type = isMember
    ? first
    : code === ColumnType.ENUM || code === ColumnType.SET
    ? code
    : ColumnType.STRING;
  return { type, size: second, scale: 0 };
}

// Seen on a server: YEAR counts among the signed or unsigned, BIT does not; VECTOR has a collation.
const NUMERIC: ReadonlySet<number> = new Set([
  ColumnType.TINY,
  ColumnType.SHORT,
  ColumnType.INT24,
  ColumnType.LONG,
  ColumnType.LONGLONG,
  ColumnType.NEWDECIMAL,
  ColumnType.FLOAT,
  ColumnType.DOUBLE,
  ColumnType.YEAR,
]);
const CHARACTER: ReadonlySet<number> = new Set([
  ColumnType.STRING,
  ColumnType.VAR_STRING,
  ColumnType.VARCHAR,
  ColumnType.BLOB,
  ColumnType.VECTOR,
]);
const MARIADB_CHARACTER: ReadonlySet<number> = new Set([
  ...[ColumnType.STRING, ColumnType.VAR_STRING, ColumnType.VARCHAR, ColumnType.BLOB],
  ...[ColumnType.VARCHAR_COMPRESSED, ColumnType.BLOB_COMPRESSED, ColumnType.GEOMETRY],
]);

interface Optional {
  names?: string[];
  key?: number[];
  visible?: boolean[];
  readonly unsigned: Map<number, boolean>;
  readonly collations: Map<number, number>;
  readonly members: Map<number, Uint8Array[]>;
  readonly geometries: Map<number, number>;
  readonly dimensions: Map<number, number>;
}

/** The optional metadata: type, length, value. Unknown types are passed over: they only add. */
function readOptional(
  body: BinlogReader,
  columns: readonly Sized[],
  character: ReadonlySet<number>,
): Optional {
  const found: Optional = {
    unsigned: new Map(),
    collations: new Map(),
    members: new Map(),
    geometries: new Map(),
    dimensions: new Map(),
  };
  const of = (types: ReadonlySet<number>) =>
    columns.flatMap((column, i) => types.has(column.type) ? [i] : []);
  while (body.left > 0) {
    const type = body.u8();
    const length = body.lenenc();
    const from = body.take(length);
    const field = new BinlogReader(body.bytes, from, from + length);
    FIELDS.get(type)?.(found, field, of, character);
  }
  return found;
}

const EVERY: ReadonlySet<number> = new Set(Object.values(ColumnType));
const ENUMS: ReadonlySet<number> = new Set([ColumnType.ENUM]);
const SETS: ReadonlySet<number> = new Set([ColumnType.SET]);
const LISTED: ReadonlySet<number> = new Set([ColumnType.ENUM, ColumnType.SET]);
const GEOMETRIC: ReadonlySet<number> = new Set([ColumnType.GEOMETRY]);
const VECTORS: ReadonlySet<number> = new Set([ColumnType.VECTOR]);

/**
 * `of` answers the indexes of the columns of those types: a field tells of these alone, in order.
 * `character`: the types that have a collation.
 */
type FieldReader = (
  found: Optional,
  field: BinlogReader,
  of: (types: ReadonlySet<number>) => number[],
  character: ReadonlySet<number>,
) => void;

/** By the codes of `Optional_metadata_field_type` in the server's rows_event.h. */
const FIELDS: ReadonlyMap<number, FieldReader> = new Map<number, FieldReader>([
  [1, (found, field, of) => {
    const numeric = of(NUMERIC);
    bits(field, numeric.length).forEach((bit, i) => found.unsigned.set(numeric[i]!, bit));
  }],
  [
    2,
    (found, field, of, character) => defaultCharset(field, of(character), found.collations),
  ],
  [
    3,
    (found, field, of, character) =>
      each(field, of(character), (i) => found.collations.set(i, field.lenenc())),
  ],
  [4, (found, field, of) => {
    const names: string[] = [];
    each(field, of(EVERY), () => names.push(field.utf8(field.lenenc())));
    found.names = names;
  }],
  [5, (found, field, of) => each(field, of(SETS), (i) => found.members.set(i, members(field)))],
  [6, (found, field, of) => each(field, of(ENUMS), (i) => found.members.set(i, members(field)))],
  [
    7,
    (found, field, of) =>
      each(field, of(GEOMETRIC), (i) => found.geometries.set(i, field.lenenc())),
  ],
  [8, (found, field, of) => {
    found.key = [];
    const { length } = of(EVERY);
    while (field.left > 0) found.key.push(index(field, length));
  }],
  [9, (found, field, of) => {
    found.key = [];
    const { length } = of(EVERY);
    while (field.left > 0) {
      found.key.push(index(field, length));
      field.lenenc(); // length of the prefix
    }
  }],
  [10, (found, field, of) => defaultCharset(field, of(LISTED), found.collations)],
  [
    11,
    (found, field, of) => each(field, of(LISTED), (i) => found.collations.set(i, field.lenenc())),
  ],
  [12, (found, field, of) => found.visible = bits(field, of(EVERY).length)],
  [
    13,
    (found, field, of) => each(field, of(VECTORS), (i) => found.dimensions.set(i, field.lenenc())),
  ],
]);

function each(field: BinlogReader, columns: readonly number[], read: (i: number) => void): void {
  for (const i of columns) read(i);
  if (field.left > 0) {
    throw new RecordError(`A TABLE_MAP's metadata has ${field.left} bytes too many`);
  }
}

/** Bits, the highest of each byte first. */
function bits(field: BinlogReader, count: number): boolean[] {
  const bytes = field.view((count + 7) >> 3);
  return Array.from({ length: count }, (_, i) => (bytes[i >> 3]! & (0x80 >> (i & 7))) !== 0);
}

function defaultCharset(
  field: BinlogReader,
  columns: readonly number[],
  collations: Map<number, number>,
): void {
  const common = field.lenenc();
  for (const i of columns) collations.set(i, common);
  while (field.left > 0) {
    const ordinal = index(field, columns.length);
    collations.set(columns[ordinal]!, field.lenenc());
  }
}

function members(field: BinlogReader): Uint8Array[] {
  const count = field.lenenc();
  if (count > field.left) field.take(count);
  return Array.from({ length: count }, () => field.copy(field.lenenc()));
}

function index(field: BinlogReader, limit: number): number {
  const i = field.lenenc();
  if (i >= limit) throw new RecordError(`A TABLE_MAP names column ${i} of ${limit}`);
  return i;
}
