/**
 * JSON: the Debezium envelope without Connect schemas, keys always in the same order.
 * Integers of any size keep all their digits in both directions.
 */
import { Buffer } from "node:buffer";
import type {
  Change,
  Column,
  Coordinates,
  Op,
  Row,
  SnapshotMark,
  SourceIdentity,
  TableSchema,
  Transaction,
  Value,
} from "../change.ts";
import { RecordError } from "../errors.ts";
import type { InRecord } from "../kafka/port.ts";
import { POSITION_LENGTH } from "../position.ts";
import { type Encoded, type Format, type SchemaLookup, sourceId } from "./format.ts";
import { type Rows, scanRows } from "./json_rows.ts";
import { keyText } from "./key.ts";
import type { ByteArena } from "../wire/byte_arena.ts";
import { jsonWriter, quoted } from "../wire/value_text.ts";

/** The format `json`. */
export const format: Format = { name: "json", encode, decode, stamp };

// Encoding ----------------------------------------------------------------------------------------
// Straight into bytes: a string of the envelope would be built of forty pieces, copied together and
// copied once more, at three times the cost and most of the garbage.

function encode(change: Change, arena: ByteArena): Encoded {
  const write = tableWriter(change.table);
  arena.begin();
  write(change, arena);
  return { key: keyText(change), value: arena.end() };
}

type TableWriter = (change: Change, arena: ByteArena) => void;

const tableWriters = new WeakMap<TableSchema, TableWriter>();

function tableWriter(table: TableSchema): TableWriter {
  let writer = tableWriters.get(table);
  if (writer === undefined) {
    writer = createTableWriter(table);
    tableWriters.set(table, writer);
  }
  return writer;
}

const ascii = new TextEncoder();
const BEFORE = ascii.encode('{"before":');
const AFTER = ascii.encode(',"after":');
const END = ascii.encode("}}");
const NO_TRANSACTION = ',"transaction":null}';
const NULL = ascii.encode("null");

function createTableWriter(table: TableSchema): TableWriter {
  const where = `,"db":${quoted(table.db)},"schema":${
    table.schema === null ? "null" : quoted(table.schema)
  },"table":${quoted(table.table)},"position":"`;
  const schema_id = ascii.encode(`","schema_id":"${table.id}"`);
  const row = rowBytes(table.columns);

  let transaction: Transaction | undefined;
  let op: Op | undefined;
  let snapshot: SnapshotMark | undefined;
  let source = ascii.encode("");
  let operation = ascii.encode("");
  let ending = ascii.encode("");
  return (change, arena) => {
    if (
      change.transaction !== transaction || change.op !== op || change.snapshot !== snapshot
    ) {
      ({ transaction, op, snapshot } = change);
      source = ascii.encode(`,"source":${sourceHead(change)}${where}`);
      operation = ascii.encode(`},"op":"${op}","ts_ms":`);
      ending = ascii.encode(
        transaction.id === ""
          ? NO_TRANSACTION
          : `,"transaction":{"id":${quoted(transaction.id)},"total_order":`,
      );
    }
    arena.bytes(BEFORE);
    row(change.before, arena);
    arena.bytes(AFTER);
    row(change.after, arena);
    arena.bytes(source);
    arena.text(change.position);
    arena.bytes(schema_id);
    coordinates(change.coordinates, arena);
    arena.bytes(operation);
    arena.integer(change.ts_ms);
    arena.bytes(ending);
    if (transaction!.id === "") return;
    arena.integer(change.total_order);
    arena.bytes(END);
  };
}

function sourceHead({ source, transaction, snapshot }: Change): string {
  return `{"connector":"${source.connector}","name":${quoted(source.name)},"version":${
    quoted(source.version)
  },"ts_us":${transaction.ts_us},"snapshot":"${snapshot ?? "false"}","ts_ms":${
    Math.floor(transaction.ts_us / 1000)
  }`;
}

/** Writes a row as a JSON object; columns without a value are left out. */
function rowBytes(columns: readonly Column[]): (row: Row | null, arena: ByteArena) => void {
  const first = columns.map(({ name }) => ascii.encode(`{${quoted(name)}:`));
  const later = columns.map(({ name }) => ascii.encode(`,${quoted(name)}:`));
  const texts = columns.map(jsonWriter);
  const isInteger = columns.map(({ kind }) => kind === "integer");
  const count = columns.length;
  return (row, arena) => {
    if (row === null) return arena.bytes(NULL);
    let labels = first;
    for (let index = 0; index < count; index++) {
      const value = row[index];
      if (value === undefined) continue;
      arena.bytes(labels[index]!);
      labels = later;
      if (typeof value === "string" && arena.plainQuoted(value)) continue;
      if (isInteger[index] && typeof value === "number") arena.integer(value);
      else arena.text(texts[index]!(value));
    }
    arena.text(labels === first ? "{}" : "}");
  };
}

