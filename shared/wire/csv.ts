/**
 * CSV text: RFC 4180 quoting, lines that end in LF, and null against the empty string as
 * PostgreSQL's COPY ... CSV writes them: null is nothing between the commas, empty text is `""`.
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

/**
 * Beginnings for which spreadsheets take text for a formula (OWASP, "CSV Injection"), `=+-@` also in full
 * width, and the guard itself.
 */
const FORMULA = /^['=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
const NUMBER = /^[+-]?\d+(\.\d*)?([eE][+-]?\d+)?$/;

/**
 * `text` so that no spreadsheet takes it for a formula: with a `'` before it, unless it is a number. Text that
 * begins with a `'` itself is given another, so that taking the first one away is the inverse.
 */
export function guardFormula(text: string): string {
  return FORMULA.test(text) && !NUMBER.test(text) ? `'${text}` : text;
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

const COMMA = 44;
