/**
 * Records of the output plugin wal2json, format version 2, as the options of `WAL2JSON_OPTIONS` make
 * it write them. Numbers keep their digits: they are handed on as text and never pass through a
 * double. Pure: text in, plain data out; whatever the text is, it answers or throws RecordError.
 */
import { RecordError } from "../errors.ts";
import { parseLsn } from "./postgres_lsn.ts";
import { OID } from "./postgres_value.ts";

/** What wal2json must be asked for, so that its records can be read here. */
export const WAL2JSON_OPTIONS: Readonly<Record<string, string>> = {
  "format-version": "2",
  "include-transaction": "1",
  "include-xids": "1",
  "include-timestamp": "1",
  "include-lsn": "1",
  "include-types": "1",
  "include-typmod": "1",
  "include-type-oids": "1",
  "include-domain-data-type": "0",
  "include-not-null": "1",
  "include-column-positions": "1",
  "include-pk": "1",
};

/** One column as a record describes it. */
export interface Cell {
  readonly name: string;
  /** The type as the database writes it, with its modifier. */
  readonly type: string;
  readonly type_oid: number;
  /** False: NOT NULL. Undefined in old rows. */
  readonly optional: boolean | undefined;
  /** The column's number in the catalogue; undefined in old rows. */
  readonly position: number | undefined;
}

/** A value's token: text stands for strings and numbers alike, the column's type tells them apart. */
export type Token = null | boolean | string;

/** Columns and their values. The same array of cells comes again while the columns stay the same. */
export interface Cells {
  readonly cells: readonly Cell[];
  readonly tokens: readonly Token[];
}

/** What one record says. */
export type Wal2jsonRecord =
  | {
    readonly action: "begin";
    readonly xid: number;
    readonly commit_us: number;
    /** LSN of the transaction's commit record. */
    readonly lsn: bigint;
  }
  | { readonly action: "commit"; readonly end_lsn: bigint }
  | {
    readonly action: "insert" | "update" | "delete";
    readonly schema: string;
    readonly table: string;
    /** The new row; null for a delete. */
    readonly after: Cells | null;
    /** Columns of the replica identity with their old values (or the unchanged ones); null: none. */
    readonly identity: Cells | null;
    /** Names of the primary key's columns, in the table's order. */
    readonly primary_key: readonly string[];
  }
  | { readonly action: "truncate"; readonly schema: string; readonly table: string }
  | { readonly action: "skipped" };

/** A column's text around its value, so that the next record is read by comparing. */
interface Frame extends Cell {
  readonly prefix: string;
  readonly suffix: string;
}

/** How many tables' frames are kept; the least recently met go first. */
const FRAMES_LIMIT = 1_000;

type Action = "insert" | "update" | "delete";

const ACTIONS: Readonly<Record<string, Action>> = { I: "insert", U: "update", D: "delete" };

const SKIPPED: Wal2jsonRecord = { action: "skipped" };

/** Reads records; remembers nothing but how the columns of each table looked last. */
export class Wal2jsonDecoder {
  readonly #frames = new Map<string, readonly Frame[]>();
  /** What the last row said of its transaction: all rows of one say the same. */
  #stamp = "";

  /** Reads one whole record. */
  decode(text: string): Wal2jsonRecord {
    const scanner = new Scanner(text);
    scanner.expect('{"action":"');
    const letter = text[scanner.at];
    scanner.at++;
    scanner.expect('"');
    switch (letter) {
      case "I":
      case "U":
      case "D":
        return this.#row(scanner, ACTIONS[letter]!);
      case "B":
        return begin(scanner);
      case "C":
        return commit(scanner);
      case "T":
        return truncate(scanner);
      case "M":
        return SKIPPED; // written by pg_logical_emit_message
      default:
        throw scanner.malformed("an action among B, I, U, D, T, M and C");
    }
  }

