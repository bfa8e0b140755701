/**
 * JSON: the Debezium envelope without Connect schemas, keys always in the same order.
 * Integers of any size keep all their digits in both directions.
 */
import { Buffer } from "node:buffer";
import {
  type Change,
  type Column,
  type Coordinates,
  isOp,
  type Op,
  OPS,
  type Row,
  type RowsText,
  type SnapshotMark,
  type SourceIdentity,
  type TableSchema,
  type Transaction,
  type Value,
} from "../change.ts";
import { RecordError } from "../errors.ts";
import type { InRecord } from "../kafka/port.ts";
import { perTable } from "../per_table.ts";
import { POSITION_LENGTH } from "../position.ts";
import { type Format, type Glance, type SchemaLookup, sourceId } from "./format.ts";
import { type Rows, rowsOf, scanRows } from "./json_rows.ts";
import { FORMAT_CURE, refusal, shown, unknownOp } from "./refusal.ts";
import type { ByteArena } from "../wire/byte_arena.ts";
import { ByteScanner, Mark } from "../wire/byte_scanner.ts";
import { jsonWriter, quoted } from "../wire/value_text.ts";

/** The format `json`. */
export const format: Format = { name: "json", encode, decode, glance, stamp };

// Encoding ----------------------------------------------------------------------------------------
// Straight into bytes: a string of the envelope would be built of forty pieces, copied together and
// copied once more, at three times the cost and most of the garbage.

function encode(change: Change, arena: ByteArena): void {
  tableWriter(change.table)(change, arena);
}

type TableWriter = (change: Change, arena: ByteArena) => void;

const tableWriter = perTable(createTableWriter);

const ascii = new TextEncoder();
const BEFORE = ascii.encode('{"before":');
const AFTER = ascii.encode(',"after":');
const COLLECTION_ORDER = ascii.encode(',"data_collection_order":');
const END = ascii.encode("}}");
const NO_TRANSACTION = ',"transaction":null}';
const NULL = ascii.encode("null");

function createTableWriter(table: TableSchema): TableWriter {
  const where = `,"db":${quoted(table.db)},"schema":${
    table.schema === null ? "null" : quoted(table.schema)
  },"table":${quoted(table.table)},"position":"`;
  const schema_id = ascii.encode(`","schema_id":"${table.id}"`);
  const row = rowBytes(table.columns);

  // The same for many changes in a row.
  let transaction: Transaction | undefined;
  let snapshot: SnapshotMark | undefined;
  let ts_ms: number | undefined;
  let source = ascii.encode("");
  let operations: Partial<Record<Op, Uint8Array>> = {};
  const operation = (op: Op, { id }: Transaction) => {
    const ending = id === "" ? NO_TRANSACTION : `,"transaction":{"id":${quoted(id)},"total_order":`;
    return ascii.encode(`},"op":"${op}","ts_ms":${ts_ms}${ending}`);
  };
  return (change, arena) => {
    if (
      change.transaction !== transaction || change.snapshot !== snapshot || change.ts_ms !== ts_ms
    ) {
      ({ transaction, snapshot, ts_ms } = change);
      source = ascii.encode(`,"source":${sourceHead(change)}${where}`);
      operations = {};
    }
    arena.bytes(BEFORE);
    row(change.before, arena);
    arena.bytes(AFTER);
    row(change.after, arena);
    arena.bytes(source);
    arena.text(change.position);
    arena.bytes(schema_id);
    coordinates(change.coordinates, arena);
    arena.bytes(operations[change.op] ??= operation(change.op, transaction));
    if (transaction.id === "") return;
    arena.integer(change.total_order);
    if (change.data_collection_order !== undefined) {
      arena.bytes(COLLECTION_ORDER);
      arena.integer(change.data_collection_order);
    }
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
  transaction: { id: string; total_order: number; data_collection_order?: number } | null;
}

function decode(record: InRecord, schemas: SchemaLookup): Change {
  try {
    return decodeKnown(bytesOf(record), schemas) ?? decodeAny(record, schemas);
  } catch (error) {
    if (error instanceof RecordError) throw error;
    if (error !== INEXACT) throw refusal(format.name, record, (error as Error).message);
  }
  try {
    return build(parseExactly<Envelope>(utf8.decode(bytesOf(record))), schemas);
  } catch (error) {
    const why = error === INEXACT ? "an integer is written with an exponent" : error;
    throw refusal(format.name, record, why instanceof Error ? why.message : String(why));
  }
}

function decodeAny(record: InRecord, schemas: SchemaLookup): Change {
  const change = build(parse(record), schemas);
  known = learn(bytesOf(record), change, schemas);
  return change;
}

function stamp(record: InRecord) {
  if (record.value === null) return undefined;
  const source = sourceIn(record.value) ?? parse(record).source;
  return { source: sourceId(source), position: source.position };
}

/** The envelope's `source`, read alone: rows may be large. Undefined: it is laid out otherwise. */
function sourceIn(bytes: Uint8Array): Envelope["source"] | undefined {
  input.reset(bytes);
  if (!input.find(SOURCE_MARK)) return undefined;
  const at = input.at + SOURCE_LABEL.length;
  if (!input.find(OP_MARK)) return undefined;
  try {
    const source: Envelope["source"] = JSON.parse(utf8.decode(bytes.subarray(at, input.at + 1)));
    return typeof source.name === "string" && typeof source.position === "string"
      ? source
      : undefined;
  } catch {
    return undefined;
  }
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
    ...collectionOrderOf(envelope.transaction?.data_collection_order),
    ts_ms: envelope.ts_ms,
    ...snapshotOf(source.snapshot),
  };
}

