/** Puts rows of the log together to changes: transaction, order, position, changed keys. */
import { Buffer } from "node:buffer";
import type {
  Change,
  Coordinates,
  Op,
  Row,
  SourceIdentity,
  Transaction,
  Value,
} from "../../change.ts";
import { RecordError } from "../../errors.ts";
import { formatPosition, POSITION_LENGTH } from "../../position.ts";
import { latin1Slice } from "../../wire/slice.ts";
import type { Tuple } from "../../wire/pgoutput.ts";
import type { CapturedTable } from "./table.ts";

/** A created row that lacks values: its key changed, and they stand out of line unchanged. */
export interface IncompleteRow {
  readonly table: CapturedTable;
  /** To be completed in place before the batch goes out. */
  readonly after: Tuple;
}

/** Turns rows into changes, in the order in which they are given. */
export class Assembler {
  readonly #source: SourceIdentity;
  readonly #generation: number;
  readonly #now: () => number;
  /** Text of the position, whose last parts are written over for each change. */
  readonly #position = Buffer.alloc(POSITION_LENGTH);
  #transaction: Transaction | undefined;
  #transaction_number = 0;
  #total_order = 0;
  #high = -1;
  #low = -1;
  #row = 0;
  #lsn: number | bigint = 0;
  #ts_ms = 0;
  #changes: Change[] = [];

  constructor(source: SourceIdentity, generation: number, now: () => number) {
    this.#source = source;
    this.#generation = generation;
    this.#now = now;
  }

  /** Whether a transaction has begun and not yet ended. */
  get open(): boolean {
    return this.#transaction !== undefined;
  }

  /** The transaction that begins or is open. */
  get xid(): number {
    return this.#transaction_number;
  }

  /** How many changes wait to be taken. */
  get length(): number {
    return this.#changes.length;
  }

  /** The changes since the last call. */
  take(): Change[] {
    const changes = this.#changes;
    this.#changes = [];
    return changes;
  }

  /** Called before the rows that one call of the consumer asks for. */
  tick(): void {
    this.#ts_ms = this.#now();
  }

  begin(commit_lsn: bigint, ts_us: number, xid: number): void {
    this.#transaction = { id: String(xid), ts_us };
    this.#transaction_number = xid;
    this.#total_order = 0;
    this.#high = -1;
    const generation = this.#generation;
    this.#position.write(formatPosition({ generation, major: commit_lsn, minor: 0n, row: 0 }));
  }

  end(): void {
    this.#transaction = undefined;
  }

  /** The rows that follow stand at this LSN: its upper and lower 32 bits. */
  at(high: number, low: number): void {
    if (high === this.#high && low === this.#low) return;
    this.#high = high;
    this.#low = low;
    this.#row = 0;
    const lsn = high * 2 ** 32 + low;
    this.#lsn = Number.isSafeInteger(lsn) ? lsn : BigInt(high) << 32n | BigInt(low);
    writeHex(this.#position, MINOR_AT, high);
    writeHex(this.#position, MINOR_AT + 8, low);
  }

  insert(table: CapturedTable, after: Row): void {
    this.#add("c", table, null, after);
  }

  /**
   * `before`: the old row, null when the log says only that the key is the same; `key_only`: only the
   * columns of the replica identity are in it. Answers a row that must be completed, if there is one.
   */
  update(
    table: CapturedTable,
    before: Tuple | null,
    key_only: boolean,
    after: Tuple,
  ): IncompleteRow | undefined {
    if (before === null) {
      this.#add("u", table, null, after);
      return undefined;
    }
    complete(after, before, key_only ? table.identity : after.keys());
    if (!keyChanged(table, before, after)) {
      this.#add("u", table, key_only ? null : before, after);
      return undefined;
    }
    this.#add("d", table, key_only ? onlyIdentity(table, before) : before, null);
    this.#add("c", table, null, after);
    return after.includes(undefined) ? { table, after } : undefined;
  }

  delete(table: CapturedTable, before: Tuple, key_only: boolean): void {
    this.#add("d", table, key_only ? onlyIdentity(table, before) : before, null);
  }

  truncate(table: CapturedTable): void {
    this.#add("t", table, null, null);
  }

  #add(op: Op, table: CapturedTable, before: Row | null, after: Row | null): void {
    if (this.#transaction === undefined) {
      throw new RecordError("The log holds a row outside of any transaction");
    }
    const row = this.#row++;
    writeHex(this.#position, ROW_AT, row);
    const coordinates: Coordinates = { txId: this.#transaction_number, lsn: this.#lsn, row };
    this.#changes.push({
      op,
      source: this.#source,
      table: table.schema,
      before,
      after,
      position: latin1Slice(this.#position, 0, POSITION_LENGTH),
      coordinates,
      transaction: this.#transaction,
      total_order: ++this.#total_order,
      ts_ms: this.#ts_ms,
    });
  }
}

/** Where the text of a position has its minor part and its row: after generation and major. */
const MINOR_AT = 8 + 1 + 16 + 1;
const ROW_AT = MINOR_AT + 16 + 1;

/** Writes 32 bits as 8 hexadecimal digits. A new text for each part would cost more than the change. */
function writeHex(text: Buffer, at: number, value: number): void {
  for (let shift = 28; shift >= 0; shift -= 4) {
    const digit = value >>> shift & 15;
    text[at++] = digit < 10 ? 0x30 + digit : 0x57 + digit;
  }
}

/** Whether the row has another key than before. Without a key the whole row is the key. */
function keyChanged(table: CapturedTable, before: Tuple, after: Tuple): boolean {
  const { key } = table.schema;
  if (key.length === 0) return after.some((value, index) => !sameValue(before[index], value));
  return key.some((index) => !sameValue(before[index], after[index]));
}

/** Equal to the byte: 1.0 and 1.00 are two numerics, as in the log. */
function sameValue(one: Value | undefined, other: Value | undefined): boolean {
  if (one instanceof Uint8Array && other instanceof Uint8Array) {
    return Buffer.compare(one, other) === 0;
  }
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((item, at) => sameValue(item, other[at]));
  }
  return Object.is(one, other);
}

/** The old row with the values that it carries; the others are not known, which is not null. */
function onlyIdentity(table: CapturedTable, before: Tuple): Tuple {
  return before.map((value, index) => table.identity.includes(index) ? value : undefined);
}

/** Values that stand out of line unchanged are those of the old row, as far as that carries them. */
function complete(after: Tuple, before: Tuple, columns: Iterable<number>): void {
  for (const index of columns) if (after[index] === undefined) after[index] = before[index];
}