  #row(scanner: Scanner, action: Action): Wal2jsonRecord {
    this.#skipStamp(scanner);
    const { schema, table } = tableName(scanner);
    const name = `${schema}.${table}`;
    let after: Cells | null = null;
    let identity: Cells | null = null;
    if (scanner.take(',"columns":[')) after = this.#cells(scanner, name, action === "insert");
    if (scanner.take(',"identity":[')) identity = this.#cells(scanner, `${name} identity`, true);
    const primary_key = scanner.take(',"pk":[') ? keyNames(scanner) : [];
    scanner.expect("}");
    scanner.finish();
    if ((action === "delete") !== (after === null)) {
      throw scanner.malformed(action === "delete" ? "no new row" : "a new row");
    }
    return { action, schema, table, after, identity, primary_key };
  }

  #skipStamp(scanner: Scanner): void {
    if (this.#stamp !== "" && scanner.take(this.#stamp)) {
      scanner.upTo('"');
      return;
    }
    const start = scanner.at;
    const end = skipStamp(scanner);
    this.#stamp = scanner.text.slice(start, end);
  }

  /** The columns of a row up to the closing bracket; `complete`: none can be left out. */
  #cells(scanner: Scanner, name: string, complete: boolean): Cells {
    const known = this.#frames.get(name) ?? [];
    const frames: Frame[] = [];
    const tokens: Token[] = [];
    let next = 0;
    if (!scanner.takeSign(BRACKET)) {
      do {
        const found = nextFrame(scanner, known, next);
        const frame = found < 0 ? undefined : known[found]!;
        if (frame === undefined) {
          const start = scanner.at;
          const column = columnHead(scanner);
          const prefix = scanner.text.slice(start, scanner.at);
          tokens.push(scanner.token(column.type_oid));
          frames.push(columnTail(scanner, column, prefix));
        } else {
          next = found + 1;
          scanner.at += frame.prefix.length;
          tokens.push(scanner.token(frame.type_oid));
          frames.push(
            scanner.take(frame.suffix) ? frame : columnTail(scanner, frame, frame.prefix),
          );
        }
      } while (scanner.takeSign(COMMA));
      if (!scanner.takeSign(BRACKET)) throw scanner.malformed('"," or "]"');
    }
    const same = frames.length === known.length && frames.every((frame, at) => frame === known[at]);
    if (same) return { cells: known, tokens };
    const fewer = !complete && frames.every((frame) => known.includes(frame));
    if (!fewer) this.#keep(name, frames);
    return { cells: frames, tokens };
  }

  #keep(name: string, frames: readonly Frame[]): void {
    this.#frames.delete(name);
    this.#frames.set(name, frames);
    if (this.#frames.size <= FRAMES_LIMIT) return;
    for (const oldest of this.#frames.keys()) {
      this.#frames.delete(oldest);
      break;
    }
  }
}

/** Index of the next known column that stands here; columns may be left out of an update. */
function nextFrame(scanner: Scanner, known: readonly Frame[], from: number): number {
  for (let at = from; at < known.length; at++) {
    if (scanner.text.startsWith(known[at]!.prefix, scanner.at)) return at;
  }
  return -1;
}

// Parts of a record -------------------------------------------------------------------------------

function begin(scanner: Scanner): Wal2jsonRecord {
  const { xid, commit_us } = stamp(scanner);
  const lsn = lsnAfter(scanner, ',"lsn":"');
  lsnAfter(scanner, ',"nextlsn":"');
  scanner.expect("}");
  scanner.finish();
  return { action: "begin", xid, commit_us, lsn };
}

function commit(scanner: Scanner): Wal2jsonRecord {
  stamp(scanner);
  lsnAfter(scanner, ',"lsn":"');
  const end_lsn = lsnAfter(scanner, ',"nextlsn":"');
  scanner.expect("}");
  scanner.finish();
  return { action: "commit", end_lsn };
}

function truncate(scanner: Scanner): Wal2jsonRecord {
  skipStamp(scanner);
  const { schema, table } = tableName(scanner);
  scanner.expect("}");
  scanner.finish();
  return { action: "truncate", schema, table };
}

function stamp(scanner: Scanner): { xid: number; commit_us: number } {
  scanner.expect(',"xid":');
  const xid = scanner.integer();
  scanner.expect(',"timestamp":"');
  const commit_us = timestamp(scanner, scanner.upTo('"'));
  return { xid, commit_us };
}

/**
 * Rows repeat what begin has said, xid and time, and their own LSN, which the stream's header has
 * too. Answers where the LSN begins.
 */
function skipStamp(scanner: Scanner): number {
  scanner.expect(',"xid":');
  scanner.integer();
  scanner.expect(',"timestamp":"');
  scanner.upTo('"');
  scanner.expect(',"lsn":"');
  const lsn_at = scanner.at;
  scanner.upTo('"');
  return lsn_at;
}

function tableName(scanner: Scanner): { schema: string; table: string } {
  scanner.expect(',"schema":');
  const schema = scanner.string();
  scanner.expect(',"table":');
  return { schema, table: scanner.string() };
}

function lsnAfter(scanner: Scanner, label: string): bigint {
  scanner.expect(label);
  return parseLsn(scanner.upTo('"'));
}

const TIMESTAMP =
  /^([0-9]{4,6}-[0-9]{2}-[0-9]{2}) ([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,6}))?\+00$/;

/** Microseconds since the Unix epoch of a time that PostgreSQL writes in UTC. */
function timestamp(scanner: Scanner, text: string): number {
  const parts = TIMESTAMP.exec(text);
  const seconds = parts === null ? NaN : Date.parse(`${parts[1]}T${parts[2]}Z`);
  if (Number.isNaN(seconds)) throw scanner.malformed("a time in UTC");
  return seconds * 1000 + Number((parts![3] ?? "").padEnd(6, "0"));
}

type ColumnHead = Pick<Cell, "name" | "type" | "type_oid">;

/** A column up to its value: `{"name":"id","type":"bigint","typeoid":20,"value":`. */
function columnHead(scanner: Scanner): ColumnHead {
  const head = columnName(scanner);
  scanner.expect(',"value":');
  return head;
}