function collectionOrderOf(order: number | undefined): Pick<Change, "data_collection_order"> {
  return order === undefined ? {} : { data_collection_order: order };
}

function snapshotOf(mark: SnapshotMark | "false" | undefined): Pick<Change, "snapshot"> {
  return mark === undefined || mark === "false" ? {} : { snapshot: mark };
}

/** A third of the time that a Buffer's toString takes here. */
const utf8 = new TextDecoder();

function bytesOf(record: InRecord): Uint8Array {
  const { value } = record;
  if (value === null) throw refusal(format.name, record, "it has no value");
  return value;
}

function parse(record: InRecord): Envelope {
  let envelope: Envelope | null;
  try {
    envelope = JSON.parse(utf8.decode(bytesOf(record)));
  } catch (error) {
    throw refusal(format.name, record, "it is not JSON", error);
  }
  const source = envelope?.source;
  if (typeof source?.position !== "string" || typeof source.schema_id !== "string") {
    throw refusal(format.name, record, "it has no source.position and source.schema_id");
  }
  if (!isOp(envelope!.op)) {
    throw refusal(format.name, record, unknownOp(JSON.stringify(envelope!.op)));
  }
  return envelope!;
}

const OP_OF_BYTE = Object.fromEntries(OPS.map((op) => [op.charCodeAt(0), op]));

// All but the rows, the coordinates and some numbers is the same for all changes of a table. What is
// the same is compared as bytes and the rest is found around it, in a fraction of the time that
// parsing takes. Text that differs in any other way is left to the parser, which is the measure of
// what is read here. Quotes inside JSON strings are escaped and rows hold no objects, so the marks
// below stand nowhere but in the envelope itself.

const SOURCE_LABEL = ',"source":';
const SOURCE_MARK = Mark.of(`${SOURCE_LABEL}{"connector":"`);
const COMMIT_MARK = Mark.of('"ts_us":');
const COMMIT_MS_MARK = Mark.of('"ts_ms":');
const POSITION_MARK = Mark.of('"position":"');
const OP_MARK = Mark.of('},"op":"');
const TIME_MARK = Mark.of('","ts_ms":');
const TRANSACTION_MARK = Mark.of(',"transaction":{"id":"');
const ORDER_MARK = Mark.of('","total_order":');
const NO_TRANSACTION_MARK = Mark.of(NO_TRANSACTION);
const QUOTE = 34;
const COLLECTION_ORDER_MARK = new Mark(COLLECTION_ORDER);
const END_MARK = new Mark(END);
const BACKSLASH = 92;

/** What the envelopes of one table share. */
interface Known {
  readonly schemas: SchemaLookup;
  readonly source: SourceIdentity;
  readonly table: TableSchema;
  readonly snapshot_mark: SnapshotMark | undefined;
  /** From the source mark to the commit time. */
  readonly head: Mark;
  /** From there to the commit time in milliseconds. */
  readonly snapshot: Mark;
  /** From there to the position. */
  readonly place: Mark;
  /** From the position to the coordinates. */
  readonly schema: Mark;
  /** The last transaction, and its id as it is written. */
  transaction: Transaction;
  transaction_id: Mark;
  /** Bytes from `head` and from the op to the end of the last envelope: the next often has as many. */
  head_to_end: number;
  op_to_end: number;
}

