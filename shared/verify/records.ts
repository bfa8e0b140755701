/** Records of one bucket, side by side in one piece of memory; each is named by where it begins. */
import { ConfigError } from "../errors.ts";
import { NULL, UNAVAILABLE } from "../wire/csv_reader.ts";
import type { Cell, Entry } from "./fold.ts";
import { AT, HEADER_BYTES, OP, RecordWriter, wordBytes } from "./record.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Records are linked by 32-bit numbers; a quarter is left for what a comparison adds. */
const MOST_BYTES = 3 * 2 ** 29;

/** Records, and what they say. The memory is used again for the next bucket. */
export class Records {
  /** The records, from 0 to `length`. */
  bytes = new Uint8Array(0);
  length = 0;
  #view = new DataView(this.bytes.buffer);
  /** For each column, which cell of a record is its. */
  readonly #places: readonly number[];
  readonly #order: readonly number[];
  readonly #writer: RecordWriter;

  /** `order`: the columns' indexes in the order in which records hold their cells. */
  constructor(order: readonly number[]) {
    this.#order = order;
    this.#writer = new RecordWriter(order.length);
    this.#places = order.map((_, column) => order.indexOf(column));
  }

  /** Begins anew, with room for so many bytes. Throws ConfigError for more than a record's links reach. */
  begin(bytes: number): void {
    this.length = 0;
    if (bytes <= this.bytes.length) return;
    if (bytes > MOST_BYTES) {
      throw new ConfigError(
        `${bytes} bytes of lines and rows are compared at once; ${MOST_BYTES} are possible`,
        { cure: "lower memory_bytes; where one key has so many lines, verify its files in parts" },
      );
    }
    this.bytes = new Uint8Array(0); // before the new memory is taken
    this.#use(new Uint8Array(bytes));
  }

  /** Room for `length` bytes after the records, which count from now on; answers where. */
  grow(length: number): Uint8Array {
    const start = this.length;
    this.length += length;
    if (this.length > this.bytes.length) {
      const grown = new Uint8Array(Math.ceil(this.length * 1.25));
      grown.set(this.bytes.subarray(0, start));
      this.#use(grown);
    }
    return this.bytes.subarray(start, this.length);
  }

  #use(bytes: Uint8Array<ArrayBuffer>): void {
    this.bytes = bytes;
    this.#view = new DataView(bytes.buffer);
  }

  /** Adds an entry after the records; answers its record. Its identity is not told. */
  add(entry: Entry): number {
    const writer = this.#writer;
    writer.entry(entry, this.#order);
    const record = this.length;
    this.grow(writer.length).set(writer.bytes.subarray(0, writer.length));
    return record;
  }

  /** Where the record after this one begins. */
  after(record: number): number {
    return record + wordBytes(this.#view.getInt32(record + AT.bytes, true));
  }

  /** Where the record's cells end. */
  end(record: number): number {
    return record + this.#view.getInt32(record + AT.bytes, true);
  }

  hash(record: number): number {
    return this.#view.getInt32(record + AT.hash, true);
  }

  isInsert(record: number): boolean {
    return this.#view.getInt32(record + AT.insert, true) === 1;
  }

  op(record: number): number {
    return this.#view.getInt32(record + AT.op, true);
  }

  /** The next record of the same identity; 0: none. */
  next(record: number): number {
    return this.#view.getInt32(record + AT.next, true);
  }

  setNext(record: number, next: number): void {
    this.#view.setInt32(record + AT.next, next, true);
  }

  /** Where the record's cells begin. */
  cells(record: number): number {
    return record + HEADER_BYTES + this.#view.getInt32(record + AT.position_bytes, true);
  }

  /** Whether two records are of the same row. */
  sameIdentity(a: number, b: number): boolean {
    const length = this.#view.getInt32(a + AT.identity_bytes, true);
    return length === this.#view.getInt32(b + AT.identity_bytes, true) &&
      this.#same(this.cells(a), this.cells(b), length);
  }

  /** Whether the cells of two records are the same. */
  sameCells(a: number, b: number): boolean {
    const [from_a, from_b] = [this.cells(a), this.cells(b)];
    const length = this.end(a) - from_a;
    return length === this.end(b) - from_b && this.#same(from_a, from_b, length);
  }

  /** Whether the log carried the values of all cells. */
  isWhole(record: number): boolean {
    const end = this.end(record);
    for (let at = this.cells(record); at < end;) {
      const length = this.#view.getInt32(at, true);
      if (length === UNAVAILABLE) return false;
      at += 4 + Math.max(length, 0);
    }
    return true;
  }

  /** Whether two records agree in the cells that both carry. */
  agree(a: number, b: number): boolean {
    const end = this.end(a);
    let at_a = this.cells(a);
    let at_b = this.cells(b);
    while (at_a < end) {
      const length_a = this.#view.getInt32(at_a, true);
      const length_b = this.#view.getInt32(at_b, true);
      at_a += 4;
      at_b += 4;
      if (length_a !== UNAVAILABLE && length_b !== UNAVAILABLE) {
        if (length_a !== length_b || !this.#same(at_a, at_b, length_a)) return false;
      }
      at_a += Math.max(length_a, 0);
      at_b += Math.max(length_b, 0);
    }
    return true;
  }

  /** The order of two records' positions: below 0, 0, or above 0. */
  comparePositions(a: number, b: number): number {
    const { bytes } = this;
    const length_a = this.#view.getInt32(a + AT.position_bytes, true);
    const length_b = this.#view.getInt32(b + AT.position_bytes, true);
    const [from_a, from_b] = [a + HEADER_BYTES, b + HEADER_BYTES];
    const length = Math.min(length_a, length_b);
    for (let at = 0; at < length; at++) {
      const order = bytes[from_a + at]! - bytes[from_b + at]!;
      if (order !== 0) return order;
    }
    return length_a - length_b;
  }

  /** The record as an object. */
  entry(record: number): Entry {
    const op = this.op(record);
    const start = this.cells(record);
    return {
      insert: this.isInsert(record),
      op: op === OP.none ? null : op === OP.other ? "?" : String.fromCharCode(op),
      position: decoder.decode(this.bytes.subarray(record + HEADER_BYTES, start)),
      cells: this.#texts(start, this.end(record)),
      file: this.#view.getInt32(record + AT.file, true),
      row: this.#view.getInt32(record + AT.row, true),
    };
  }

  /** The cells' texts in the order of the columns. */
  #texts(start: number, end: number): Cell[] {
    const cells: Cell[] = [];
    for (let at = start; at < end;) {
      const length = this.#view.getInt32(at, true);
      at += 4;
      if (length < 0) cells.push(length === NULL ? null : undefined);
      else cells.push(decoder.decode(this.bytes.subarray(at, at += length)));
    }
    return this.#places.map((place) => cells[place]);
  }

  #same(a: number, b: number, length: number): boolean {
    const { bytes } = this;
    for (let at = 0; at < length; at++) if (bytes[a + at] !== bytes[b + at]) return false;
    return true;
  }
}
