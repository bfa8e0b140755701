/**
 * Finds the values of an envelope's rows in its bytes, for the text that our encoder writes: columns
 * in table order, no spaces. Nothing is decoded: who writes text copies the bytes, and who wants
 * values makes them of the cells.
 */
import { Buffer } from "node:buffer";
import type { Kind, Row, RowsText, TableSchema, Value } from "../change.ts";
import { perTable } from "../per_table.ts";
import { type ByteScanner, Mark } from "../wire/byte_scanner.ts";
import { quoted } from "../wire/value_text.ts";

const BEFORE = Mark.of('{"before":');
const AFTER = Mark.of(',"after":');
const NULL = Mark.of("null");
const TRUE = Mark.of("true");
const FALSE = Mark.of("false");
const SPACE = 32;
const QUOTE = 34;
const PLUS = 43;
const COMMA = 44;
const MINUS = 45;
const DOT = 46;
const ZERO = 48;
const NINE = 57;
const OPEN = 123;
const CLOSE = 125;
const BACKSLASH = 92;
const SMALL_E = 101;
const SMALL_N = 110;
const SMALL_T = 116;
/** Stands for start and end of a value that the log did not carry. */
const ABSENT = -1;
/** Integers of so many characters are exact as doubles. */
const SAFE_LENGTH = 15;

interface Layout {
  /** `"name":` of each column. */
  readonly labels: readonly Mark[];
  readonly kinds: readonly Kind[];
}

const layoutOf = perTable((table): Layout => ({
  labels: table.columns.map(({ name }) => Mark.of(`${quoted(name)}:`)),
  kinds: table.columns.map(({ kind }) => kind),
}));

/**
 * The cells of the rows that `input` begins with; it moves past them. Undefined where the text
 * needs a real parser: escapes, bytes, arrays, another order of columns, or no JSON at all.
 */
export function scanRows(input: ByteScanner, table: TableSchema): RowsText | undefined {
  const layout = layoutOf(table);
  if (!input.skip(BEFORE)) return undefined;
  const before = scanRow(input, layout);
  if (before === undefined || !input.skip(AFTER)) return undefined;
  const after = scanRow(input, layout);
  return after === undefined ? undefined : { bytes: input.bytes, before, after };
}

function scanRow(input: ByteScanner, { labels, kinds }: Layout): number[] | null | undefined {
  const { bytes } = input;
  if (bytes[input.at] !== OPEN) return input.skip(NULL) ? null : undefined;
  input.at++;
  const cells: number[] = [];
  let isOpen = true;
  for (let index = 0; index < labels.length; index++) {
    if (!isOpen || !input.skip(labels[index]!)) {
      cells.push(ABSENT, ABSENT);
      continue;
    }
    const start = input.at;
    if (!scanValue(input, kinds[index]!)) return undefined;
    cells.push(start, input.at);
    const next = bytes[input.at++];
    if (next === CLOSE) isOpen = false;
    else if (next !== COMMA) return undefined;
  }
  return isOpen ? undefined : cells;
}

/** Moves past a value of the kind; false: given up. */
function scanValue(input: ByteScanner, kind: Kind): boolean {
  switch (kind) {
    case "string":
      return scanText(input) || input.skip(NULL);
    case "integer":
      return scanInteger(input) || input.skip(NULL);
    case "float32":
    case "float64":
      return scanFloat(input) || input.skip(NULL);
    case "boolean":
      return input.skip(TRUE) || input.skip(FALSE) || input.skip(NULL);
    default:
      return false;
  }
}

/** A string literal in which nothing is escaped. */
function scanText(input: ByteScanner): boolean {
  const { bytes } = input;
  let at = input.at;
  if (bytes[at] !== QUOTE) return false;
  for (let byte = bytes[++at]!; byte !== QUOTE; byte = bytes[++at]!) {
    // Past the end there is undefined, which is not at least a space either.
    if (!(byte >= SPACE) || byte === BACKSLASH) return false;
  }
  input.at = at + 1;
  return true;
}

/** Digits as we write them: no zeros in front, no minus before zero. */
function scanInteger(input: ByteScanner): boolean {
  const { bytes } = input;
  const first = bytes[input.at] === MINUS ? input.at + 1 : input.at;
  const end = behindDigits(bytes, first);
  if (end === first) return false;
  if (bytes[first] === ZERO && (end > first + 1 || first > input.at)) return false;
  input.at = end;
  return true;
}

/** A number with or without fraction and exponent, as JSON writes them. */
function scanFloat(input: ByteScanner): boolean {
  const { bytes } = input;
  const first = bytes[input.at] === MINUS ? input.at + 1 : input.at;
  let at = behindDigits(bytes, first);
  if (at === first || (bytes[first] === ZERO && at > first + 1)) return false;
  if (bytes[at] === DOT) {
    const fraction = at + 1;
    at = behindDigits(bytes, fraction);
    if (at === fraction) return false;
  }
  if (bytes[at] === SMALL_E) {
    at++;
    if (bytes[at] === PLUS || bytes[at] === MINUS) at++;
    const exponent = at;
    at = behindDigits(bytes, exponent);
    if (at === exponent) return false;
  }
  input.at = at;
  return true;
}

function behindDigits(bytes: Uint8Array, at: number): number {
  for (let byte = bytes[at]!; byte >= ZERO && byte <= NINE; byte = bytes[++at]!);
  return at;
}

/** The two rows of a change. */
export interface Rows {
  readonly before: Row | null;
  readonly after: Row | null;
}

/** The values of rows that `scanRows` has found. */
export function rowsOf({ bytes, before, after }: RowsText, table: TableSchema): Rows {
  const { kinds } = layoutOf(table);
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const row = (cells: readonly number[] | null): Row | null =>
    cells && kinds.map((kind, index) => {
      const start = cells[2 * index]!;
      return start === ABSENT ? undefined : valueOf(buffer, start, cells[2 * index + 1]!, kind);
    });
  return { before: row(before), after: row(after) };
}

function valueOf(buffer: Buffer, start: number, end: number, kind: Kind): Value {
  const first = buffer[start];
  if (first === QUOTE) return buffer.toString("utf8", start + 1, end - 1);
  if (first === SMALL_N) return null;
  if (kind === "boolean") return first === SMALL_T;
  const text = buffer.toString("latin1", start, end);
  if (kind === "float32") return Math.fround(Number(text));
  if (kind === "float64" || end - start <= SAFE_LENGTH) return Number(text);
  const value = BigInt(text);
  return Number.isSafeInteger(Number(value)) ? Number(value) : value;
}
