/**
 * Kafka's record batch, magic 2: the bytes that a producer sends and a fetch brings.
 * Layout: https://kafka.apache.org/documentation/#recordbatch
 */
import { crc32c } from "./crc32c.ts";
import type { PackedRecords } from "./packed_records.ts";
import { MAX_LENGTH_WIDTH, writeVarint } from "./varint.ts";

/** A record to write. Text is written as UTF-8. */
export interface RecordToWrite {
  readonly key: string | Uint8Array | null;
  readonly value: string | Uint8Array | null;
  /** Milliseconds since the Unix epoch. */
  readonly timestamp_ms: number;
  readonly headers?: readonly (readonly [name: string, value: string | Uint8Array])[];
}

/** A record as read; its bytes are views into the batch, made when they are asked for. */
export interface RecordRead {
  readonly offset: number;
  /** Bytes of key and value. */
  readonly size: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestamp_ms: number;
  readonly headers: readonly (readonly [name: string, value: Uint8Array])[];
  /** The memory that the value stands in. */
  readonly memory: Uint8Array;
  /** Where it begins there. */
  readonly value_at: number;
  /** Its bytes; -1: it is null. */
  readonly value_length: number;
}

/** The idempotent producer that a batch belongs to. */
export interface ProducerStamp {
  readonly producer_id: bigint;
  readonly producer_epoch: number;
  /** Sequence number of the first record. */
  readonly base_sequence: number;
}

/** What the writer needs from outside: a checksum and a codec. */
export interface BatchCodec {
  crc32c(bytes: Uint8Array): number;
  /** Number of the codec in a batch's attributes; 0: not compressed. */
  readonly compression_id: number;
  /** May put what it makes into memory that `take` gives. */
  compress(bytes: Uint8Array, take: (length: number) => Uint8Array): Uint8Array;
}

/** A batch as written; a broker takes it once it is stamped. */
export interface WrittenBatch {
  /** The batch's own copy: it outlives the writer's buffer. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** How many records it holds. */
  readonly count: number;
}

const HEADER_BYTES = 61;
/** Base offset and batch length, which the length does not count. */
const LOG_OVERHEAD = 12;
const CRC_AT = 17;
const ATTRIBUTES_AT = 21;
const CODEC_MASK = 0b111;
const LOG_APPEND_TIME = 0b1000;
const CONTROL = 0b100000;
/** Length, attributes, timestamp and offset delta of a record at their longest. */
const RECORD_OVERHEAD = MAX_LENGTH_WIDTH + 1 + 8 + MAX_LENGTH_WIDTH;

/** Bounds what a batch takes of memory before compression, here and where it is read. */
const MOST_TIMES = 4;
/** Batches are not compressed alike. */
const LIKELY = 0.8;

const decoder = new TextDecoder();
const NO_HEADERS: readonly (readonly [string, Uint8Array])[] = [];

/** Writes batches through one buffer that grows to the largest batch and is used again. */
export class RecordBatchWriter {
  readonly #codec: BatchCodec;
  #buffer = new Uint8Array(64 * 1024);
  #at = 0;
  /** What compression left of the last batch. */
  #share = 1;

  constructor(codec: BatchCodec) {
    this.#codec = codec;
  }

  /**
   * One batch of the records from index `from` on, as many as likely fit into `limit_bytes` when they
   * are compressed as the last batch was, and into `limit_count`; at least one.
   */
  write(
    records: PackedRecords,
    from: number,
    limit_bytes: number,
    limit_count: number = records.length - from,
  ): WrittenBatch {
    const times = Math.min(MOST_TIMES, LIKELY / this.#share);
    if (times > 1) {
      const batch = this.#write(records, from, limit_bytes * times, limit_count);
      if (batch.bytes.length <= limit_bytes || batch.count === 1) return batch;
    }
    return this.#write(records, from, limit_bytes, limit_count);
  }

  /** The same with a limit on the bytes before compression. */
  #write(
    records: PackedRecords,
    from: number,
    limit_bytes: number,
    limit_count: number,
  ): WrittenBatch {
    const base_timestamp = records.timestampMs(from);
    let max_timestamp = base_timestamp;
    const end = Math.min(records.length, from + limit_count);
    this.#at = HEADER_BYTES;
    let index = from;
    for (; index < end; index++) {
      const timestamp_ms = records.timestampMs(index);
      const start = this.#at;
      this.#record(records, index, index - from, timestamp_ms - base_timestamp);
      if (this.#at > limit_bytes && index > from) {
        this.#at = start;
        break;
      }
      if (timestamp_ms > max_timestamp) max_timestamp = timestamp_ms;
    }
    const count = index - from;
    const bytes = this.#pack();
    this.#share = bytes.length / this.#at;
    this.#header(bytes, count, base_timestamp, max_timestamp);
    return { bytes, count };
  }

