/** Reads CSV as `csv.ts` writes it, from bytes: a field is a place in them until somebody wants text. */
import { isUtf8 } from "node:buffer";
import type { CsvField } from "./csv.ts";

/** What `CsvReader` takes for what. */
export interface CsvReaderOptions {
  /** Names the text in errors: a path. */
  readonly name: string;
  /** This text, unquoted, reads as `undefined`. @default none */
  readonly unavailable_value?: string;
  /** Fields have been written by `guardFormula`. @default false */
  readonly escape_formulas?: boolean;
}

/** The text is not CSV; the message names the text and the line. */
export class CsvError extends Error {}

/** Length of a field that is null: an unquoted empty one. */
export const NULL = -1;
/** Length of a field that is the unquoted unavailable value. */
export const UNAVAILABLE = -2;

const QUOTE = 34;
const APOSTROPHE = 39;
const COMMA = 44;
const LF = 10;
const CR = 13;

/** A row above it is none: a quote that nobody closed makes one of all that follows. */
const LONGEST_ROW_BYTES = 1 << 30;

/** Room at first; one row that is longer makes it grow. */
const ROOM_BYTES = 64 * 1024;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads CSV piece by piece: pieces may cut the text anywhere, memory is that of one piece and one
 * row. Takes LF and CRLF. Does not compare the lengths of rows: the caller knows the header.
 *
 * `next` moves on to the next row; `bytes`, `starts` and `lengths` say where its fields are until
 * the next call of `next` or `push`.
 */
export class CsvReader {
  /** What was pushed and is not read yet; the fields of the row are in it. */
  bytes = new Uint8Array(ROOM_BYTES);
  /** How many fields the row has. */
  fields = 0;
  /** Where each field begins in `bytes`. */
  readonly starts: number[] = [];
  /** How many bytes each field has; `NULL` or `UNAVAILABLE`. */
  readonly lengths: number[] = [];

  readonly #name: string;
  readonly #unavailable: Uint8Array | undefined;
  readonly #escape_formulas: boolean;
  #at = 0;
  #end = 0;
  /** Up to here the bytes are known to be UTF-8. */
  #checked = 0;
  #is_ended = false;
  #line = 1;
  /** The row's fields that have quotes inside, each of which is written as a pair. */
  readonly #paired: number[] = [];

  constructor({ name, unavailable_value, escape_formulas = false }: CsvReaderOptions) {
    this.#name = name;
    this.#unavailable = unavailable_value === undefined
      ? undefined
      : encoder.encode(unavailable_value);
    this.#escape_formulas = escape_formulas;
  }

  /**
   * Bytes that wait for the rest of their row, which `next` reads from its start again: a next piece as
   * large as they are bounds that.
   */
  get unread(): number {
    return this.#end - this.#at;
  }

