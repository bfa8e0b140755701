/**
 * Bytes written one after another into large chunks that are used again, so that many small values
 * cost neither an allocation each nor garbage.
 */

import { unsignedWidth, writeUnsigned, writeVarint } from "./varint.ts";

/** Size of a chunk: hundreds of values, and little to throw away with the last one. */
const CHUNK_BYTES = 256 * 1024;

/** Below it a loop over the characters beats a call into the runtime. */
const SHORT_TEXT = 80;

/** The same for bytes. */
const SHORT_BYTES = 16;

const encoder = new TextEncoder();

/** Writes values; each is `begin`, any number of writes, `end`. Holds as much as was written since `reset`. */
export class ByteArena {
  readonly #chunks = [new Uint8Array(CHUNK_BYTES)];
  #chunk = this.#chunks[0]!;
  /** Index of `#chunk`. */
  #index = 0;
  #at = 0;
  #start = 0;

  /** Begins anew in the same memory: what was written before is no longer good. */
  reset(): void {
    this.#index = 0;
    this.#chunk = this.#chunks[0]!;
    this.#at = 0;
  }

  /** Begins a value. */
  begin(): void {
    this.#start = this.#at;
  }

  /** The value's bytes: a view that stays as it is until `reset`. */
  end(): Uint8Array {
    return this.#chunk.subarray(this.#start, this.#at);
  }

  /** Bytes of the value so far. */
  get length(): number {
    return this.#at - this.#start;
  }

  /** Where the value stands, until `reset`: its chunk and its first byte there. */
  get chunk(): Uint8Array {
    return this.#chunk;
  }

  get start(): number {
    return this.#start;
  }

  /** Bytes as they are. */
  bytes(bytes: Uint8Array): void {
    const { length } = bytes;
    this.#reserve(length);
    const at = this.#at;
    this.#at = at + length;
    if (length > SHORT_BYTES) return this.#chunk.set(bytes, at);
    for (let index = 0; index < length; index++) this.#chunk[at + index] = bytes[index]!;
  }

  /** The bytes from `start` to `end` of others. */
  span(bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    if (length > SHORT_TEXT) return this.bytes(bytes.subarray(start, end));
    this.#reserve(length);
    const chunk = this.#chunk;
    let at = this.#at;
    for (let from = start; from < end; from++) chunk[at++] = bytes[from]!;
    this.#at = at;
  }

  /** One byte. */
  byte(byte: number): void {
    this.#reserve(1);
    this.#chunk[this.#at++] = byte;
  }

  /** Text as UTF-8. */
  text(text: string): void {
    const { length } = text;
    this.#reserve(length * 3); // UTF-8 takes at most three bytes for a UTF-16 unit
    if (length > SHORT_TEXT || !this.#ascii(text)) {
      this.#at += encoder.encodeInto(text, this.#chunk.subarray(this.#at)).written;
    }
  }

  /** An integer within ±(2^53-1), in decimal. */
  integer(value: number): void {
    if (value < 0 || Object.is(value, -0)) return this.text(String(value));
    this.#reserve(16);
    if (value < BILLION) return this.#digits(value, widthOf(value));
    // In halves: division of larger numbers is no integer operation.
    const high = Math.floor(value / BILLION);
    this.#digits(high, widthOf(high));
    this.#digits(value - high * BILLION, 9);
  }

  /** Below 2^31, in as many digits as said. */
  #digits(value: number, width: number): void {
    const chunk = this.#chunk;
    let at = this.#at += width;
    for (let left = width; left > 0; left--) {
      const rest = Math.trunc(value / 10);
      chunk[--at] = 48 + value - rest * 10;
      value = rest;
    }
  }

  /** A zigzag varint of a number within ±2^52. */
  varint(value: number): void {
    this.#reserve(8);
    this.#at = writeVarint(this.#chunk, this.#at, value);
  }

  /** A plain varint of a number from 0 to 2^53. */
  unsigned(value: number): void {
    this.#reserve(8);
    this.#at = writeUnsigned(this.#chunk, this.#at, value);
  }

  /** Leaves room for the length of what is written next; answers where, for `fill`. */
  gap(width: number): number {
    this.#reserve(width);
    const from = this.length;
    this.#at += width;
    return from;
  }

  /** Writes how many bytes stand after the gap into it, as a zigzag varint; moves them if it is wider or narrower. */
  fill(from: number, width: number): void {
    this.#fill(from, width, 2);
  }

  /** The same as a plain varint. */
  fillUnsigned(from: number, width: number): void {
    this.#fill(from, width, 1);
  }

  #fill(from: number, width: number, times: 1 | 2): void {
    const length = this.length - from - width;
    const right = unsignedWidth(length * times);
    if (right > width) this.#reserve(right - width);
    const at = this.#start + from;
    if (right !== width) this.#chunk.copyWithin(at + right, at + width, this.#at);
    writeUnsigned(this.#chunk, at, length * times);
    this.#at = at + right + length;
  }

  /** A JSON string literal, if its text needs no escapes and is ASCII; otherwise nothing, and false. */
  plainQuoted(text: string): boolean {
    const { length } = text;
    if (length > SHORT_TEXT) return false;
    this.#reserve(length + 2);
    const chunk = this.#chunk;
    let at = this.#at;
    chunk[at++] = QUOTE;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code < 0x20 || code > 0x7e || code === QUOTE || code === BACKSLASH) return false;
      chunk[at++] = code;
    }
    chunk[at++] = QUOTE;
    this.#at = at;
    return true;
  }

  #ascii(text: string): boolean {
    const chunk = this.#chunk;
    const at = this.#at;
    const { length } = text;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7e) return false;
      chunk[at + index] = code;
    }
    this.#at = at + length;
    return true;
  }

  /** Makes room; a value that has begun moves into the new chunk, those before it stay where they are. */
  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#chunk.length) return;
    const begun = this.#chunk.subarray(this.#start, this.#at);
    this.#chunk = this.#nextChunk(begun.length + bytes);
    this.#chunk.set(begun);
    this.#start = 0;
    this.#at = begun.length;
  }

  #nextChunk(bytes: number): Uint8Array<ArrayBuffer> {
    const next = this.#chunks[++this.#index];
    if (next !== undefined && next.length >= bytes) return next;
    // A value larger than a chunk has one of its own, which goes with it.
    const made = new Uint8Array(Math.max(CHUNK_BYTES, bytes * 2));
    if (made.length > CHUNK_BYTES) this.#index--;
    else this.#chunks[this.#index] = made;
    return made;
  }
}

const BILLION = 1e9;

/** How many decimal digits a number below 2^31 has. */
function widthOf(value: number): number {
  let width = 1;
  for (let limit = 10; value >= limit; limit *= 10) width++;
  return width;
}

const QUOTE = 34;
const BACKSLASH = 92;