function columnName(scanner: Scanner): ColumnHead {
  scanner.expect('{"name":');
  const name = scanner.string();
  scanner.expect(',"type":');
  // wal2json writes a type that begins with a quoted identifier as it is, without escaping it:
  // `"Shop"."Mood"` is no JSON. So the type ends where the next field begins.
  const written = scanner.upTo(',"typeoid":');
  const type_oid = scanner.integer();
  return { name, type: typeName(scanner, written, type_oid), type_oid };
}

function typeName(scanner: Scanner, written: string, type_oid: number): string {
  if (type_oid === OID.char) return '"char"'; // its quotes belong to the name
  const inner = new Scanner(written);
  if (written[0] !== '"') throw scanner.malformed("a type in quotes");
  const name = inner.string();
  return inner.at === written.length ? name : written;
}

/** What follows a column's value: `,"optional":false,"position":1}`; old rows have only the brace. */
function columnTail(scanner: Scanner, head: ColumnHead, prefix: string): Frame {
  const start = scanner.at;
  let optional: boolean | undefined;
  if (scanner.take(',"optional":')) {
    optional = scanner.take("true");
    if (!optional) scanner.expect("false");
  }
  const position = scanner.take(',"position":') ? scanner.integer() : undefined;
  scanner.expect("}");
  const { name, type, type_oid } = head;
  const suffix = scanner.text.slice(start, scanner.at);
  return { name, type, type_oid, optional, position, prefix, suffix };
}

function keyNames(scanner: Scanner): string[] {
  const names: string[] = [];
  if (scanner.take("]")) return names;
  do {
    names.push(columnName(scanner).name);
    scanner.expect("}");
  } while (scanner.take(","));
  scanner.expect("]");
  return names;
}

// Text --------------------------------------------------------------------------------------------

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const BRACKET = 0x5d;
const LETTER_N = 0x6e;
const LETTER_T = 0x74;
const LETTER_F = 0x66;

class Scanner {
  readonly text: string;
  at = 0;

  constructor(text: string) {
    this.text = text;
  }

  /** Steps over `part` if it stands here. */
  take(part: string): boolean {
    if (!this.text.startsWith(part, this.at)) return false;
    this.at += part.length;
    return true;
  }

  /** The same for one sign, which is met often. */
  takeSign(sign: number): boolean {
    if (this.text.charCodeAt(this.at) !== sign) return false;
    this.at++;
    return true;
  }

  expect(part: string): void {
    if (!this.take(part)) throw this.malformed(JSON.stringify(part));
  }

  finish(): void {
    if (this.at !== this.text.length) throw this.malformed("the end of the record");
  }

  /** The text before the next `end`, over which it steps. */
  upTo(end: string): string {
    const found = this.text.indexOf(end, this.at);
    if (found < 0) throw this.malformed(`${JSON.stringify(end)} further on`);
    const part = this.text.slice(this.at, found);
    this.at = found + end.length;
    return part;
  }

  /** A whole number of at most 15 digits. */
  integer(): number {
    const from = this.at;
    let value = 0;
    for (; this.at - from < 15; this.at++) {
      const digit = this.text.charCodeAt(this.at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) break;
      value = value * 10 + digit;
    }
    if (this.at === from) throw this.malformed("a whole number");
    return value;
  }

  /** A JSON string, unescaped. */
  string(): string {
    const { text } = this;
    if (text.charCodeAt(this.at) !== QUOTE) throw this.malformed("a string");
    const from = this.at;
    let escaped = false;
    for (let at = from + 1; at < text.length; at++) {
      const sign = text.charCodeAt(at);
      if (sign === QUOTE) {
        this.at = at + 1;
        return escaped ? this.#unescape(text.slice(from, at + 1)) : text.slice(from + 1, at);
      }
      if (sign === BACKSLASH) {
        escaped = true;
        at++;
      }
    }
    throw this.malformed("a closing quote");
  }

  #unescape(literal: string): string {
    try {
      return JSON.parse(literal);
    } catch {
      throw this.malformed("a valid escape before this");
    }
  }

  /** A value: null, true, false, or the text of a string or number. */
  token(type_oid: number): Token {
    const sign = this.text.charCodeAt(this.at);
    if (sign === QUOTE) {
      const text = this.string();
      return type_oid === OID.bytea ? `\\x${text}` : text; // wal2json leaves its prefix out
    }
    if (sign === LETTER_N && this.take("null")) return null;
    if (sign === LETTER_T && this.take("true")) return true;
    if (sign === LETTER_F && this.take("false")) return false;
    return this.#number();
  }

  #number(): string {
    const from = this.at;
    while (isNumberSign(this.text.charCodeAt(this.at))) this.at++;
    if (this.at === from) throw this.malformed("a value");
    return this.text.slice(from, this.at);
  }

  malformed(expected: string): RecordError {
    const found = this.text.slice(this.at, this.at + 40);
    return new RecordError(
      `Cannot read a record of wal2json: expected ${expected} at character ${this.at}, found ${
        JSON.stringify(found)
      }`,
    );
  }
}

/** Digits, signs, the point and the exponent's letter. */
function isNumberSign(sign: number): boolean {
  return sign >= 0x30 && sign <= 0x39 || sign === 0x2b || sign === 0x2d || sign === 0x2e ||
    sign === 0x65 || sign === 0x45;
}
