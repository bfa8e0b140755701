/** Reads the parts of PostgreSQL's messages out of a buffer, and never beyond the message's end. */
import type { Buffer } from "node:buffer";
import { RecordError } from "../errors.ts";

/** Microseconds from the Unix epoch to PostgreSQL's, 2000-01-01 (`datetime/timestamp.h`). */
const EPOCH_US = 946_684_800_000_000;

/** A cursor over the bytes `at` ... `end` of a buffer; all numbers are big endian. */
export class WireReader {
  bytes: Buffer;
  at: number;
  end: number;

  constructor(bytes: Buffer, from = 0, to = bytes.length) {
    this.bytes = bytes;
    this.at = from;
    this.end = to;
  }

  /** Throws RecordError unless `count` more bytes belong to the message. */
  need(count: number): void {
    if (count > this.end - this.at) {
      throw new RecordError(
        `A replication message ends too early: ${count} more bytes are announced,` +
          ` ${this.end - this.at} are there`,
      );
    }
  }

  u8(): number {
    this.need(1);
    return this.bytes[this.at++]!;
  }

  u16(): number {
    this.need(2);
    const value = this.bytes.readUInt16BE(this.at);
    this.at += 2;
    return value;
  }

  u32(): number {
    this.need(4);
    const value = this.bytes.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  i32(): number {
    return this.u32() | 0;
  }

  u64(): bigint {
    const high = this.u32();
    return BigInt(high) << 32n | BigInt(this.u32());
  }

  /** A timestamp as microseconds since the Unix epoch: exact up to the year 2255. */
  timeUs(): number {
    const high = this.i32();
    return high * 2 ** 32 + this.u32() + EPOCH_US;
  }

  /** Text up to the next zero byte. */
  cstring(): string {
    const zero = this.bytes.indexOf(0, this.at);
    if (zero < 0 || zero >= this.end) {
      throw new RecordError("A replication message holds a name without its closing zero byte");
    }
    const text = this.bytes.toString("utf8", this.at, zero);
    this.at = zero + 1;
    return text;
  }

  /** Throws RecordError when bytes are left over. */
  finish(what: string): void {
    if (this.at !== this.end) {
      throw new RecordError(
        `A replication message (${what}) has ${this.end - this.at} bytes too many`,
      );
    }
  }
}
