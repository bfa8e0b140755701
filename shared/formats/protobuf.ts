/** Protobuf: the messages of change.proto, values typed as in memory, columns in table order. */
import protobuf from "protobufjs/minimal.js";
import type {
  Change,
  Column,
  Coordinates,
  Kind,
  Op,
  Row,
  SnapshotMark,
  SourceIdentity,
  TableSchema,
  Value,
} from "../change.ts";
import { RecordError } from "../errors.ts";
import type { InRecord } from "../kafka/port.ts";
import { parsePosition } from "../position.ts";
import { type Format, type SchemaLookup, sourceId } from "./format.ts";
import type { ByteArena } from "../wire/byte_arena.ts";

/** The format `protobuf`. */
export const format: Format = { name: "protobuf", encode, decode, stamp };

type Writer = protobuf.Writer;
type Reader = protobuf.Reader;

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
  const { source, table, transaction } = change;
  const out = protobuf.Writer.create();
  out.uint32(CHANGE.op).string(change.op);
  if (change.before !== null) writeRow(out, CHANGE.before, change.before, kindsOf(table));
  if (change.after !== null) writeRow(out, CHANGE.after, change.after, kindsOf(table));

  out.uint32(CHANGE.source).fork();
  out.uint32(SOURCE.connector).string(source.connector);
  out.uint32(SOURCE.name).string(source.name);
  out.uint32(SOURCE.version).string(source.version);
  out.uint32(SOURCE.ts_us).int64(transaction.ts_us);
  out.uint32(SOURCE.db).string(table.db);
  if (table.schema !== null) out.uint32(SOURCE.schema).string(table.schema);
  out.uint32(SOURCE.table).string(table.table);
  out.uint32(SOURCE.position).string(change.position);
  out.uint32(SOURCE.schema_id).string(table.id);
  for (const name in change.coordinates) {
    out.uint32(SOURCE.coordinate).fork().uint32(COORDINATE.name).string(name);
    const value = change.coordinates[name]!;
    writeValue(out, COORDINATE.value, value, typeof value === "string" ? "string" : "integer");
    out.ldelim();
  }
  if (change.snapshot !== undefined) out.uint32(SOURCE.snapshot).string(change.snapshot);
  out.ldelim();

  out.uint32(CHANGE.ts_ms).int64(change.ts_ms);
  if (transaction.id !== "") {
    out.uint32(CHANGE.transaction).fork();
    out.uint32(TRANSACTION.id).string(transaction.id);
    out.uint32(TRANSACTION.total_order).int64(change.total_order);
    if (change.data_collection_order !== undefined) {
      out.uint32(TRANSACTION.data_collection_order).int64(change.data_collection_order);
    }
    out.ldelim();
  }
  arena.bytes(out.finish());
}

const kinds = new WeakMap<TableSchema, Kind[]>();

/** Kinds of the columns; of an array's column that of its elements, for its values tell themselves. */
function kindsOf(table: TableSchema): Kind[] {
  let found = kinds.get(table);
  if (found === undefined) {
    found = table.columns.map((column: Column) =>
      column.kind === "array" ? column.element ?? "string" : column.kind
    );
    kinds.set(table, found);
  }
  return found;
}

function writeRow(out: Writer, tag: number, row: Row, kinds: readonly Kind[]): void {
  out.uint32(tag).fork();
  for (let index = 0; index < kinds.length; index++) {
    writeValue(out, ROW_VALUE, row[index], kinds[index]!);
  }
  out.ldelim();
}

function writeValue(out: Writer, tag: number, value: Value | undefined, kind: Kind): void {
  out.uint32(tag).fork();
  if (value === null) out.uint32(VALUE.null).bool(true);
  else if (value !== undefined) writeScalar(out, value, kind);
  out.ldelim();
}

function writeScalar(out: Writer, value: NonNullable<Value>, kind: Kind): void {
  if (Array.isArray(value)) {
    out.uint32(VALUE.array).fork();
    for (const element of value) writeValue(out, ROW_VALUE, element, kind);
    out.ldelim();
    return;
  }
  switch (kind) {
    case "integer":
      return writeInteger(out, value as number | bigint);
    case "float32":
      out.uint32(VALUE.float32).float(value as number);
      return;
    case "float64":
      out.uint32(VALUE.float64).double(value as number);
      return;
    case "boolean":
      out.uint32(VALUE.boolean).bool(value as boolean);
      return;
    case "bytes":
      out.uint32(VALUE.bytes).bytes(value as Uint8Array);
      return;
    default:
      out.uint32(VALUE.text).string(value as string);
  }
}