function coordinates(fields: Coordinates, arena: ByteArena): void {
  for (const name in fields) {
    const value = fields[name]!;
    const field = coordinateField(name);
    if (typeof value === "string") {
      if (value !== field.text) {
        field.text = value;
        field.whole = ascii.encode(`,"${name}":${quoted(value)}`);
      }
      arena.bytes(field.whole);
      continue;
    }
    arena.bytes(field.label);
    if (typeof value === "number") arena.integer(value);
    else arena.text(String(value));
  }
}

/** A coordinate: its text, where it has one, is the same for a transaction. */
interface CoordinateField {
  readonly label: Uint8Array;
  text: string | undefined;
  whole: Uint8Array;
}

/** A source has a handful of coordinates, always the same. */
const coordinateFields = new Map<string, CoordinateField>();

function coordinateField(name: string): CoordinateField {
  let field = coordinateFields.get(name);
  if (field === undefined) {
    const label = ascii.encode(`,"${name}":`);
    field = { label, text: undefined, whole: label };
    coordinateFields.set(name, field);
  }
  return field;
}

// Decoding ----------------------------------------------------------------------------------------

/** The envelope as `JSON.parse` gives it. */
interface Envelope {
  before: Record<string, unknown> | null;
  after: Record<string, unknown> | null;
  source: Record<string, unknown> & {
    connector: SourceIdentity["connector"];
    name: string;
    version: string;
    ts_us: number;
    snapshot?: SnapshotMark | "false";
    db: string;
    schema: string | null;
    table: string;
    position: string;
    schema_id: string;
  };
  op: Op;
  ts_ms: number;
  transaction: { id: string; total_order: number } | null;
}

function decode(record: InRecord, schemas: SchemaLookup): Change {
  const text = textOf(record);
  try {
    return decodeKnown(text, record, schemas) ?? build(parse(text, record), schemas);
  } catch (error) {
    if (error instanceof RecordError) throw error;
    if (error !== INEXACT) throw refusal(record, (error as Error).message);
  }
  try {
    return build(parseExactly<Envelope>(text), schemas);
  } catch (error) {
    const why = error === INEXACT ? "an integer is written with an exponent" : error;
    throw refusal(record, why instanceof Error ? why.message : String(why));
  }
}

function stamp(record: InRecord) {
  if (record.value === null) return undefined;
  const { source } = parse(textOf(record), record);
  return { source: sourceId(source), position: source.position };
}

function build(envelope: Envelope, schemas: SchemaLookup): Change {
  const { source } = envelope;
  const { db, schema, schema_id } = source;
  const table = schemas(sourceId(source), db, schema, source.table, schema_id);
  return {
    op: envelope.op,
    source: identity(source.connector, source.name, source.version),
    table,
    before: readRow(envelope.before, table),
    after: readRow(envelope.after, table),
    position: source.position,
    coordinates: readCoordinates(source),
    transaction: { id: envelope.transaction?.id ?? "", ts_us: source.ts_us },
    total_order: envelope.transaction?.total_order ?? 0,
    ts_ms: envelope.ts_ms,
    ...snapshotOf(source.snapshot),
  };
}

function snapshotOf(mark: SnapshotMark | "false" | undefined): Pick<Change, "snapshot"> {
  return mark === undefined || mark === "false" ? {} : { snapshot: mark };
}

/** A third of the time that a Buffer's toString takes here. */
const utf8 = new TextDecoder();

function textOf(record: InRecord): string {
  const { value } = record;
  if (value === null) throw refusal(record, "it has no value");
  return utf8.decode(value);
}

function parse(text: string, record: InRecord): Envelope {
  let envelope: Envelope | null;
  try {
    envelope = JSON.parse(text);
  } catch (error) {
    throw refusal(record, "it is not JSON", error);
  }
  const source = envelope?.source;
  if (typeof source?.position !== "string" || typeof source.schema_id !== "string") {
    throw refusal(record, "it has no source.position and source.schema_id");
  }
  if (!OPS.has(envelope!.op)) {
    throw refusal(record, `its op is ${JSON.stringify(envelope!.op)}, not one of c, u, d, r, t`);
  }
  return envelope!;
}

const OPS = new Set<Op>(["c", "u", "d", "r", "t"]);

