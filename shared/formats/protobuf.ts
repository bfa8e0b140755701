/** Protobuf: the messages of change.proto, values typed as in memory, columns in table order. */
import {
  type Change,
  type Column,
  type Connector,
  type Coordinates,
  isOp,
  type Kind,
  type Op,
  type Row,
  type SnapshotMark,
  type SourceIdentity,
  type TableSchema,
  type Transaction,
  type Value,
} from "../change.ts";
import type { InRecord } from "../kafka/port.ts";
import { perTable } from "../per_table.ts";
import { isPositionAt, POSITION_LENGTH } from "../position.ts";
import { type Format, type Glance, type SchemaLookup, sourceId } from "./format.ts";
import { refusal, shown, unknownOp } from "./refusal.ts";
import { ByteArena } from "../wire/byte_arena.ts";
import { ProtobufReader, RepeatedText } from "../wire/protobuf_reader.ts";

/** The format `protobuf`. */
export const format: Format = { name: "protobuf", encode, decode, glance, stamp };

// Tags are (field number << 3) | wire type: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
const CHANGE = { op: 10, before: 18, after: 26, source: 34, ts_ms: 40, transaction: 50 } as const;
const VALUE = {
  null: 8,
  integer: 16,
  unsigned: 24,
  float32: 37,
  float64: 41,
  boolean: 48,
  text: 58,
  bytes: 66,
  array: 74,
} as const;
const SOURCE = {
  connector: 10,
  name: 18,
  version: 26,
  ts_us: 32,
  db: 42,
  schema: 50,
  table: 58,
  position: 66,
  schema_id: 74,
  coordinate: 82,
  snapshot: 90,
} as const;
const COORDINATE = { name: 10, value: 18 } as const;
const TRANSACTION = { id: 10, total_order: 16, data_collection_order: 24 } as const;
const ROW_VALUE = 10;

// Encoding ----------------------------------------------------------------------------------------

function encode(change: Change, arena: ByteArena): void {
  tableWriter(change.table)(change, arena);
}

type TableWriter = (change: Change, arena: ByteArena) => void;

const tableWriter = perTable(createTableWriter);

/** Bytes that most lengths take: of values and transactions, and of rows and sources. */
const SHORT = 1;
const LONG = 2;

function createTableWriter(table: TableSchema): TableWriter {
  const kinds = table.columns.map(writtenKind);
  const place = written((out) => {
    writeText(SOURCE.db, table.db, out);
    if (table.schema !== null) writeText(SOURCE.schema, table.schema, out);
    writeText(SOURCE.table, table.table, out);
  });
  const schema_id = written((out) => writeText(SOURCE.schema_id, table.id, out));
  // The same for all changes of a capture.
  let source: SourceIdentity | undefined;
  let identity: Uint8Array = place;
  return (change, arena) => {
    if (change.source !== source) {
      source = change.source;
      identity = written((out) => writeIdentity(change.source, out));
    }
    writeText(CHANGE.op, change.op, arena);
    if (change.before !== null) writeRow(CHANGE.before, change.before, kinds, arena);
    if (change.after !== null) writeRow(CHANGE.after, change.after, kinds, arena);

    arena.byte(CHANGE.source);
    const at = arena.gap(LONG);
    arena.bytes(identity);
    arena.byte(SOURCE.ts_us);
    writeInt64(change.transaction.ts_us, arena);
    arena.bytes(place);
    writeText(SOURCE.position, change.position, arena);
    arena.bytes(schema_id);
    for (const name in change.coordinates) {
      writeCoordinate(name, change.coordinates[name]!, arena);
    }
    if (change.snapshot !== undefined) writeText(SOURCE.snapshot, change.snapshot, arena);
    arena.fillUnsigned(at, LONG);

    arena.byte(CHANGE.ts_ms);
    writeInt64(change.ts_ms, arena);
    if (change.transaction.id !== "") writeTransaction(change, arena);
  };
}

function writeIdentity({ connector, name, version }: SourceIdentity, out: ByteArena): void {
  writeText(SOURCE.connector, connector, out);
  writeText(SOURCE.name, name, out);
  writeText(SOURCE.version, version, out);
}

function writeCoordinate(name: string, value: Coordinates[string], arena: ByteArena): void {
  arena.byte(SOURCE.coordinate);
  const at = arena.gap(SHORT);
  writeText(COORDINATE.name, name, arena);
  writeValue(COORDINATE.value, value, typeof value === "string" ? "string" : "integer", arena);
  arena.fillUnsigned(at, SHORT);
}

