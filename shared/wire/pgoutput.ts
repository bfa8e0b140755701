/**
 * Messages of the output plugin pgoutput, protocol version 1 (documentation, "Logical Replication
 * Message Formats"). Pure: bytes in, plain data out; whatever the bytes are, it answers or throws
 * RecordError.
 */
import { RecordError } from "../errors.ts";
import type { Value } from "../change.ts";
import type { WireReader } from "./postgres_reader.ts";
import type { Conversion } from "./postgres_value.ts";

/** One column of a relation message. */
export interface RelationColumn {
  readonly name: string;
  /** Whether old rows carry it: part of the replica identity. */
  readonly identity: boolean;
  readonly type_oid: number;
  readonly type_modifier: number;
}

/** A table as it was when the following rows were written. */
export interface Relation {
  readonly kind: "relation";
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  /** `d` default, `n` nothing, `f` full, `i` index. */
  readonly replica_identity: string;
  readonly columns: readonly RelationColumn[];
}

/** Values in column order; `undefined`: unchanged and stored out of line, so not in the log. */
export type Tuple = (Value | undefined)[];

/** What one message says. `skipped`: nothing that a capture needs, or a row of a table not wanted. */
export type Message =
  | {
    readonly kind: "begin";
    /** LSN of the transaction's commit record. */
    readonly final_lsn: bigint;
    readonly commit_us: number;
    readonly xid: number;
  }
  | { readonly kind: "commit"; readonly commit_lsn: bigint; readonly end_lsn: bigint }
  | Relation
  | { readonly kind: "insert"; readonly relation_id: number; readonly after: Tuple }
  | {
    readonly kind: "update";
    readonly relation_id: number;
    /** The old row, or only its identity (`key_only`: the other values are null here); null: unchanged. */
    readonly before: Tuple | null;
    readonly key_only: boolean;
    readonly after: Tuple;
  }
  | {
    readonly kind: "delete";
    readonly relation_id: number;
    readonly before: Tuple;
    readonly key_only: boolean;
  }
  | { readonly kind: "truncate"; readonly relation_ids: readonly number[] }
  | { readonly kind: "skipped" };

/** How a column's values are read; null: it is left out of rows. */
export type ColumnConversion = Conversion | null;

/** The conversions of a relation's columns in order; null: its rows are not wanted. Throws RecordError. */
export type Conversions = (relation_id: number) => readonly ColumnConversion[] | null;

const SKIPPED: Message = { kind: "skipped" };

/** Reads one whole message. */
export function decodePgoutput(reader: WireReader, conversions: Conversions): Message {
  const letter = reader.u8();
  switch (letter) {
    case 0x49: // I
      return insert(reader, conversions);
    case 0x55: // U
      return update(reader, conversions);
    case 0x44: // D
      return remove(reader, conversions);
    case 0x42: // B
      return begin(reader);
    case 0x43: // C
      return commit(reader);
    case 0x52: // R
      return relation(reader);
    case 0x54: // T
      return truncate(reader);
    case 0x59: // Y: a type's name; the catalogue says more
    case 0x4f: // O: where a transaction came from first
    case 0x4d: // M: a message written by pg_logical_emit_message
      return SKIPPED;
    default:
      throw new RecordError(
        `pgoutput sent a message of an unknown type: byte ${letter}; known are B C D I M O R T U Y`,
      );
  }
}

function begin(reader: WireReader): Message {
  const message: Message = {
    kind: "begin",
    final_lsn: reader.u64(),
    commit_us: reader.timeUs(),
    xid: reader.u32(),
  };
  reader.finish("begin");
  return message;
}

function commit(reader: WireReader): Message {
  reader.u8(); // flags, none in use
  const message: Message = { kind: "commit", commit_lsn: reader.u64(), end_lsn: reader.u64() };
  reader.timeUs();
  reader.finish("commit");
  return message;
}

function relation(reader: WireReader): Relation {
  const id = reader.u32();
  const schema = reader.cstring() || "pg_catalog"; // empty stands for it
  const table = reader.cstring();
  const replica_identity = String.fromCharCode(reader.u8());
  const columns: RelationColumn[] = [];
  for (let left = reader.u16(); left > 0; left--) {
    const flags = reader.u8();
    columns.push({
      name: reader.cstring(),
      identity: (flags & 1) !== 0,
      type_oid: reader.u32(),
      type_modifier: reader.i32(),
    });
  }
  reader.finish("relation");
  return { kind: "relation", id, schema, table, replica_identity, columns };
}

function insert(reader: WireReader, conversions: Conversions): Message {
  const relation_id = reader.u32();
  const columns = conversions(relation_id);
  if (columns === null) return SKIPPED;
  expectNew(reader.u8());
  const after = tuple(reader, columns);
  reader.finish("insert");
  return { kind: "insert", relation_id, after };
}

function update(reader: WireReader, conversions: Conversions): Message {
  const relation_id = reader.u32();
  const columns = conversions(relation_id);
  if (columns === null) return SKIPPED;
  let part = reader.u8();
  const key_only = part === 0x4b; // K
  let before: Tuple | null = null;
  if (key_only || part === 0x4f) { // O
    before = tuple(reader, columns);
    part = reader.u8();
  }
  expectNew(part);
  const after = tuple(reader, columns);
  reader.finish("update");
  return { kind: "update", relation_id, before, key_only, after };
}

function remove(reader: WireReader, conversions: Conversions): Message {
  const relation_id = reader.u32();
  const columns = conversions(relation_id);
  if (columns === null) return SKIPPED;
  const part = reader.u8();
  if (part !== 0x4b && part !== 0x4f) {
    throw new RecordError(`pgoutput sent a delete with part ${part} where K or O belongs`);
  }
  const before = tuple(reader, columns);
  reader.finish("delete");
  return { kind: "delete", relation_id, before, key_only: part === 0x4b };
}

function truncate(reader: WireReader): Message {
  const count = reader.u32();
  reader.u8(); // CASCADE and RESTART IDENTITY: the tables are all named anyway
  reader.need(count * 4);
  const relation_ids: number[] = [];
  for (let left = count; left > 0; left--) relation_ids.push(reader.u32());
  reader.finish("truncate");
  return { kind: "truncate", relation_ids };
}

function expectNew(part: number): void {
  if (part !== 0x4e) { // N
    throw new RecordError(`pgoutput sent a row with part ${part} where N belongs`);
  }
}

function tuple(reader: WireReader, columns: readonly ColumnConversion[]): Tuple {
  const count = reader.u16();
  if (count !== columns.length) {
    throw new RecordError(
      `pgoutput sent a row of ${count} columns for a table of ${columns.length} columns`,
    );
  }
  const row: Tuple = [];
  for (let index = 0; index < count; index++) {
    const conversion = columns[index]!;
    const value = cell(reader, conversion);
    if (conversion !== null) row.push(value);
  }
  return row;
}

function cell(reader: WireReader, conversion: ColumnConversion): Value | undefined {
  switch (reader.u8()) {
    case 0x74: { // t: text
      const length = reader.u32();
      reader.need(length);
      const from = reader.at;
      reader.at = from + length;
      return conversion?.fromBytes(reader.bytes, from, from + length);
    }
    case 0x6e: // n: null
      return null;
    case 0x75: // u: unchanged, stored out of line
      return undefined;
  }
  throw new RecordError(
    `pgoutput sent a value of an unknown form: byte ${reader.bytes[reader.at - 1]};` +
      ` known are t, n and u`,
  );
}
