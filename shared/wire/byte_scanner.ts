/** A place in bytes that moves on over what is expected there: reading known text without making strings. */

import { Buffer } from "node:buffer";
import { latin1Slice } from "./slice.ts";

const ZERO = 48;
const NINE = 57;
/** So many digits are exact as a 32-bit integer. */
const SHORT_DIGITS = 9;
const POWERS = Array.from({ length: SHORT_DIGITS + 1 }, (_, digits) => 10 ** digits);
const utf8 = new TextEncoder();

/** Bytes that are looked for, eight at a time. */
export class Mark {
  readonly bytes: Uint8Array;
  readonly words: DataView;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.words = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  static of(text: string): Mark {
    return new Mark(utf8.encode(text));
  }
}

/** Bytes and how far they are read. */
export class ByteScanner {
  bytes: Uint8Array = new Uint8Array();
  at = 0;
  /** After the last byte that is read. */
  end = 0;
  /** All of the memory that `bytes` is a view of: records of one batch share it. */
  #memory = new DataView(this.bytes.buffer);
  #text = Buffer.from(this.bytes.buffer);

  /** Begins with other bytes, of which those from `at` to `end` are read. */
  reset(bytes: Uint8Array, at = 0, end = bytes.length): void {
    if (bytes.buffer !== this.#memory.buffer) {
      this.#memory = new DataView(bytes.buffer);
      this.#text = Buffer.from(bytes.buffer);
    }
    this.bytes = bytes;
    this.at = at;
    this.end = end;
  }

  /** Moves past `mark` if it stands here. */
  skip(mark: Mark): boolean {
    if (!this.isAt(mark)) return false;
    this.at += mark.bytes.length;
    return true;
  }

  /** Whether `mark` stands here. */
  isAt({ bytes, words }: Mark): boolean {
    const { length } = bytes;
    if (this.at + length > this.end) return false;
    const memory = this.#memory;
    const start = this.bytes.byteOffset + this.at;
    let index = 0;
    // As doubles: equal ones have equal bytes, but for the zeros, which no text has. Bytes that are no
    // number equal nothing; in UTF-8 they begin with a DEL, and then the mark is not seen.
    for (; index + 8 <= length; index += 8) {
      if (memory.getFloat64(start + index) !== words.getFloat64(index)) return false;
    }
    for (; index < length; index++) {
      if (memory.getUint8(start + index) !== bytes[index]) return false;
    }
    return true;
  }

  /** Moves to the next `mark`; false, and it stays, where there is none. */
  find(mark: Mark): boolean {
    const first = mark.bytes[0]!;
    const from = this.at;
    for (let at = this.bytes.indexOf(first, from); at !== -1 && at < this.end;) {
      this.at = at;
      if (this.isAt(mark)) return true;
      at = this.bytes.indexOf(first, at + 1);
    }
    this.at = from;
    return false;
  }

  /** Moves past decimal digits and answers their number; -1 for none, or more than a double holds. */
  digits(): number {
    const start = this.at;
    let value = 0;
    do {
      const from = this.at;
      const part = this.#few();
      value = value * POWERS[this.at - from]! + part;
    } while (this.at < this.end && isDigit(this.bytes[this.at]!));
    return this.at === start || value > Number.MAX_SAFE_INTEGER ? -1 : value;
  }

  /** A number of few digits: integers are added up faster than doubles. */
  #few(): number {
    const { bytes } = this;
    const end = Math.min(this.end, this.at + SHORT_DIGITS);
    let value = 0;
    let at = this.at;
    for (let byte = bytes[at]!; at < end && isDigit(byte); byte = bytes[++at]!) {
      value = value * 10 + (byte - ZERO) | 0;
    }
    this.at = at;
    return value;
  }

  /** `length` bytes from `at` on as text, each byte a character. */
  latin1(at: number, length: number): string {
    const start = this.bytes.byteOffset + at;
    return latin1Slice(this.#text, start, start + length);
  }
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
