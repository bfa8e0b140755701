/**
 * Protocol Buffers' wire format, read field by field: https://protobuf.dev/programming-guides/encoding
 * A reader of our own: protobufjs, the oracle in tests, makes an object for each 64-bit integer, and a
 * change read through it took 4.6 microseconds instead of 1.9 (measured).
 */
import { Buffer } from "node:buffer";
import { utf8Slice } from "./slice.ts";

/** How the content of a field is laid out: the last three bits of its tag. */
const WIRE_TYPE = 0b111;
const VARINT = 0;
const EIGHT_BYTES = 1;
const LENGTH_DELIMITED = 2;
const FOUR_BYTES = 5;

/** A varint of 64 bits: seven in a byte. */
const VARINT_BITS = 70;

const NOTHING = new ArrayBuffer(0);

/**
 * Reads one message after another; what it reads must stay as it is meanwhile. Every method throws
 * RangeError, which names the byte, where the message ends too early or a number is too long.
 */
export class ProtobufReader {
  #bytes: Uint8Array = new Uint8Array(NOTHING);
  #view: DataView = new DataView(NOTHING);
  #text: Buffer = Buffer.from(NOTHING);
  /** Where the bytes begin that places are told in. */
  #start = 0;
  #at = 0;
  /** Where the message that is read ends. */
  #end = 0;
  /** Halves of the last varint. */
  #low = 0;
  #high = 0;

  /** Begins with the message from `at` to `end` in `bytes`. */
  reset(bytes: Uint8Array, at: number, end: number): void {
    const { buffer, byteOffset } = bytes;
    if (buffer !== this.#view.buffer) {
      this.#bytes = new Uint8Array(buffer);
      this.#view = new DataView(buffer);
      this.#text = Buffer.from(buffer);
    }
    this.#start = byteOffset;
    this.#at = byteOffset + at;
    this.#end = byteOffset + end;
  }

  /** Whether the message has another field. */
  get more(): boolean {
    return this.#at < this.#end;
  }