let known: Known | undefined;

/** One record is read at a time. */
const input = new ByteScanner();

/** What the envelopes of the change's table share; undefined where this one is laid out otherwise. */
function learn(bytes: Uint8Array, change: Change, schemas: SchemaLookup): Known | undefined {
  const { source, table, transaction, snapshot: snapshot_mark } = change;
  input.reset(bytes);
  const through = (mark: Mark): Mark | undefined => {
    const from = input.at;
    if (!input.find(mark)) return undefined;
    input.at += mark.bytes.length;
    return new Mark(bytes.slice(from, input.at));
  };
  if (!input.find(SOURCE_MARK)) return undefined;
  const head = through(COMMIT_MARK);
  input.digits();
  const snapshot = through(COMMIT_MS_MARK);
  input.digits();
  const place = through(POSITION_MARK);
  input.at += POSITION_LENGTH;
  const schema = Mark.of(`","schema_id":"${table.id}"`);
  if (!head || !snapshot || !place || !input.skip(schema)) return undefined;
  const transaction_id = Mark.of(quoted(transaction.id).slice(1, -1));
  return {
    schemas,
    source,
    table,
    snapshot_mark,
    head,
    snapshot,
    place,
    schema,
    transaction,
    transaction_id,
    head_to_end: 0,
    op_to_end: 0,
  };
}

/** Decodes a change of the table that came last; undefined: of another, or laid out otherwise. */
function decodeKnown(bytes: Uint8Array, schemas: SchemaLookup): Change | undefined {
  if (known === undefined || known.schemas !== schemas) return undefined;
  input.reset(bytes);
  const text = scanRows(input, known.table);
  if (text === undefined) {
    input.at = 0;
    if (!input.find(SOURCE_MARK)) return undefined;
  }
  const rows_end = input.at;
  if (!input.skip(known.head)) return undefined;
  const ts_us = input.digits();
  if (ts_us < 0 || !input.skip(known.snapshot)) return undefined;
  if (input.digits() < 0 || !input.skip(known.place)) return undefined;
  const position_at = input.at;
  input.at += POSITION_LENGTH;
  if (!input.skip(known.schema)) return undefined;
  const coordinates_at = input.at + 1; // after the comma
  if (!input.find(OP_MARK)) return undefined;
  const coordinates_end = input.at;
  const op = OP_OF_BYTE[bytes[input.at + OP_MARK.bytes.length]!];
  input.at += OP_MARK.bytes.length + 1;
  if (op === undefined || !input.skip(TIME_MARK)) return undefined;
  const ts_ms = input.digits();
  if (ts_ms < 0) return undefined;
  const transaction = readTransaction(known, ts_us);
  if (transaction === undefined) return undefined;
  const isAlone = transaction.id === "";
  const total_order = isAlone ? 0 : readOrder(ORDER_MARK);
  const collection_order = isAlone ? -1 : readOrder(COLLECTION_ORDER_MARK);
  if (total_order < 0 || !isAlone && !input.skip(END_MARK) || input.at !== bytes.length) {
    return undefined;
  }

  return new KnownChange(
    known,
    op,
    input.latin1(position_at, POSITION_LENGTH),
    transaction,
    total_order,
    collection_order < 0 ? undefined : collection_order,
    ts_ms,
    { bytes, at: coordinates_at, end: coordinates_end },
    text,
    text === undefined ? parseRows(bytes.subarray(0, rows_end), known.table) : undefined,
  );
}

/** The same without the rows, and without what stands after the op. */
function glance(record: InRecord, schemas: SchemaLookup, told: Glance): boolean {
  const { memory, value_at = 0, value_length = -1 } = record;
  if (memory === undefined || value_length < 0) return false;
  if (known === undefined || known.schemas !== schemas) return false;
  const end = value_at + value_length;
  input.reset(memory, value_at, end);
  if (!moveTo(known.head, end - known.head_to_end)) return false;
  known.head_to_end = end - input.at;
  input.skip(known.head);
  const ts_us = input.digits();
  if (ts_us < 0 || !input.skip(known.snapshot)) return false;
  if (input.digits() < 0 || !input.skip(known.place)) return false;
  const position_at = input.at;
  input.at += POSITION_LENGTH;
  if (!input.skip(known.schema) || !moveTo(OP_MARK, end - known.op_to_end)) return false;
  known.op_to_end = end - input.at;
  const op = OP_OF_BYTE[memory[input.at + OP_MARK.bytes.length]!];
  input.at += OP_MARK.bytes.length + 1;
  if (op === undefined || !input.isAt(TIME_MARK)) return false;
  told.op = op;
  told.source = known.source;
  told.memory = memory;
  told.position_at = position_at;
  told.ts_us = ts_us;
  return true;
}