function refusal(record: InRecord, why: string, cause?: unknown): RecordError {
  return new RecordError(
    `Cannot read the record at offset ${record.offset} as a change in format json: ${why}`,
    { cure: "set the job's `format` to the one that the topic was written with", cause },
  );
}

// Within a transaction all but the rows and the position repeats. What repeats is compared as text,
// which takes less than half the time of parsing it again. Quotes inside JSON strings are escaped and
// rows hold no objects, so the marks below stand nowhere but in the envelope itself.

const SOURCE_MARK = ',"source":{"connector":"';
const POSITION_MARK = '"position":"';
const SCHEMA_MARK = '","schema_id":"';
const OP_MARK = '},"op":"';
const TIME_MARK = '","ts_ms":';
const TRANSACTION_MARK = ',"transaction":{"id":"';
const ORDER_MARK = '","total_order":';
const SCHEMA_ID_LENGTH = 8;
const DIGITS = /^\d{1,15}$/;

/** What the envelopes of one table in one transaction share. */
interface Repeated {
  schemas: SchemaLookup;
  /** From the source mark to the position. */
  source: string;
  /** From the position to the coordinates. */
  schema: string;
  /** From the transaction mark to its number. */
  transaction: string;
  /** A change of these, decoded in full. */
  change: Change;
}

let repeated: Repeated | undefined;

/** Decodes the text if all but its rows and numbers is as in the text before; else undefined. */
function decodeKnown(
  text: string,
  record: InRecord,
  schemas: SchemaLookup,
): Change | undefined {
  const source_at = text.indexOf(SOURCE_MARK);
  const position_at = text.indexOf(POSITION_MARK, source_at) + POSITION_MARK.length;
  const schema_at = position_at + POSITION_LENGTH;
  const coordinates_at = schema_at + SCHEMA_MARK.length + SCHEMA_ID_LENGTH + 1;
  const op_at = text.indexOf(OP_MARK, coordinates_at) + OP_MARK.length;
  const alone = text.endsWith(NO_TRANSACTION);
  const transaction_at = alone
    ? text.length - NO_TRANSACTION.length
    : text.indexOf(TRANSACTION_MARK, op_at);
  const order_at = alone
    ? text.length
    : text.indexOf(ORDER_MARK, transaction_at) + ORDER_MARK.length;
  const isWhole = source_at > 0 && position_at > source_at && op_at > coordinates_at &&
    transaction_at > op_at && order_at > transaction_at && (alone || text.endsWith("}}")) &&
    text.startsWith(TIME_MARK, op_at + 1);
  if (!isWhole) return undefined;

  const isRepeated = repeated !== undefined && repeated.schemas === schemas &&
    text.slice(source_at, position_at) === repeated.source &&
    text.slice(schema_at, coordinates_at) === repeated.schema &&
    text.slice(transaction_at, order_at) === repeated.transaction;
  if (!isRepeated) {
    const change = build(parse(text, record), schemas);
    repeated = {
      schemas,
      source: text.slice(source_at, position_at),
      schema: text.slice(schema_at, coordinates_at),
      transaction: text.slice(transaction_at, order_at),
      change,
    };
    return change;
  }

  const ts_ms = text.slice(op_at + 1 + TIME_MARK.length, transaction_at);
  const total_order = alone ? "0" : text.slice(order_at, -2);
  const op = text[op_at] as Op;
  if (!DIGITS.test(ts_ms) || !DIGITS.test(total_order) || !OPS.has(op)) return undefined;
  const { change } = repeated!;
  return new RepeatedChange(
    change,
    op,
    scanRows(text, source_at, change.table) ?? parseRows(text.slice(0, source_at), change.table),
    text.slice(position_at, schema_at),
    text.slice(coordinates_at + 1, op_at - OP_MARK.length),
    Number(total_order),
    Number(ts_ms),
  );
}

function parseRows(text: string, table: TableSchema): Rows {
  const { before, after } = JSON.parse(`${text}}`) as Pick<Envelope, "before" | "after">;
  return { before: readRow(before, table), after: readRow(after, table) };
}

/** A change like one before it. Its coordinates are read when somebody asks: sinks do not. */
class RepeatedChange implements Change {
  readonly source: SourceIdentity;
  readonly table: TableSchema;
  readonly transaction: Transaction;
  readonly before: Row | null;
  readonly after: Row | null;
  readonly snapshot?: SnapshotMark;
  readonly #coordinates: string;

  constructor(
    like: Change,
    readonly op: Op,
    rows: Rows,
    readonly position: string,
    coordinates: string,
    readonly total_order: number,
    readonly ts_ms: number,
  ) {
    this.source = like.source;
    this.table = like.table;
    this.transaction = like.transaction;
    this.before = rows.before;
    this.after = rows.after;
    if (like.snapshot !== undefined) this.snapshot = like.snapshot;
    this.#coordinates = coordinates;
  }

