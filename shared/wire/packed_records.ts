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

  /** Ends it behind its value. */
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

/** Records of one partition, in order: where they stand in an arena, and their times. */
export class PackedRecords {
  readonly #chunks: Uint8Array[] = [];
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #timestamps_ms: number[] = [];

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
  push({ values }: RecordArena, timestamp_ms: number): void {
    this.#chunks.push(values.chunk);
    this.#starts.push(values.start);
    this.#ends.push(values.start + values.length);
    this.#timestamps_ms.push(timestamp_ms);
  }

  get length(): number {
    return this.#starts.length;
  }

  /** The record at an index, read back; its offset is the index. */
  at(index: number): RecordRead | undefined {
    if (index < 0 || index >= this.length) return undefined;
    const { bytes, start, end } = this.span(index);
    return readRecord(bytes.subarray(start, end), index, this.timestamp_ms(index));
  }

  /** Where key, value and headers of a record stand, with their lengths. */
  span(
    index: number,
  ): { readonly bytes: Uint8Array; readonly start: number; readonly end: number } {
    return {
      bytes: this.#chunks[index]!,
      start: this.#starts[index]!,
      end: this.#ends[index]!,
    };
  }

  timestamp_ms(index: number): number {
    return this.#timestamps_ms[index]!;
  }

  /** The records from an index on. */
  slice(from: number): PackedRecords {
    const rest = new PackedRecords();
    for (let index = from; index < this.length; index++) {
      rest.#chunks.push(this.#chunks[index]!);
      rest.#starts.push(this.#starts[index]!);
      rest.#ends.push(this.#ends[index]!);
      rest.#timestamps_ms.push(this.#timestamps_ms[index]!);
    }
    return rest;
  }
}