  /** Where the next byte stands in the bytes that are read. */
  get #place(): number {
    return this.#at - this.#start;
  }

  /** Number and wire type of the next field: `number << 3 | type`. */
  tag(): number {
    return this.#small();
  }

  /** Begins with the message that is the field's content; answers what `leave` wants at its end. */
  enter(): number {
    const outer = this.#end;
    this.#end = this.#contentEnd();
    return outer;
  }

  /** Goes on with the message around the one that is read to its end. */
  leave(outer: number): void {
    this.#end = outer;
  }

  /** Passes the content of a field. */
  skip(tag: number): void {
    switch (tag & WIRE_TYPE) {
      case VARINT:
        return this.#varint();
      case EIGHT_BYTES:
        return this.#pass(8);
      case LENGTH_DELIMITED:
        this.#at = this.#contentEnd();
        return;
      case FOUR_BYTES:
        return this.#pass(4);
      default:
        throw new RangeError(
          `the field at byte ${this.#place} has the unknown wire type ${tag & WIRE_TYPE}`,
        );
    }
  }

  /** The length of the content that comes next. */
  length(): number {
    return this.#contentEnd() - this.#at;
  }

  /** Passes `length` bytes; answers where they begin. */
  pass(length: number): number {
    const at = this.#place;
    this.#pass(length);
    return at;
  }

  /** Passes `known`, the content of a field with its length in front, if it stands here. */
  skipKnown(known: Uint8Array): boolean {
    const { length } = known;
    const at = this.#at;
    if (at + length > this.#end) return false;
    for (let index = 0; index < length; index++) {
      if (this.#bytes[at + index] !== known[index]) return false;
    }
    this.#at = at + length;
    return true;
  }

  /** `string`. What is no UTF-8 becomes U+FFFD. */
  text(): string {
    const end = this.#contentEnd();
    const text = utf8Slice(this.#text, this.#at, end);
    this.#at = end;
    return text;
  }

  /** The same with its bytes and their length in front, for `skipKnown`. */
  textWithBytes(): { readonly text: string; readonly bytes: Uint8Array } {
    const from = this.#at;
    return { text: this.text(), bytes: this.#bytes.slice(from, this.#at) };
  }

  /** The text of the `length` bytes from `at` on. */
  textAt(at: number, length: number): string {
    const from = this.#start + at;
    return utf8Slice(this.#text, from, from + length);
  }

  /** `bytes`: a copy. */
  bytes(): Uint8Array {
    const end = this.#contentEnd();
    const bytes = this.#bytes.slice(this.#at, end);
    this.#at = end;
    return bytes;
  }

  /** `bool`. */
  boolean(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  /** `float`. */
  float(): number {
    const at = this.#at;
    this.#pass(4);
    return this.#view.getFloat32(at, true);
  }

  /** `double`. */
  double(): number {
    const at = this.#at;
    this.#pass(8);
    return this.#view.getFloat64(at, true);
  }

  /** `uint64`: a bigint beyond 2^53-1. */
  uint64(): number | bigint {
    this.#varint();
    const number = this.#high * 2 ** 32 + this.#low;
    return Number.isSafeInteger(number) ? number : this.#bits();
  }

  /** `int64`: a bigint beyond ±(2^53-1). */
  int64(): number | bigint {
    this.#varint();
    const number = (this.#high | 0) * 2 ** 32 + this.#low;
    return Number.isSafeInteger(number) ? number : BigInt.asIntN(64, this.#bits());
  }

  /** `sint64`: a bigint beyond ±(2^53-1). */
  sint64(): number | bigint {
    this.#varint();
    const number = this.#high * 2 ** 32 + this.#low;
    if (Number.isSafeInteger(number)) return number % 2 === 0 ? number / 2 : -(number + 1) / 2;
    const bits = this.#bits();
    const value = (bits >> 1n) ^ -(bits & 1n);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #bits(): bigint {
    return BigInt(this.#high) << 32n | BigInt(this.#low);
  }

  /** A varint that must be below 2^32. */
  #small(): number {
    const byte = this.#bytes[this.#at]!;
    if (byte < 0x80 && this.#at < this.#end) {
      this.#at++;
      return byte;
    }
    this.#varint();
    if (this.#high === 0) return this.#low;
    throw new RangeError(`the tag or length before byte ${this.#place} is 2^32 or more`);
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < VARINT_BITS; shift += 7) {
      if (this.#at >= this.#end) throw this.#cutOff(1);
      const byte = this.#bytes[this.#at++]!;
      const bits = byte & 0x7f;
      if (shift <= 28) low |= bits << shift;
      if (shift === 28) high = bits >>> 4;
      if (shift > 28) high |= bits << (shift - 32);
      if (byte >= 0x80) continue;
      this.#low = low >>> 0;
      this.#high = high >>> 0;
      return;
    }
    throw new RangeError(`the number before byte ${this.#place} is longer than ten bytes`);
  }

  /** Reads the length of the content that follows; answers its end. */
  #contentEnd(): number {
    const length = this.#small();
    if (length > this.#end - this.#at) throw this.#cutOff(length);
    return this.#at + length;
  }

  #pass(length: number): void {
    if (length > this.#end - this.#at) throw this.#cutOff(length);
    this.#at += length;
  }

  #cutOff(length: number): RangeError {
    return new RangeError(
      `${length} bytes belong at byte ${this.#place}, and their message ends at ` +
        `${this.#end - this.#start}`,
    );
  }
}

/** Longer texts are made each time: what is kept of the last one stays until the next. */
const KEPT_CHARACTERS = 256;

/** A text that most messages have in common: made once, and then compared as bytes. */
export class RepeatedText {
  #known: Uint8Array = new Uint8Array([0]);
  #text = "";

  /** `string`: the same object as the last time where the text is the same. */
  read(input: ProtobufReader): string {
    if (input.skipKnown(this.#known)) return this.#text;
    const { text, bytes } = input.textWithBytes();
    if (text.length > KEPT_CHARACTERS) return text;
    this.#text = text;
    this.#known = bytes;
    return text;
  }
}