/** Moves on to `mark`, which is likely to stand at `guess`; false: it stands nowhere from here on. */
function moveTo(mark: Mark, guess: number): boolean {
  const from = input.at;
  if (guess >= from) {
    input.at = guess;
    if (input.isAt(mark)) return true;
    input.at = from;
  }
  return input.find(mark);
}

/** The transaction that stands next; the last one again where it is the same. */
function readTransaction(known: Known, ts_us: number): Transaction | undefined {
  if (input.skip(NO_TRANSACTION_MARK)) return { id: "", ts_us };
  if (!input.skip(TRANSACTION_MARK)) return undefined;
  const { bytes, at } = input;
  const isSame = ts_us === known.transaction.ts_us && input.skip(known.transaction_id) &&
    bytes[input.at] === QUOTE;
  if (isSame) return known.transaction;
  input.at = bytes.indexOf(QUOTE, at);
  const id = bytes.slice(at, input.at);
  if (id.includes(BACKSLASH)) return undefined;
  known.transaction_id = new Mark(id);
  return known.transaction = { id: utf8.decode(id), ts_us };
}

/** The number after `mark`; below 0: something else stands there. */
function readOrder(mark: Mark): number {
  return input.skip(mark) ? input.digits() : -1;
}

/** Bytes from `at` to `end` of others. */
interface Span {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
}

function parseRows(bytes: Uint8Array, table: TableSchema): Rows {
  const { before, after } = JSON.parse(`${utf8.decode(bytes)}}`) as Rows & Envelope;
  return { before: readRow(before, table), after: readRow(after, table) };
}

/** A change of a known table. What not every sink asks for is read when one does. */
class KnownChange implements Change {
  readonly source: SourceIdentity;
  readonly table: TableSchema;
  readonly snapshot?: SnapshotMark;
  readonly data_collection_order?: number;
  readonly #text: RowsText | undefined;
  #rows: Rows | undefined;
  readonly #coordinates: Span;

  constructor(
    { source, table, snapshot_mark }: Known,
    readonly op: Op,
    readonly position: string,
    readonly transaction: Transaction,
    readonly total_order: number,
    data_collection_order: number | undefined,
    readonly ts_ms: number,
    coordinates: Span,
    text: RowsText | undefined,
    rows: Rows | undefined,
  ) {
    this.source = source;
    this.table = table;
    this.#text = text;
    this.#rows = rows;
    if (snapshot_mark !== undefined) this.snapshot = snapshot_mark;
    if (data_collection_order !== undefined) this.data_collection_order = data_collection_order;
    this.#coordinates = coordinates;
  }

  // Not a field: who copies a change with other rows must not take the old text along.
  get text(): RowsText | undefined {
    return this.#text;
  }

  get before(): Row | null {
    return this.#values().before;
  }

  get after(): Row | null {
    return this.#values().after;
  }

  get coordinates(): Coordinates {
    const { bytes, at, end } = this.#coordinates;
    const text = utf8.decode(bytes.subarray(at, end));
    try {
      return readCoordinates(parseExactly(`{${text}}`));
    } catch (cause) {
      throw new RecordError(
        `Cannot read ${shown(text)} of the change at position ${this.position} as coordinates in` +
          " its database's log",
        { cure: FORMAT_CURE, cause: cause === INEXACT ? undefined : cause },
      );
    }
  }

  #values(): Rows {
    return this.#rows ??= rowsOf(this.#text!, this.table);
  }
}

/** Thrown inside, when a number needs more digits than a double holds. */
const INEXACT = Symbol("inexact");

const INTEGER = /^-?\d+$/;

/** `JSON.parse` that keeps integers beyond ±(2^53-1) as bigint: slower, so used only where needed. */
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

const tableReader = perTable((table): TableReader => {
  const names = table.columns.map((column) => column.name);
  return {
    names,
    readers: table.columns.map(valueReader),
    inherited: names.some((name) => name in Object.prototype),
  };
});

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