function writeInteger(out: Writer, value: number | bigint): void {
  if (typeof value === "number") {
    out.uint32(VALUE.integer).sint64(value);
    return;
  }
  const bits = BigInt.asUintN(64, value);
  const words = { low: Number(bits & 0xffff_ffffn) | 0, high: Number(bits >> 32n) | 0 };
  if (value >= 1n << 63n) {
    out.uint32(VALUE.unsigned).uint64({ ...words, unsigned: true } as protobuf.Long);
  } else {
    out.uint32(VALUE.integer).sint64({ ...words, unsigned: false } as protobuf.Long);
  }
}

// Decoding ----------------------------------------------------------------------------------------

function decode(record: InRecord, schemas: SchemaLookup): Change {
  const message = read(record, true);
  const { source } = message;
  const table = schemas(sourceId(source), source.db, source.schema, source.table, source.schema_id);
  for (const row of [message.before, message.after]) {
    if (row !== null && row.length !== table.columns.length) {
      throw refusal(
        record,
        `a row has ${row.length} values, its table ${table.columns.length} columns`,
      );
    }
  }
  return {
    op: message.op as Op,
    source: { connector: source.connector, name: source.name, version: source.version },
    table,
    before: message.before,
    after: message.after,
    position: source.position,
    coordinates: source.coordinates,
    transaction: { id: message.id, ts_us: source.ts_us },
    total_order: message.total_order,
    ...message.collection_order === 0 ? {} : { data_collection_order: message.collection_order },
    ts_ms: message.ts_ms,
    ...source.snapshot === "" ? {} : { snapshot: source.snapshot as SnapshotMark },
  };
}

function stamp(record: InRecord) {
  if (record.value === null) return undefined;
  const { source } = read(record, false);
  return { source: sourceId(source), position: source.position };
}

interface Source extends SourceIdentity {
  version: string;
  name: string;
  connector: SourceIdentity["connector"];
  ts_us: number;
  db: string;
  schema: string | null;
  table: string;
  position: string;
  schema_id: string;
  coordinates: Coordinates;
  /** Empty: of the stream. */
  snapshot: string;
}

interface Message {
  op: string;
  before: Row | null;
  after: Row | null;
  source: Source;
  ts_ms: number;
  id: string;
  total_order: number;
  /** 0: not told. */
  collection_order: number;
}

function read(record: InRecord, rows: boolean): Message {
  if (record.value === null) throw refusal(record, "it has no value");
  let message: Message;
  try {
    message = readChange(protobuf.Reader.create(record.value), rows);
    parsePosition(message.source.position);
  } catch (error) {
    throw refusal(record, "it is not a list_sync.v1.Change", error);
  }
  if (!/^[crudt]$/.test(message.op)) {
    throw refusal(record, `its op is ${JSON.stringify(message.op)}, not one of c, u, d, r, t`);
  }
  return message;
}

function refusal(record: InRecord, why: string, cause?: unknown): RecordError {
  return new RecordError(
    `Cannot read the record at offset ${record.offset} as a change in format protobuf: ${why}`,
    { cure: "set the job's `format` to the one that the topic was written with", cause },
  );
}

function readChange(input: Reader, rows: boolean): Message {
  const message: Message = {
    op: "",
    before: null,
    after: null,
    source: emptySource(),
    ts_ms: 0,
    id: "",
    total_order: 0,
    collection_order: 0,
  };
  fields(input, input.len, (tag) => {
    if (tag === CHANGE.op) message.op = input.string();
    else if (tag === CHANGE.before && rows) message.before = readRow(input);
    else if (tag === CHANGE.after && rows) message.after = readRow(input);
    else if (tag === CHANGE.source) message.source = readSource(input);
    else if (tag === CHANGE.ts_ms) message.ts_ms = Number(input.int64());
    else if (tag === CHANGE.transaction) {
      fields(input, input.uint32() + input.pos, (inner) => {
        if (inner === TRANSACTION.id) message.id = input.string();
        else if (inner === TRANSACTION.total_order) message.total_order = Number(input.int64());
        else if (inner === TRANSACTION.data_collection_order) {
          message.collection_order = Number(input.int64());
        } else return false;
        return true;
      });
    } else return false;
    return true;
  });
  return message;
}

