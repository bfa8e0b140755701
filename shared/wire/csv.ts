/**
 * CSV text: RFC 4180 quoting, lines that end in LF, and null against the empty string as
 * PostgreSQL's COPY … CSV writes them: null is nothing between the commas, empty text is `""`.
 */

import type { ByteArena } from "./byte_arena.ts";

/** One field as read: `null` is an unquoted empty field, `undefined` the unquoted unavailable value. */
export type CsvField = string | null | undefined;

/** Beside the RFC's characters: a lone `\.` ends the data for COPY, so COPY quotes it. */
const NEEDS_QUOTES = /[",\r\n]|^\\\.$/;

/** `text` as one field, quoted only where a reader would take it for something else. */
export function csvText(text: string): string {
  if (text === "") return '""';
  return NEEDS_QUOTES.test(text) ? csvQuoted(text) : text;
}

/** `text` as one quoted field. */
export function csvQuoted(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/** Beginnings for which spreadsheets take text for a formula (OWASP, "CSV Injection"), and the guard itself. */
const FORMULA = /^['=+\-@\t\r\n＝＋－＠]/;
const NUMBER = /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/;

/** `text` so that no spreadsheet takes it for a formula: behind a `'`, unless it is a number. */
export function guardFormula(text: string): string {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
}

/** The inverse of `guardFormula`: text that begins with a `'` itself has been given another. */
export function unguardFormula(text: string): string {
  return text.startsWith("'") ? text.slice(1) : text;
}

/**
 * The JSON string literal from `start` to `end`, which has no escapes, as one field. Nothing then has
 * to be altered inside: where a field needs quotes the literal's own do.
 */
export function csvLiteral(bytes: Uint8Array, start: number, end: number, out: ByteArena): void {
  let bare = end - start > 2;
  for (let at = start + 1; at < end - 1 && bare; at++) bare = bytes[at] !== COMMA;
  if (bare) out.span(bytes, start + 1, end - 1);
  else out.span(bytes, start, end);
}

/** One line, LF included; `null` is written as nothing. */
export function csvLine(fields: readonly (string | null)[]): string {
  return fields.map((field) => field === null ? "" : csvText(field)).join(",") + "\n";
}

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

const QUOTE = 34;
const COMMA = 44;
const LF = 10;

/**
 * Reads CSV piece by piece: pieces may cut the text anywhere, memory is that of one piece and one
 * row. Takes LF and CRLF. Does not compare the lengths of rows: the caller knows the header.
 */
export class CsvReader {
  readonly #options: CsvReaderOptions;
  #row: CsvField[] = [];
  /** Text of the field being read. */
  #field = "";
  /** `quote`: just behind a quote inside a quoted field, which may be its end or half of a pair. */
  #state: "start" | "plain" | "quoted" | "quote" = "start";
  #line = 1;

  constructor(options: CsvReaderOptions) {
    this.#options = options;
  }

  /** Reads a piece of text and answers the rows that it completes. */
  read(text: string): CsvField[][] {
    const rows: CsvField[][] = [];
    let at = 0;
    while (at < text.length) {
      if (this.#state === "start" && this.#row.length === 0) {
        at = this.#plainLines(text, at, rows);
        if (at >= text.length) break;
      }
      at = this.#step(text, at, rows);
    }
    return rows;
  }

  /** Ends the text; answers the last row when no line end closed it. */
  end(): CsvField[][] {
    if (this.#state === "quoted") throw this.#wrong("a quoted field that does not end");
    if (this.#state === "start" && this.#row.length === 0) return [];
    const rows: CsvField[][] = [];
    this.#endRow(rows);
    return rows;
  }

  /** Whole lines without quotes, which most are, in the fastest way; answers where it stopped. */
  #plainLines(text: string, from: number, rows: CsvField[][]): number {
    const quote = text.indexOf('"', from);
    const limit = quote === -1 ? text.length : quote;
    let at = from;
    for (;;) {
      const end = text.indexOf("\n", at);
      if (end === -1 || end >= limit) return at;
      const line = text.charCodeAt(end - 1) === 13 && end > at
        ? text.slice(at, end - 1)
        : text.slice(at, end);
      const row: CsvField[] = line.split(",");
      for (let i = 0; i < row.length; i++) row[i] = this.#unquoted(row[i]!);
      rows.push(row);
      this.#line++;
      at = end + 1;
    }
  }

  /** Moves on by one field, one part of a field, or one character. */
  #step(text: string, at: number, rows: CsvField[][]): number {
    switch (this.#state) {
      case "start":
        if (text.charCodeAt(at) === QUOTE) {
          this.#state = "quoted";
          return at + 1;
        }
        this.#state = "plain";
        return at;
      case "plain":
        return this.#plain(text, at, rows);
      case "quoted": {
        const quote = text.indexOf('"', at);
        const end = quote === -1 ? text.length : quote;
        const part = text.slice(at, end);
        this.#field += part;
        for (let lf = part.indexOf("\n"); lf !== -1; lf = part.indexOf("\n", lf + 1)) this.#line++;
        if (quote !== -1) this.#state = "quote";
        return end + 1;
      }
      case "quote":
        return this.#behindQuote(text, at, rows);
    }
  }

  #plain(text: string, from: number, rows: CsvField[][]): number {
    let at = from;
    while (at < text.length) {
      const code = text.charCodeAt(at);
      if (code === COMMA || code === LF) break;
      if (code === QUOTE) throw this.#wrong("a quote inside an unquoted field");
      at++;
    }
    this.#field += text.slice(from, at);
    if (at === text.length) return at;
    if (text.charCodeAt(at) === COMMA) this.#endField();
    else this.#endRow(rows);
    return at + 1;
  }

  #behindQuote(text: string, at: number, rows: CsvField[][]): number {
    switch (text.charCodeAt(at)) {
      case QUOTE:
        this.#field += '"';
        this.#state = "quoted";
        break;
      case COMMA:
        this.#endField();
        break;
      case LF:
        this.#endRow(rows);
        break;
      case 13: // of CRLF
        break;
      default:
        throw this.#wrong(`${JSON.stringify(text[at])} behind the quote that ends a field`);
    }
    return at + 1;
  }

  #endField(): void {
    this.#row.push(
      this.#state === "quote" ? this.#unguarded(this.#field) : this.#unquoted(this.#field),
    );
    this.#field = "";
    this.#state = "start";
  }

  #endRow(rows: CsvField[][]): void {
    if (this.#state !== "quote" && this.#field.endsWith("\r")) {
      this.#field = this.#field.slice(0, -1);
    }
    this.#endField();
    rows.push(this.#row);
    this.#row = [];
    this.#line++;
  }

  #unquoted(text: string): CsvField {
    if (text === "") return null;
    return text === this.#options.unavailable_value ? undefined : this.#unguarded(text);
  }

  #unguarded(text: string): string {
    return this.#options.escape_formulas ? unguardFormula(text) : text;
  }

  #wrong(what: string): CsvError {
    return new CsvError(`${this.#options.name}, line ${this.#line}: ${what} is not CSV`);
  }
}
