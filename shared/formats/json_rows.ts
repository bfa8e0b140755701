/**
 * Reads the rows of an envelope straight from its text, for the text that our encoder writes: columns
 * in table order, no spaces. It takes about half the time of `JSON.parse` and leaves no objects behind.
 */
import type { Kind, Row, TableSchema, Value } from "../change.ts";
import { quoted } from "../wire/value_text.ts";

/** The two rows of a change. */
export interface Rows {
  readonly before: Row | null;
  readonly after: Row | null;
}

const BEFORE = '{"before":';
const AFTER = ',"after":';
const QUOTE = 34;
const MINUS = 45;
const ZERO = 48;
const NINE = 57;
const OPEN = 123;
const COMMA = 44;
const CLOSE = 125;
/** Integers of so many characters are exact as doubles. */
const SAFE_LENGTH = 15;

interface Layout {
  /** `"name":` of each column. */
  readonly labels: readonly string[];
  readonly kinds: readonly Kind[];
}

const layouts = new WeakMap<TableSchema, Layout>();

function layoutOf({ columns }: TableSchema): Layout {
  return {
    labels: columns.map(({ name }) => `${quoted(name)}:`),
    kinds: columns.map(({ kind }) => kind),
  };
}

/** Where the scan stands; one at a time. */
let at = 0;

/**
 * The rows in `text`, which end at `end`; undefined where the text needs a real parser: escapes,
 * floats, bytes, arrays, another order of columns, or no JSON at all.
 */
export function scanRows(text: string, end: number, table: TableSchema): Rows | undefined {
  const escape_at = text.indexOf("\\");
  if ((escape_at !== -1 && escape_at < end) || !text.startsWith(BEFORE)) return undefined;
  let layout = layouts.get(table);
  if (layout === undefined) layouts.set(table, layout = layoutOf(table));
  at = BEFORE.length;
  const before = scanRow(text, layout);
  if (before === undefined || !text.startsWith(AFTER, at)) return undefined;
  at += AFTER.length;
  const after = scanRow(text, layout);
  return after === undefined || at !== end ? undefined : { before, after };
}

/** `at` moves behind the row; undefined: given up. */
function scanRow(text: string, { labels, kinds }: Layout): Row | null | undefined {
  if (text.charCodeAt(at) !== OPEN) return scanNull(text) ? null : undefined;
  at++;
  const row = new Array<Value | undefined>(labels.length);
  let isOpen = true;
  for (let index = 0; index < labels.length; index++) {
    const label = labels[index]!;
    row[index] = undefined;
    if (!isOpen || !text.startsWith(label, at)) continue;
    at += label.length;
    const value = scanValue(text, kinds[index]!);
    if (value === undefined) return undefined;
    row[index] = value;
    const next = text.charCodeAt(at++);
    if (next === CLOSE) isOpen = false;
    else if (next !== COMMA) return undefined;
  }
  return isOpen ? undefined : row;
}

function scanNull(text: string): boolean {
  if (!text.startsWith("null", at)) return false;
  at += 4;
  return true;
}

function scanValue(text: string, kind: Kind): Value | undefined {
  const first = text.charCodeAt(at);
  if (first === QUOTE) {
    if (kind !== "string") return undefined;
    const close = text.indexOf('"', at + 1);
    if (close === -1) return undefined;
    const value = text.slice(at + 1, close);
    at = close + 1;
    return value;
  }
  if (kind === "integer" && (first === MINUS || isDigit(first))) return scanInteger(text);
  return scanNull(text) ? null : undefined;
}

/** Anything but plain digits behind the sign is left to the parser. */
function scanInteger(text: string): number | undefined {
  const start = at;
  const isNegative = text.charCodeAt(at) === MINUS;
  if (isNegative) at++;
  const digits_at = at;
  let value = 0;
  for (let code = text.charCodeAt(at); isDigit(code); code = text.charCodeAt(++at)) {
    value = value * 10 + (code - ZERO);
  }
  const digits = at - digits_at;
  const hasLeadingZero = digits > 1 && text.charCodeAt(digits_at) === ZERO;
  if (digits === 0 || hasLeadingZero || at - start > SAFE_LENGTH) return undefined;
  return isNegative ? -value : value;
}

function isDigit(code: number): boolean {
  return code >= ZERO && code <= NINE;
}