function writeTransaction(change: Change, arena: ByteArena): void {
  const { transaction, total_order, data_collection_order } = change;
  arena.byte(CHANGE.transaction);
  const at = arena.gap(SHORT);
  writeText(TRANSACTION.id, transaction.id, arena);
  arena.byte(TRANSACTION.total_order);
  writeInt64(total_order, arena);
  if (data_collection_order !== undefined) {
    arena.byte(TRANSACTION.data_collection_order);
    writeInt64(data_collection_order, arena);
  }
  arena.fillUnsigned(at, SHORT);
}

/** What `write` writes, as bytes of their own. */
function written(write: (out: ByteArena) => void): Uint8Array {
  scratch.reset();
  scratch.begin();
  write(scratch);
  return scratch.end().slice();
}

const scratch = new ByteArena();

/** Kind of a column's values; of an array's column that of its elements, for its values tell themselves. */
function writtenKind(column: Column): Kind {
  return column.kind === "array" ? column.element ?? "string" : column.kind;
}

function writeRow(tag: number, row: Row, kinds: readonly Kind[], arena: ByteArena): void {
  arena.byte(tag);
  const at = arena.gap(LONG);
  for (let index = 0; index < kinds.length; index++) {
    writeValue(ROW_VALUE, row[index], kinds[index]!, arena);
  }
  arena.fillUnsigned(at, LONG);
}

function writeValue(tag: number, value: Value | undefined, kind: Kind, arena: ByteArena): void {
  arena.byte(tag);
  const at = arena.gap(SHORT);
  if (value === null) writeBoolean(VALUE.null, true, arena);
  else if (value !== undefined) writeScalar(value, kind, arena);
  arena.fillUnsigned(at, SHORT);
}

function writeScalar(value: NonNullable<Value>, kind: Kind, arena: ByteArena): void {
  if (Array.isArray(value)) {
    arena.byte(VALUE.array);
    const at = arena.gap(LONG);
    for (const element of value) writeValue(ROW_VALUE, element, kind, arena);
    arena.fillUnsigned(at, LONG);
    return;
  }
  switch (kind) {
    case "integer":
      return writeInteger(value as number | bigint, arena);
    case "float32":
      arena.byte(VALUE.float32);
      FLOAT.setFloat32(0, value as number, true);
      return arena.span(FLOAT_BYTES, 0, 4);
    case "float64":
      arena.byte(VALUE.float64);
      FLOAT.setFloat64(0, value as number, true);
      return arena.bytes(FLOAT_BYTES);
    case "boolean":
      return writeBoolean(VALUE.boolean, value as boolean, arena);
    case "bytes": {
      const bytes = value as Uint8Array;
      arena.byte(VALUE.bytes);
      arena.unsigned(bytes.length);
      return arena.bytes(bytes);
    }
    default:
      writeText(VALUE.text, value as string, arena);
  }
}

const FLOAT_BYTES = new Uint8Array(8);
const FLOAT = new DataView(FLOAT_BYTES.buffer);

function writeText(tag: number, text: string, arena: ByteArena): void {
  arena.byte(tag);
  const at = arena.gap(SHORT);
  arena.text(text);
  arena.fillUnsigned(at, SHORT);
}

function writeBoolean(tag: number, value: boolean, arena: ByteArena): void {
  arena.byte(tag);
  arena.byte(value ? 1 : 0);
}

/** Twice as much is exact as a double. */
const ZIGZAG_LIMIT = 2 ** 52;

function writeInteger(value: number | bigint, arena: ByteArena): void {
  if (typeof value === "number" && value >= -ZIGZAG_LIMIT && value <= ZIGZAG_LIMIT) {
    arena.byte(VALUE.integer);
    arena.varint(value);
    return;
  }
  const bits = BigInt(value);
  const isUnsigned = bits >= 1n << 63n;
  arena.byte(isUnsigned ? VALUE.unsigned : VALUE.integer);
  writeBits(isUnsigned ? bits : bits << 1n ^ bits >> 63n, arena);
}

function writeInt64(value: number, arena: ByteArena): void {
  if (value >= 0) arena.unsigned(value);
  else writeBits(BigInt(value), arena);
}

/** The lowest 64 bits as a varint. */
function writeBits(value: bigint, arena: ByteArena): void {
  let rest = BigInt.asUintN(64, value);
  for (; rest >= 0x80n; rest >>= 7n) arena.byte(Number(rest & 0x7fn) | 0x80);
  arena.byte(Number(rest));
}

// Decoding ----------------------------------------------------------------------------------------