  /** Takes a piece in. Throws TypeError when the text is not UTF-8, CsvError for a row without end. */
  push(piece: Uint8Array): void {
    if (this.unread > LONGEST_ROW_BYTES) throw this.#wrong(`a row of ${this.unread} bytes`);
    this.#makeRoom(piece.length);
    this.bytes.set(piece, this.#end);
    this.#end += piece.length;
    this.#check(this.bytes.subarray(0, this.#end).lastIndexOf(LF) + 1); // no character goes across it
  }

  /** Ends the text: `next` then answers the last row also when no line end closed it. */
  end(): void {
    this.#is_ended = true;
    this.#check(this.#end);
  }

  /**
   * Moves on to the next row; false: a piece, or the end, must come before there is one. Throws
   * CsvError.
   */
  next(): boolean {
    if (this.#at === this.#end) return false;
    const line = this.#line;
    const { bytes } = this;
    const end = this.#end;
    this.fields = 0;
    this.#paired.length = 0;
    for (let at = this.#at;; at++) {
      at = at < end && bytes[at] === QUOTE ? this.#quoted(at + 1) : this.#plain(at);
      if (at === end && !this.#is_ended) {
        this.#line = line;
        return false;
      }
      if (at < end && bytes[at] === COMMA) continue;
      this.#at = Math.min(at + 1, end);
      break;
    }
    for (const field of this.#paired) this.#unpair(field);
    this.#line++;
    return true;
  }

  /** The field's text, null, or undefined for the unavailable value. */
  text(field: number): CsvField {
    const length = this.lengths[field]!;
    if (length < 0) return length === NULL ? null : undefined;
    const start = this.starts[field]!;
    return decoder.decode(this.bytes.subarray(start, start + length));
  }

  /** The texts of all fields. */
  row(): CsvField[] {
    return Array.from({ length: this.fields }, (_, field) => this.text(field));
  }

  /** Reads an unquoted field; answers where it ends: at a comma, a line end, or the end. */
  #plain(start: number): number {
    const { bytes } = this;
    const end = this.#end;
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at]!;
      if (byte > COMMA) continue;
      if (byte === COMMA || byte === LF) break;
      if (byte === QUOTE) throw this.#wrong("a quote inside an unquoted field");
    }
    const isLast = at === end || bytes[at] === LF;
    const length = isLast && at > start && bytes[at - 1] === CR ? at - 1 - start : at - start;
    if (length === 0) this.#add(start, NULL);
    else if (this.#isUnavailable(start, length)) this.#add(start, UNAVAILABLE);
    else this.#addUnguarded(start, length);
    return at;
  }

  /** The same for a field after its first quote. */
  #quoted(start: number): number {
    const { bytes } = this;
    const end = this.#end;
    const opened = this.#line;
    let isPaired = false;
    let at = start;
    for (; at < end; at++) {
      const byte = bytes[at];
      if (byte === LF) this.#line++;
      if (byte !== QUOTE) continue;
      if (bytes[at + 1] !== QUOTE || at + 1 === end) break;
      isPaired = true;
      at++;
    }
    if (at >= end) {
      if (this.#is_ended) throw this.#wrong("a quoted field that does not end", opened);
      return end;
    }
    let behind = at + 1;
    if (behind < end && bytes[behind] === CR) behind++;
    if (behind === end && !this.#is_ended) return end;
    if (behind < end && bytes[behind] !== COMMA && bytes[behind] !== LF) {
      const [found] = new TextDecoder().decode(bytes.subarray(behind, behind + 4));
      throw this.#wrong(`${JSON.stringify(found)} after the closing quote of a field`);
    }
    if (isPaired) this.#paired.push(this.fields);
    this.#addUnguarded(start, at - start);
    return behind;
  }

  /** Leaves one quote of each pair, in place: of a whole row only, which is not read again. */
  #unpair(field: number): void {
    const { bytes } = this;
    const start = this.starts[field]!;
    const end = start + this.lengths[field]!;
    let to = start;
    for (let from = start; from < end; from++) {
      bytes[to++] = bytes[from]!;
      if (bytes[from] === QUOTE) from++;
    }
    this.lengths[field] = to - start;
  }

  #addUnguarded(start: number, length: number): void {
    const isGuarded = this.#escape_formulas && length > 0 && this.bytes[start] === APOSTROPHE;
    if (isGuarded) this.#add(start + 1, length - 1);
    else this.#add(start, length);
  }

  #add(start: number, length: number): void {
    this.starts[this.fields] = start;
    this.lengths[this.fields++] = length;
  }

  #isUnavailable(start: number, length: number): boolean {
    const text = this.#unavailable;
    if (text === undefined || text.length !== length) return false;
    for (let at = 0; at < length; at++) if (this.bytes[start + at] !== text[at]) return false;
    return true;
  }

  /** Moves what is not read yet to the front, and grows where that is not enough. */
  #makeRoom(length: number): void {
    if (this.#end + length <= this.bytes.length) return;
    const unread = this.bytes.subarray(this.#at, this.#end);
    const needed = unread.length + length;
    if (needed > this.bytes.length) this.bytes = new Uint8Array(needed * 2);
    this.bytes.set(unread);
    this.#checked -= this.#at;
    this.#at = 0;
    this.#end = unread.length;
  }

  #check(end: number): void {
    if (end <= this.#checked) return;
    const bytes = this.bytes.subarray(this.#checked, end);
    if (!isUtf8(bytes)) decoder.decode(bytes); // which says what is wrong
    this.#checked = end;
  }

  #wrong(what: string, line = this.#line): CsvError {
    return new CsvError(`${this.#name}, line ${line}: ${what} is not CSV`);
  }
}

/** All rows of a text. Throws CsvError, and TypeError when it is not UTF-8. */
export function readCsv(text: Uint8Array, options: CsvReaderOptions): CsvField[][] {
  const reader = new CsvReader(options);
  reader.push(text);
  reader.end();
  const rows: CsvField[][] = [];
  while (reader.next()) rows.push(reader.row());
  return rows;
}
