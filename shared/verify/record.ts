/**
 * Lines and rows as bytes. A record is a header of 32-bit numbers, the text of the position, and the
 * cells, those that tell a row from others first: together they are its identity. A cell is a length
 * and as many bytes of UTF-8. Records begin at multiples of 4, so that they are copied word by word.
 */
import { NULL, UNAVAILABLE } from "../wire/csv_reader.ts";
import { hash64 } from "./checksum.ts";
import type { Cell, Entry } from "./fold.ts";

/** Where the header's numbers stand. */
export const AT = {
  /** Bytes of the record, what fills up its last word left out. */
  bytes: 0,
  /** Hash of the identity. */
  hash: 4,
  file: 8,
  row: 12,
  /** 1: an insert; 0: a delete. */
  insert: 16,
  /** The byte of an operation of one character, or one of `OP`. */
  op: 20,
  position_bytes: 24,
  identity_bytes: 28,
  /** Of the next record of this identity, 0 for none; who reads the records writes it. */
  next: 32,
} as const;

/** Bytes of a record's header. */
export const HEADER_BYTES = 36;

/** The multiple of 4 that holds `bytes`. */
export function wordBytes(bytes: number): number {
  return (bytes + 3) & ~3;
}

/** Operations that no character stands for. */
export const OP = { none: 0, other: 1 } as const;

const encoder = new TextEncoder();

/** Below it a loop over the characters beats a call into the runtime. */
const SHORT_TEXT = 80;

/** Writes one record after the other into the same memory: `begin`, the cells, `end`. */
export class RecordWriter {
  /** The record, from 0 to `length`, which is a multiple of 4 after `end`. */
  bytes = new Uint8Array(1024);
  /** The same memory. */
  words = new Int32Array(this.bytes.buffer);
  length = 0;
  /** Hash of the record's identity. */
  hash = 0;
  readonly #identity: number;
  #view = new DataView(this.bytes.buffer);
  #cells = 0;
  #identity_end = 0;

  /** `identity`: how many of the cells that come first tell a row from others. */
  constructor(identity: number) {
    this.#identity = identity;
  }

  /** Begins a record. `op`: see `AT`. */
  begin(file: number, row: number, insert: boolean, op: number): void {
    const view = this.#view;
    view.setInt32(AT.file, file, true);
    view.setInt32(AT.row, row, true);
    view.setInt32(AT.insert, insert ? 1 : 0, true);
    view.setInt32(AT.op, op, true);
    view.setInt32(AT.position_bytes, 0, true);
    view.setInt32(AT.next, 0, true);
    this.length = HEADER_BYTES;
    this.#cells = 0;
  }

  /** The position, before any cell; without, it is empty. */
  position(bytes: Uint8Array, start: number, length: number): void {
    this.#span(bytes, start, length);
    this.#view.setInt32(AT.position_bytes, length, true);
  }

  /** A cell: `length` bytes of `bytes`, or `NULL`, or `UNAVAILABLE`. */
  cell(bytes: Uint8Array, start: number, length: number): void {
    this.#reserve(4);
    this.#view.setInt32(this.length, length, true);
    this.length += 4;
    if (length > 0) this.#span(bytes, start, length);
    this.#endCell();
  }

  /** A cell as text. */
  text(cell: Cell): void {
    if (cell === null || cell === undefined) {
      return this.cell(this.bytes, 0, cell === null ? NULL : UNAVAILABLE);
    }
    this.#reserve(4 + cell.length * 3); // UTF-8 takes at most three bytes for a UTF-16 unit
    const start = this.length + 4;
    const length = this.#ascii(cell, start)
      ? cell.length
      : encoder.encodeInto(cell, this.bytes.subarray(start)).written;
    this.#view.setInt32(this.length, length, true);
    this.length = start + length;
    this.#endCell();
  }

  /** A whole record. `order`: indexes of the entry's cells in the order in which they are written. */
  entry({ file, row, insert, op, position, cells }: Entry, order: readonly number[]): void {
    const what = op === null ? OP.none : op.length === 1 ? op.charCodeAt(0) : OP.other;
    const bytes = encoder.encode(position);
    this.begin(file, row, insert, what);
    this.position(bytes, 0, bytes.length);
    for (const at of order) this.text(cells[at]);
    this.end();
  }

  /** Ends the record. */
  end(): void {
    const view = this.#view;
    const start = HEADER_BYTES + view.getInt32(AT.position_bytes, true);
    [, this.hash] = hash64(this.bytes, start, this.#identity_end);
    view.setInt32(AT.bytes, this.length, true);
    view.setInt32(AT.hash, this.hash, true);
    view.setInt32(AT.identity_bytes, this.#identity_end - start, true);
    this.length = wordBytes(this.length);
  }

  #endCell(): void {
    if (++this.#cells === this.#identity) this.#identity_end = this.length;
  }

  #span(from: Uint8Array, start: number, length: number): void {
    this.#reserve(length);
    const { bytes, length: at } = this;
    if (length > SHORT_TEXT) bytes.set(from.subarray(start, start + length), at);
    else for (let index = 0; index < length; index++) bytes[at + index] = from[start + index]!;
    this.length = at + length;
  }

  #ascii(text: string, at: number): boolean {
    const { bytes } = this;
    const { length } = text;
    if (length > SHORT_TEXT) return false;
    for (let index = 0; index < length; index++) {
      const code = text.charCodeAt(index);
      if (code > 0x7f) return false;
      bytes[at + index] = code;
    }
    return true;
  }

  #reserve(length: number): void {
    if (this.length + length <= this.bytes.length) return;
    const grown = new Uint8Array(wordBytes((this.length + length) * 2));
    grown.set(this.bytes);
    this.bytes = grown;
    this.words = new Int32Array(grown.buffer);
    this.#view = new DataView(grown.buffer);
  }
}