  get coordinates(): Coordinates {
    return readCoordinates(parseExactly(`{${this.#coordinates}}`));
  }
}

/** Thrown inside, when a number needs more digits than a double holds. */
const INEXACT = Symbol("inexact");

const INTEGER = /^-?\d+$/;

/** `JSON.parse` that keeps integers beyond ±(2^53−1) as bigint: slower, so used only where needed. */
function parseExactly<T>(text: string): T {
  const revive = (_name: string, value: unknown, context?: { source?: string }) =>
    typeof value === "number" && !Number.isSafeInteger(value) && INTEGER.test(context?.source ?? "")
      ? BigInt(context!.source!)
      : value;
  return JSON.parse(text, revive as (name: string, value: unknown) => unknown);
}

type Reader = (value: unknown) => Value;

interface TableReader {
  readonly names: readonly string[];
  readonly readers: readonly Reader[];
  /** A column is named like a member of every object, so its absence must be asked for. */
  readonly inherited: boolean;
}

const readers = new WeakMap<TableSchema, TableReader>();

function tableReader(table: TableSchema): TableReader {
  let reader = readers.get(table);
  if (reader === undefined) {
    const names = table.columns.map((column) => column.name);
    reader = {
      names,
      readers: table.columns.map(valueReader),
      inherited: names.some((name) => name in Object.prototype),
    };
    readers.set(table, reader);
  }
  return reader;
}

function readRow(object: Record<string, unknown> | null, table: TableSchema): Row | null {
  if (object === null) return null;
  const { names, readers, inherited } = tableReader(table);
  const row = new Array<Value | undefined>(names.length);
  for (let index = 0; index < names.length; index++) {
    const name = names[index]!;
    const value = inherited && !Object.hasOwn(object, name) ? undefined : object[name];
    row[index] = value === undefined || value === null ? value : readers[index]!(value);
  }
  return row;
}

function valueReader(column: Column): Reader {
  if (column.kind !== "array") return SCALARS[column.kind];
  const element = column.element ?? "string";
  const scalar = element === "array" ? SCALARS.string : SCALARS[element];
  const array: Reader = (value) =>
    value === null ? null : Array.isArray(value) ? value.map(array) : scalar(value);
  return array;
}

const SCALARS: Record<Exclude<Column["kind"], "array">, Reader> = {
  integer(value) {
    if (typeof value === "bigint") return value;
    if (typeof value !== "number") throw mismatch(value, "an integer");
    if (Number.isSafeInteger(value)) return value;
    throw INEXACT;
  },
  float32: (value) => Math.fround(float(value)),
  float64: (value) => float(value),
  boolean(value) {
    if (typeof value === "boolean") return value;
    throw mismatch(value, "true or false");
  },
  string(value) {
    if (typeof value === "string") return value;
    throw mismatch(value, "text");
  },
  bytes(value) {
    if (typeof value === "string") return new Uint8Array(Buffer.from(value, "base64"));
    throw mismatch(value, "bytes in base64");
  },
};

function float(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "bigint") return Number(value);
  if (value === "NaN" || value === "Infinity" || value === "-Infinity") return Number(value);
  throw mismatch(value, "a number, NaN or Infinity");
}

function mismatch(value: unknown, expected: string): TypeError {
  const found = typeof value === "string" ? JSON.stringify(value.slice(0, 40)) : String(value);
  return new TypeError(`a value is ${found} where ${expected} belongs`);
}

/** Fields of `source` that are not log coordinates. */
const COMMON = new Set(
  "connector name version ts_us snapshot ts_ms db schema table position schema_id".split(" "),
);

function readCoordinates(source: Record<string, unknown>): Coordinates {
  const coordinates: Record<string, string | number | bigint | null> = {};
  for (const name in source) {
    if (COMMON.has(name)) continue;
    const value = source[name] as string | number | bigint | null;
    if (typeof value === "number" && !Number.isSafeInteger(value)) throw INEXACT;
    coordinates[name] = value;
  }
  return coordinates;
}

let lastIdentity: SourceIdentity = { connector: "mysql", name: "", version: "" };

function identity(
  connector: SourceIdentity["connector"],
  name: string,
  version: string,
): SourceIdentity {
  if (
    lastIdentity.name !== name || lastIdentity.connector !== connector ||
    lastIdentity.version !== version
  ) {
    lastIdentity = { connector, name, version };
  }
  return lastIdentity;
}