  /** Puts in whose batch it is and where its sequence begins, and the checksum over all. */
  stamp({ bytes }: WrittenBatch, stamp: ProducerStamp): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setBigInt64(43, stamp.producer_id);
    view.setInt16(51, stamp.producer_epoch);
    view.setInt32(53, stamp.base_sequence);
    view.setUint32(CRC_AT, this.#codec.crc32c(bytes.subarray(ATTRIBUTES_AT)));
  }

  /** What was written, compressed, with room for the header before it. */
  #pack(): Uint8Array<ArrayBuffer> {
    let bytes = new Uint8Array();
    const take = (length: number) => {
      bytes = new Uint8Array(HEADER_BYTES + length);
      return bytes.subarray(HEADER_BYTES);
    };
    const packed = this.#codec.compress(this.#buffer.subarray(HEADER_BYTES, this.#at), take);
    if (packed.buffer !== bytes.buffer) take(packed.length).set(packed);
    return bytes;
  }

  #header(
    bytes: Uint8Array,
    count: number,
    base_timestamp: number,
    max_timestamp: number,
  ): void {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    view.setBigInt64(0, 0n); // base offset: the broker's to say
    view.setInt32(8, bytes.length - LOG_OVERHEAD);
    view.setInt32(12, -1); // partition leader epoch: likewise
    view.setInt8(16, 2); // magic
    view.setInt16(ATTRIBUTES_AT, this.#codec.compression_id);
    view.setInt32(23, count - 1); // offset of the last record
    view.setBigInt64(27, BigInt(base_timestamp));
    view.setBigInt64(35, BigInt(max_timestamp));
    view.setInt32(57, count);
  }

  #record(records: PackedRecords, index: number, delta: number, timestamp_delta: number): void {
    const { bytes, start, end } = records.span(index);
    const body = end - start;
    this.#reserve(RECORD_OVERHEAD + body);
    const buffer = this.#buffer;
    const width = 1 + varintWidth(timestamp_delta) + varintWidth(delta);
    let at = writeVarint(buffer, this.#at, width + body);
    buffer[at++] = 0; // attributes: none are defined
    at = writeVarint(buffer, at, timestamp_delta);
    at = writeVarint(buffer, at, delta);
    buffer.set(bytes.subarray(start, end), at);
    this.#at = at + body;
  }

  #reserve(bytes: number): void {
    const needed = this.#at + bytes;
    if (needed <= this.#buffer.length) return;
    const grown = new Uint8Array(Math.max(needed, this.#buffer.length * 2));
    grown.set(this.#buffer.subarray(0, this.#at));
    this.#buffer = grown;
  }
}

/** Bytes of the zigzag varint of a number within ±2^52. */
function varintWidth(value: number): number {
  let rest = value >= 0 ? value * 2 : -value * 2 - 1;
  let width = 1;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) width++;
  return width;
}

/** What the reader needs from outside. */
export type Decompress = (compression_id: number, bytes: Uint8Array) => Uint8Array;

/** The bytes are not whole record batches of magic 2, or not those that were written. */
export class MalformedBatchError extends Error {}

/** Records of a fetch, control records left out. */
export interface ReadBatches {
  readonly records: RecordRead[];
  /** Offset after the last batch that was read; the asked offset when there was none. */
  readonly next_offset: number;
  /** Whole batches that the limit left unread. */
  readonly rest: Uint8Array;
  /** What was decompressed for the records: their bytes are views into it. */
  readonly payloads: readonly Uint8Array[];
}

/** Offset after the last whole batch in `bytes`, or `from` when there is none. Reads headers only. */
export function nextOffset(bytes: Uint8Array, from: number): number {
  let next = from;
  for (const batch of wholeBatches(bytes)) next = batch.next_offset;
  return Math.max(next, from);
}

/**
 * Reads the record batches that a fetch brought. A batch that the fetch's size limit cut off is
 * left out; records below `from` are too (a fetch brings the whole batch that holds `from`).
 * Throws MalformedBatchError, naming the offset, for bytes that are no batch, and for a batch that is not
 * as it was written: brokers hand on what is on their disks without a look at it.
 * @param limit_bytes no further batch is begun once so many bytes are decompressed.
 */
export function readRecordBatches(
  bytes: Uint8Array,
  from: number,
  decompress: Decompress,
  limit_bytes = Infinity,
): ReadBatches {
  const records: RecordRead[] = [];
  const payloads: Uint8Array[] = [];
  let next_offset = from;
  let read_bytes = 0;
  for (const batch of wholeBatches(bytes)) {
    if (read_bytes >= limit_bytes) {
      return { records, next_offset, rest: bytes.subarray(batch.start), payloads };
    }
    refuseDamaged(bytes, batch);
    next_offset = Math.max(from, batch.next_offset);
    if ((batch.attributes & CONTROL) !== 0) continue;
    if (batch.next_offset <= from) continue;
    const id = batch.attributes & CODEC_MASK;
    const packed = bytes.subarray(batch.start + HEADER_BYTES, batch.end);
    const payload = id === 0 ? packed : decompress(id, packed);
    if (id !== 0) payloads.push(payload);
    readRecords(payload, batch, from, records);
    read_bytes += payload.length;
  }
  return { records, next_offset, rest: NO_BYTES, payloads };
}

const NO_BYTES = new Uint8Array();

interface BatchHead {
  readonly start: number;
  readonly end: number;
  readonly base_offset: number;
  readonly next_offset: number;
  readonly checksum: number;
  readonly attributes: number;
  readonly base_timestamp: number;
  readonly max_timestamp: number;
  readonly count: number;
}

function* wholeBatches(bytes: Uint8Array): Generator<BatchHead> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let start = 0;
  while (start + HEADER_BYTES <= bytes.length) {
    const base_offset = Number(view.getBigInt64(start));
    const length = view.getInt32(start + 8);
    const end = start + LOG_OVERHEAD + length;
    const magic = view.getInt8(start + 16);
    if (magic !== 2 || length < HEADER_BYTES - LOG_OVERHEAD) {
      throw new MalformedBatchError(
        `Cannot read the record batch at offset ${base_offset}: magic is ${magic} and length ` +
          `${length}; expected magic 2 and a length of at least ${HEADER_BYTES - LOG_OVERHEAD}`,
      );
    }
    if (end > bytes.length) return;
    yield {
      start,
      end,
      base_offset,
      next_offset: base_offset + view.getInt32(start + 23) + 1,
      checksum: view.getUint32(start + CRC_AT),
      attributes: view.getInt16(start + ATTRIBUTES_AT),
      base_timestamp: Number(view.getBigInt64(start + 27)),
      max_timestamp: Number(view.getBigInt64(start + 35)),
      count: view.getInt32(start + 57),
    };
    start = end;
  }
}

/** The checksum is of all that stands after it. */
function refuseDamaged(bytes: Uint8Array, { start, end, base_offset, checksum }: BatchHead): void {
  const found = crc32c(bytes.subarray(start + ATTRIBUTES_AT, end));
  if (found === checksum) return;
  throw new MalformedBatchError(
    `Cannot read the record batch at offset ${base_offset}: its checksum is ${checksum}, and that of ` +
      `its ${end - start} bytes is ${found}`,
  );
}

function readRecords(
  bytes: Uint8Array,
  batch: BatchHead,
  from: number,
  records: RecordRead[],
): void {
  const cursor = new Cursor(bytes, batch.base_offset);
  const appended = (batch.attributes & LOG_APPEND_TIME) !== 0;
  for (let i = 0; i < batch.count; i++) {
    const end = cursor.zigzag() + cursor.at;
    cursor.at += 1; // attributes
    const timestamp_delta = cursor.zigzag();
    const offset = batch.base_offset + cursor.zigzag();
    if (offset < from) {
      cursor.jump(end);
      continue;
    }
    const timestamp_ms = appended ? batch.max_timestamp : batch.base_timestamp + timestamp_delta;
    records.push(cursor.record(offset, timestamp_ms));
    cursor.jump(end);
  }
}

/** Reads key, value and headers of a record, with their lengths. */
export function readRecord(bytes: Uint8Array, offset: number, timestamp_ms: number): RecordRead {
  return new Cursor(bytes, offset).record(offset, timestamp_ms);
}

/** Thousands of these wait at a time: they are smaller than the views that they can make. */
class RecordView implements RecordRead {
  readonly #key_at: number;
  readonly #key_length: number;

  constructor(
    readonly offset: number,
    readonly timestamp_ms: number,
    readonly headers: RecordRead["headers"],
    readonly memory: Uint8Array,
    key_at: number,
    key_length: number,
    readonly value_at: number,
    readonly value_length: number,
  ) {
    this.#key_at = key_at;
    this.#key_length = key_length;
  }

  get size(): number {
    return Math.max(0, this.#key_length) + Math.max(0, this.value_length);
  }

  get key(): Uint8Array | null {
    return view(this.memory, this.#key_at, this.#key_length);
  }

  get value(): Uint8Array | null {
    return view(this.memory, this.value_at, this.value_length);
  }
}

/** A length of -1 is null. */
function view(bytes: Uint8Array, at: number, length: number): Uint8Array | null {
  // Not subarray: of a Buffer that makes Buffers, which are slower and larger than plain views.
  return length < 0 ? null : new Uint8Array(bytes.buffer, bytes.byteOffset + at, length);
}

class Cursor {
  readonly #bytes: Uint8Array;
  readonly #offset: number;
  at = 0;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.#offset = offset;
  }

  /** Zigzag varint; exact within ±2^52. */
  zigzag(): number {
    const first = this.#byte();
    let value = first & 0x7f;
    if (first >= 0x80) {
      let scale = 0x80;
      let byte: number;
      do {
        byte = this.#byte();
        value += (byte & 0x7f) * scale;
        scale *= 0x80;
      } while (byte >= 0x80);
    }
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }

  bytes(): Uint8Array | null {
    const length = this.zigzag();
    const start = this.at;
    this.jump(start + Math.max(0, length));
    return view(this.#bytes, start, length);
  }

  /** What stands after a record's deltas. */
  record(offset: number, timestamp_ms: number): RecordView {
    const key_length = this.zigzag();
    const key_at = this.at;
    this.jump(key_at + Math.max(0, key_length));
    const value_length = this.zigzag();
    const value_at = this.at;
    this.jump(value_at + Math.max(0, value_length));
    return new RecordView(
      offset,
      timestamp_ms,
      this.headers(),
      this.#bytes,
      key_at,
      key_length,
      value_at,
      value_length,
    );
  }

  headers(): readonly (readonly [string, Uint8Array])[] {
    const count = this.zigzag();
    if (count === 0) return NO_HEADERS;
    const headers: (readonly [string, Uint8Array])[] = [];
    for (let i = 0; i < count; i++) {
      headers.push([decoder.decode(this.bytes() ?? undefined), this.bytes() ?? new Uint8Array()]);
    }
    return headers;
  }

  jump(to: number): void {
    if (to < this.at || to > this.#bytes.length) throw this.#cutOff(to);
    this.at = to;
  }

  #byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw this.#cutOff(this.at + 1);
    this.at += 1;
    return byte;
  }

  #cutOff(to: number): MalformedBatchError {
    return new MalformedBatchError(
      `Cannot read the record batch at offset ${this.#offset}: a record reaches from byte ` +
        `${this.at} to ${to}, and the batch has ${this.#bytes.length}`,
    );
  }
}