function decode(record: InRecord, schemas: SchemaLookup): Change {
  const message = read(record, true);
  const { source, table } = known = isKnown(message, schemas) ? known! : learn(message, schemas);
  const { op, before, after, total_order, collection_order, ts_ms, snapshot } = message;
  for (const row of [before, after]) {
    if (row === null || row.length === table.columns.length) continue;
    const why = `a row has ${row.length} values, its table ${table.columns.length} columns`;
    throw refusal(format.name, record, why);
  }
  const { id, ts_us, position, coordinates } = message;
  if (id !== transaction.id || ts_us !== transaction.ts_us) transaction = { id, ts_us };
  const change: { -readonly [Field in keyof Change]: Change[Field] } = {
    op: op as Op,
    source,
    table,
    before,
    after,
    position,
    coordinates,
    transaction,
    total_order,
    ts_ms,
  };
  if (collection_order !== 0) change.data_collection_order = collection_order;
  if (snapshot !== "") change.snapshot = snapshot as SnapshotMark;
  return change;
}

/** What most changes share with the one before. */
interface Known {
  readonly schemas: SchemaLookup;
  readonly schema_id: string;
  readonly source: SourceIdentity;
  readonly table: TableSchema;
}

let known: Known | undefined;
let transaction: Transaction = { id: "", ts_us: 0 };

/** Whether the message is of the same table. */
function isKnown(message: Message, schemas: SchemaLookup): boolean {
  if (known === undefined || known.schemas !== schemas) return false;
  const { source, table } = known;
  return message.schema_id === known.schema_id && message.name === source.name &&
    message.connector === source.connector && message.version === source.version &&
    message.table === table.table && message.schema === table.schema && message.db === table.db;
}

function learn(message: Message, schemas: SchemaLookup): Known {
  const { connector, name, version, db, schema, table, schema_id } = message;
  const last = known?.source;
  const isSame = last?.name === name && last.connector === connector && last.version === version;
  const source = isSame ? last : { connector: connector as Connector, name, version };
  return {
    schemas,
    schema_id,
    source,
    table: schemas(sourceId(source), db, schema, table, schema_id),
  };
}

/** Tells what `decode` would, without the rows. */
function glance(record: InRecord, schemas: SchemaLookup, told: Glance): boolean {
  const { memory, value_at = 0, value_length = -1 } = record;
  if (memory === undefined || value_length < 0) return false;
  let message: Message;
  try {
    message = readMessage(memory, value_at, value_at + value_length, false);
  } catch {
    return false;
  }
  const { op } = message;
  if (!isKnown(message, schemas) || !isOp(op) || !message.isAtPosition(memory)) return false;
  told.op = op;
  told.source = known!.source;
  told.memory = memory;
  told.position_at = message.position_at;
  told.ts_us = message.ts_us;
  return true;
}

function stamp(record: InRecord) {
  if (record.value === null) return undefined;
  const message = read(record, false);
  return { source: sourceId(message), position: message.position };
}

/** The message that a record holds. */
function read(record: InRecord, with_rows: boolean): Message {
  const { value } = record;
  if (value === null) throw refusal(format.name, record, "it has no value");
  let message: Message;
  try {
    message = readMessage(value, 0, value.length, with_rows);
  } catch (error) {
    throw refusal(format.name, record, "it is not a list_sync.v1.Change", error);
  }
  const { op } = message;
  if (!message.isAtPosition(value)) {
    throw refusal(format.name, record, `its position is ${shown(message.position)}`);
  }
  if (!isOp(op)) throw refusal(format.name, record, unknownOp(shown(op)));
  return message;
}

/** A `Change` of change.proto: what is not set is empty, or 0. */
class Message {
  op = "";
  before: Row | null = null;
  after: Row | null = null;
  ts_ms = 0;
  id = "";
  total_order = 0;
  collection_order = 0;
  connector = "";
  name = "";
  version = "";
  ts_us = 0;
  db = "";
  schema: string | null = null;
  table = "";
  /** Where the position's text begins in the bytes that were read. */
  position_at = 0;
  position_length = 0;
  schema_id = "";
  readonly coordinates: Record<string, Coordinates[string]> = {};
  snapshot = "";

  /** As long as no other message is read. */
  get position(): string {
    return input.textAt(this.position_at, this.position_length);
  }

  /** Whether it has a position; `bytes` are those that it was read from. */
  isAtPosition(bytes: Uint8Array): boolean {
    return this.position_length === POSITION_LENGTH && isPositionAt(bytes, this.position_at);
  }
}

/** One message is read at a time. */
const input = new ProtobufReader();

const repeated = {
  connector: new RepeatedText(),
  name: new RepeatedText(),
  version: new RepeatedText(),
  db: new RepeatedText(),
  schema: new RepeatedText(),
  table: new RepeatedText(),
  schema_id: new RepeatedText(),
  id: new RepeatedText(),
  /** Names of the first coordinate, the second and so on: a source has up to five. */
  coordinates: Array.from({ length: 8 }, () => new RepeatedText()),
};