function emptySource(): Source {
  return {
    connector: "mysql",
    name: "",
    version: "",
    ts_us: 0,
    db: "",
    schema: null,
    table: "",
    position: "",
    schema_id: "",
    coordinates: {},
    snapshot: "",
  };
}

/** Calls `take` for each field up to `end`; a field that it does not take is skipped. */
function fields(input: Reader, end: number, take: (tag: number) => boolean): void {
  if (end > input.len) throw new RangeError(`a message ends at byte ${end} of ${input.len}`);
  while (input.pos < end) {
    const tag = input.uint32();
    if (!take(tag)) input.skipType(tag & 7);
  }
  if (input.pos !== end) throw new RangeError(`a field runs over the end of its message at ${end}`);
}

function readSource(input: Reader): Source {
  const source = emptySource();
  const coordinates: Record<string, string | number | bigint | null> = {};
  fields(input, input.uint32() + input.pos, (tag) => {
    switch (tag) {
      case SOURCE.connector:
        source.connector = input.string() as SourceIdentity["connector"];
        break;
      case SOURCE.name:
        source.name = input.string();
        break;
      case SOURCE.version:
        source.version = input.string();
        break;
      case SOURCE.ts_us:
        source.ts_us = Number(input.int64());
        break;
      case SOURCE.db:
        source.db = input.string();
        break;
      case SOURCE.schema:
        source.schema = input.string();
        break;
      case SOURCE.table:
        source.table = input.string();
        break;
      case SOURCE.position:
        source.position = input.string();
        break;
      case SOURCE.schema_id:
        source.schema_id = input.string();
        break;
      case SOURCE.snapshot:
        source.snapshot = input.string();
        break;
      case SOURCE.coordinate:
        readCoordinate(input, coordinates);
        break;
      default:
        return false;
    }
    return true;
  });
  return { ...source, coordinates };
}

function readCoordinate(
  input: Reader,
  coordinates: Record<string, string | number | bigint | null>,
): void {
  let name = "";
  let value: Value | undefined;
  fields(input, input.uint32() + input.pos, (tag) => {
    if (tag === COORDINATE.name) name = input.string();
    else if (tag === COORDINATE.value) value = readValue(input, 0);
    else return false;
    return true;
  });
  coordinates[name] = (value ?? null) as string | number | bigint | null;
}

function readRow(input: Reader, depth = 0): Value[] {
  const row: (Value | undefined)[] = [];
  fields(input, input.uint32() + input.pos, (tag) => {
    if (tag !== ROW_VALUE) return false;
    row.push(readValue(input, depth));
    return true;
  });
  return row as Value[];
}

/** PostgreSQL knows arrays of up to 6 dimensions; deeper nesting is not ours. */
const MAX_DEPTH = 8;

function readValue(input: Reader, depth: number): Value | undefined {
  let value: Value | undefined;
  fields(input, input.uint32() + input.pos, (tag) => {
    switch (tag) {
      case VALUE.null:
        input.bool();
        value = null;
        break;
      case VALUE.integer:
        value = integer(input.sint64() as protobuf.Long);
        break;
      case VALUE.unsigned:
        value = integer(input.uint64() as protobuf.Long);
        break;
      case VALUE.float32:
        value = input.float();
        break;
      case VALUE.float64:
        value = input.double();
        break;
      case VALUE.boolean:
        value = input.bool();
        break;
      case VALUE.text:
        value = input.string();
        break;
      case VALUE.bytes:
        value = new Uint8Array(input.bytes());
        break;
      case VALUE.array:
        if (depth === MAX_DEPTH) throw new RangeError(`arrays nest deeper than ${MAX_DEPTH}`);
        value = readRow(input, depth + 1);
        break;
      default:
        return false;
    }
    return true;
  });
  return value;
}

function integer(value: protobuf.Long): number | bigint {
  const { low, high, unsigned } = value;
  const number = (unsigned ? high >>> 0 : high) * 2 ** 32 + (low >>> 0);
  if (Number.isSafeInteger(number)) return number;
  const bits = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0);
  return unsigned ? bits : BigInt.asIntN(64, bits);
}
