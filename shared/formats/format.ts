/** How changes are written on Kafka. One file per format implements it. */
import type { Change, Op, SourceIdentity, TableSchema } from "../change.ts";
import type { InRecord } from "../kafka/port.ts";
import type { ByteArena } from "../wire/byte_arena.ts";

/** Finds the table definition that a record names; throws RecordError when nobody knows it. */
export type SchemaLookup = (
  source: string,
  db: string,
  schema: string | null,
  table: string,
  id: string,
) => TableSchema;

/** A source and a position in it, read from a record without decoding the rows. */
export interface Stamp {
  /** `connector/name`. */
  readonly source: string;
  readonly position: string;
}

/** What is told of a change to who does not look at its rows; the next one overwrites it. */
export interface Glance {
  op: Op;
  source: SourceIdentity;
  /** The position's text is the bytes from `position_at` on, as long as the record's memory is good. */
  memory: Uint8Array;
  position_at: number;
  /** Commit time, microseconds since the Unix epoch. */
  ts_us: number;
}

/** A format. Stateless but for caches per table definition. */
export interface Format {
  readonly name: string;
  /** Writes a change as the value of a record. Its key is the same in all formats (key.ts). */
  encode(change: Change, arena: ByteArena): void;
  /** Throws RecordError, naming the offset, when the record is not of this format. */
  decode(record: InRecord, schemas: SchemaLookup): Change;
  /**
   * Tells of a change what `decode` would, without looking at its rows; false, and nothing is told:
   * this one must be decoded. Never throws.
   */
  glance?(record: InRecord, schemas: SchemaLookup, told: Glance): boolean;
  /** Source and position of a record; undefined for records without a value. Throws RecordError. */
  stamp(record: InRecord): Stamp | undefined;
}

/** Key of a truncate's record: no row has an empty key. */
export const TRUNCATE_KEY = "{}";

/** `connector/name`: how a source is named beside its positions. */
export function sourceId(source: { connector: string; name: string }): string {
  return `${source.connector}/${source.name}`;
}
