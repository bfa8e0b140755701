/**
 * Records packed into few large chunks, as they stand in a record batch. An object for each would
 * outlive the young generation: moving and freeing them took 2 µs a change, a quarter of all that a
 * capture does (measured).
 */
import { ByteArena } from "./byte_arena.ts";
import { readRecord, type RecordRead, type RecordToWrite } from "./record_batch.ts";

/** Widths that most lengths take: keys are below 64 bytes, values below 8 KiB. */
const KEY_WIDTH = 1;
const VALUE_WIDTH = 2;

/** Writes records; each is `begin`, its value into `values`, `end`. Holds as much as was written since `reset`. */
export class RecordArena {
  readonly values = new ByteArena();
  #value_at = 0;

  /** Begins a record. Text is written as UTF-8. */
  begin(key: RecordToWrite["key"]): void {
    const { values } = this;
    values.begin();
    this.#field(key, KEY_WIDTH);
    this.#value_at = values.gap(VALUE_WIDTH);
  }

  /** Ends it after its value. */
  end(headers: RecordToWrite["headers"] = []): void {
    this.values.fill(this.#value_at, VALUE_WIDTH);
    this.#headers(headers);
  }

  /** A whole record. */
  add({ key, value, headers = [] }: RecordToWrite): void {
    this.values.begin();
    this.#field(key, KEY_WIDTH);
    this.#field(value, VALUE_WIDTH);
    this.#headers(headers);
  }

  /** Bytes of the record so far. */
  get length(): number {
    return this.values.length;
  }

  /** Begins anew in the same memory: what was written before is no longer good. */
  reset(): void {
    this.values.reset();
  }

  #headers(headers: NonNullable<RecordToWrite["headers"]>): void {
    this.values.varint(headers.length);
    for (const [name, value] of headers) {
      this.#field(name, KEY_WIDTH);
      this.#field(value, KEY_WIDTH);
    }
  }

  #field(value: string | Uint8Array | null, width: number): void {
    const { values } = this;
    if (value === null) return values.varint(-1);
    const at = values.gap(width);
    if (typeof value === "string") values.text(value);
    else values.bytes(value);
    values.fill(at, width);
  }
}

/** Numbers that a record has in the index: its chunk, and where it begins and ends there. */
const PLACE = 3;
/** Records that there is room for at first. */
const FIRST_ROOM = 32;

/** Records of one partition, in order: where they stand in an arena, and their times. */
export class PackedRecords {
  readonly #chunks: Uint8Array[] = [];
  /** Outside the heap, as the times: lists of numbers outlived the young generation too. */
  #places = new Uint32Array(PLACE * FIRST_ROOM);
  #timestamps_ms = new Float64Array(FIRST_ROOM);
  #length = 0;

  /** The records of any list, packed. */
  static of(records: { readonly length: number; at(index: number): RecordToWrite | undefined }) {
    if (records instanceof PackedRecords) return records;
    const arena = new RecordArena();
    const packed = new PackedRecords();
    for (let index = 0; index < records.length; index++) {
      const record = records.at(index)!;
      arena.add(record);
      packed.push(arena, record.timestamp_ms);
    }
    return packed;
  }

  /** Adds the record that was written last; the arena may be reset only when this is done with. */
  push({ values: { chunk, start, length } }: RecordArena, timestamp_ms: number): void {
    if (this.#chunks.at(-1) !== chunk) this.#chunks.push(chunk);
    const index = this.#length++;
    if (index === this.#timestamps_ms.length) this.#grow();
    const at = PLACE * index;
    this.#places[at] = this.#chunks.length - 1;
    this.#places[at + 1] = start;
    this.#places[at + 2] = start + length;
    this.#timestamps_ms[index] = timestamp_ms;
  }

  get length(): number {
    return this.#length;
  }

  /** The record at an index, read back; its offset is the index. */
  at(index: number): RecordRead | undefined {
    if (index < 0 || index >= this.#length) return undefined;
    const { bytes, start, end } = this.span(index);
    return readRecord(bytes.subarray(start, end), index, this.timestampMs(index));
  }

  /** Where key, value and headers of a record stand, with their lengths. */
  span(
    index: number,
  ): { readonly bytes: Uint8Array; readonly start: number; readonly end: number } {
    const at = PLACE * index;
    return {
      bytes: this.#chunks[this.#places[at]!]!,
      start: this.#places[at + 1]!,
      end: this.#places[at + 2]!,
    };
  }

  timestampMs(index: number): number {
    return this.#timestamps_ms[index]!;
  }

  /** The records from an index on. */
  slice(from: number): PackedRecords {
    const rest = new PackedRecords();
    rest.#chunks.push(...this.#chunks);
    rest.#places = this.#places.slice(PLACE * from);
    rest.#timestamps_ms = this.#timestamps_ms.slice(from);
    rest.#length = Math.max(0, this.#length - from);
    return rest;
  }

  #grow(): void {
    const room = 2 * this.#timestamps_ms.length + FIRST_ROOM;
    const places = new Uint32Array(PLACE * room);
    places.set(this.#places);
    this.#places = places;
    const timestamps_ms = new Float64Array(room);
    timestamps_ms.set(this.#timestamps_ms);
    this.#timestamps_ms = timestamps_ms;
  }
}