/** Reads the message from `at` to `end`, its rows and coordinates if they are wanted. Throws RangeError. */
function readMessage(bytes: Uint8Array, at: number, end: number, with_rows: boolean): Message {
  const message = new Message();
  input.reset(bytes, at, end);
  while (input.more) {
    const tag = input.tag();
    if (tag === CHANGE.op) message.op = input.text();
    else if (tag === CHANGE.before && with_rows) message.before = readRow(0);
    else if (tag === CHANGE.after && with_rows) message.after = readRow(0);
    else if (tag === CHANGE.source) readSource(message, with_rows);
    else if (tag === CHANGE.ts_ms) message.ts_ms = Number(input.int64());
    else if (tag === CHANGE.transaction) readTransaction(message);
    else input.skip(tag);
  }
  return message;
}

function readSource(message: Message, with_coordinates: boolean): void {
  const outer = input.enter();
  let coordinates = 0;
  while (input.more) {
    const tag = input.tag();
    switch (tag) {
      case SOURCE.connector:
        message.connector = repeated.connector.read(input);
        break;
      case SOURCE.name:
        message.name = repeated.name.read(input);
        break;
      case SOURCE.version:
        message.version = repeated.version.read(input);
        break;
      case SOURCE.ts_us:
        message.ts_us = Number(input.int64());
        break;
      case SOURCE.db:
        message.db = repeated.db.read(input);
        break;
      case SOURCE.schema:
        message.schema = repeated.schema.read(input);
        break;
      case SOURCE.table:
        message.table = repeated.table.read(input);
        break;
      case SOURCE.position:
        message.position_length = input.length();
        message.position_at = input.pass(message.position_length);
        break;
      case SOURCE.schema_id:
        message.schema_id = repeated.schema_id.read(input);
        break;
      case SOURCE.snapshot:
        message.snapshot = input.text();
        break;
      case SOURCE.coordinate:
        if (with_coordinates) readCoordinate(message, coordinates++);
        else input.skip(tag);
        break;
      default:
        input.skip(tag);
    }
  }
  input.leave(outer);
}

function readCoordinate({ coordinates }: Message, index: number): void {
  const outer = input.enter();
  let name = "";
  let value: Value | undefined;
  while (input.more) {
    const tag = input.tag();
    if (tag === COORDINATE.name) name = repeated.coordinates[index]?.read(input) ?? input.text();
    else if (tag === COORDINATE.value) value = readValue(0);
    else input.skip(tag);
  }
  input.leave(outer);
  coordinates[name] = (value ?? null) as Coordinates[string];
}

function readTransaction(message: Message): void {
  const outer = input.enter();
  while (input.more) {
    const tag = input.tag();
    if (tag === TRANSACTION.id) message.id = repeated.id.read(input);
    else if (tag === TRANSACTION.total_order) message.total_order = Number(input.int64());
    else if (tag === TRANSACTION.data_collection_order) {
      message.collection_order = Number(input.int64());
    } else input.skip(tag);
  }
  input.leave(outer);
}

function readRow(depth: number): Value[] {
  const outer = input.enter();
  const row: (Value | undefined)[] = [];
  while (input.more) {
    const tag = input.tag();
    if (tag === ROW_VALUE) row.push(readValue(depth));
    else input.skip(tag);
  }
  input.leave(outer);
  return row as Value[];
}

/** PostgreSQL knows arrays of up to 6 dimensions; deeper nesting is not ours. */
const MAX_DEPTH = 8;

function readValue(depth: number): Value | undefined {
  const outer = input.enter();
  let value: Value | undefined;
  while (input.more) {
    const tag = input.tag();
    switch (tag) {
      case VALUE.null:
        input.skip(tag);
        value = null;
        break;
      case VALUE.integer:
        value = input.sint64();
        break;
      case VALUE.unsigned:
        value = input.uint64();
        break;
      case VALUE.float32:
        value = input.float();
        break;
      case VALUE.float64:
        value = input.double();
        break;
      case VALUE.boolean:
        value = input.boolean();
        break;
      case VALUE.text:
        value = input.text();
        break;
      case VALUE.bytes:
        value = input.bytes();
        break;
      case VALUE.array:
        if (depth === MAX_DEPTH) throw new RangeError(`arrays nest deeper than ${MAX_DEPTH}`);
        value = readRow(depth + 1);
        break;
      default:
        input.skip(tag);
    }
  }
  input.leave(outer);
  return value;
}
