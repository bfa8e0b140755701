/**
 * Requests to Kafka's brokers and their answers, field by field: https://kafka.apache.org/protocol
 * Versions that are called flexible write lengths as varints and end each structure with tagged
 * fields; ours have none, and those of an answer are passed over.
 */
import { Buffer } from "node:buffer";

/** The bytes are not the message that they should be. */
export class MalformedMessageError extends Error {}

/** A field's form: how its value is written and read. */
export interface Field<Value> {
  write(to: MessageWriter, value: Value): void;
  read(from: MessageReader): Value;
}

/** The value that a field holds. */
// deno-lint-ignore no-explicit-any -- of every field
type ValueOf<Of extends Field<any>> = Of extends Field<infer Value> ? Value : never;

/** From here on bytes stay a piece of their own instead of being copied. */
const PIECE_BYTES = 4 << 10;

/** Writes a message into pieces. */
export class MessageWriter {
  readonly #pieces: Uint8Array[] = [];
  #buffer = Buffer.allocUnsafe(512);
  #at = 0;

  /** What was written, piece by piece. */
  get pieces(): readonly Uint8Array[] {
    return this.#at === 0 ? this.#pieces : [...this.#pieces, this.#buffer.subarray(0, this.#at)];
  }

  int8(value: number): void {
    const at = this.#take(1);
    this.#buffer.writeInt8(value, at);
  }

  int16(value: number): void {
    const at = this.#take(2);
    this.#buffer.writeInt16BE(value, at);
  }

  int32(value: number): void {
    const at = this.#take(4);
    this.#buffer.writeInt32BE(value, at);
  }

  int64(value: bigint): void {
    const at = this.#take(8);
    this.#buffer.writeBigInt64BE(value, at);
  }

  /** An unsigned varint, of a value below 2^31. */
  varint(value: number): void {
    for (; value >= 0x80; value >>>= 7) this.int8((value & 0x7f | 0x80) << 24 >> 24);
    this.int8(value);
  }

  /** Large ones are not copied: they must stay as they are until the message has gone out. */
  bytes(bytes: Uint8Array): void {
    if (bytes.length >= PIECE_BYTES) {
      this.#pieces.push(...this.#at === 0 ? [] : [this.#buffer.subarray(0, this.#at)], bytes);
      this.#buffer = this.#buffer.subarray(this.#at);
      this.#at = 0;
      return;
    }
    const at = this.#take(bytes.length);
    this.#buffer.set(bytes, at);
  }

  /** Where so many bytes go in `#buffer`, which it may replace. */
  #take(bytes: number): number {
    const at = this.#at;
    this.#at += bytes;
    if (this.#at > this.#buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(512, this.#at * 2));
      grown.set(this.#buffer.subarray(0, at));
      this.#buffer = grown;
    }
    return at;
  }
}

/** Reads a message; throws MalformedMessageError where it ends too early. */
export class MessageReader {
  readonly #bytes: Buffer;
  #at: number;

  constructor(bytes: Buffer, from = 0) {
    this.#bytes = bytes;
    this.#at = from;
  }

  /** Bytes that are left. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1));
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2));
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4));
  }

  int64(): bigint {
    return this.#bytes.readBigInt64BE(this.#take(8));
  }

  /** An unsigned varint, of a value below 2^31. */
  varint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes.readUint8(this.#take(1));
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80 && value < 2 ** 31) return value;
    }
    throw new MalformedMessageError(`The varint before byte ${this.#at} is above 2^31`);
  }

  /** A view into the message. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  /** Passes over the tagged fields at the end of a structure. */
  skipTagged(): void {
    for (let count = this.varint(); count > 0; count--) {
      this.varint();
      this.#take(this.varint());
    }
  }

  #take(bytes: number): number {
    if (bytes > this.left) {
      throw new MalformedMessageError(
        `The message has ${this.#bytes.length} bytes; ${bytes} are read from byte ${this.#at} on`,
      );
    }
    const at = this.#at;
    this.#at += bytes;
    return at;
  }
}

export const int8: Field<number> = {
  write: (to, value) => to.int8(value),
  read: (from) => from.int8(),
};

export const int16: Field<number> = {
  write: (to, value) => to.int16(value),
  read: (from) => from.int16(),
};

export const int32: Field<number> = {
  write: (to, value) => to.int32(value),
  read: (from) => from.int32(),
};

export const int64: Field<bigint> = {
  write: (to, value) => to.int64(value),
  read: (from) => from.int64(),
};

/** An INT64 that stays within ±2^53: an offset, a time. */
export const long: Field<number> = {
  write: (to, value) => to.int64(BigInt(value)),
  read: (from) => Number(from.int64()),
};

export const boolean: Field<boolean> = {
  write: (to, value) => to.int8(Number(value)),
  read: (from) => from.int8() !== 0,
};

/** 16 bytes, as hexadecimal digits in groups: `00000000-0000-0000-0000-000000000000`. */
export const uuid: Field<string> = {
  write: (to, value) => to.bytes(Buffer.from(value.replaceAll("-", ""), "hex")),
  read: (from) =>
    from.bytes(16).toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-"),
};

/** What a length stands before: of COMPACT_... types as a varint of one more, 0 for null. */
interface Length {
  write(to: MessageWriter, length: number): void;
  /** -1: null. */
  read(from: MessageReader): number;
}

const compact: Length = {
  write: (to, length) => to.varint(length + 1),
  read: (from) => from.varint() - 1,
};
const wide: Length = int32;
const narrow: Length = int16;

function optionalBytes(length: Length): Field<Uint8Array | null> {
  return {
    write(to, value) {
      length.write(to, value?.length ?? -1);
      if (value !== null) to.bytes(value);
    },
    read(from) {
      const count = length.read(from);
      return count < 0 ? null : from.bytes(count);
    },
  };
}

function optionalText(length: Length): Field<string | null> {
  const bytes = optionalBytes(length);
  return {
    write: (to, value) => bytes.write(to, value === null ? null : Buffer.from(value)),
    read: (from) => (bytes.read(from) as Buffer | null)?.toString("utf8") ?? null,
  };
}

function optionalList<Item>(length: Length, item: Field<Item>): Field<readonly Item[] | null> {
  return {
    write(to, value) {
      length.write(to, value?.length ?? -1);
      for (const one of value ?? []) item.write(to, one);
    },
    read(from) {
      const count = length.read(from);
      if (count < 0) return null;
      if (count > from.left) {
        throw new MalformedMessageError(`A list of ${count} in the last ${from.left} bytes`);
      }
      return Array.from({ length: count }, () => item.read(from));
    },
  };
}

function notNull<Value>(field: Field<Value | null>): Field<Value> {
  return {
    write: (to, value) => field.write(to, value),
    read(from) {
      const value = field.read(from);
      if (value === null) throw new MalformedMessageError("A field is null that may not be");
      return value;
    },
  };
}

/** COMPACT_STRING and COMPACT_NULLABLE_STRING. */
export const textOrNull = optionalText(compact);
export const text = notNull(textOrNull);
/** COMPACT_BYTES, COMPACT_RECORDS; views into the answer. */
export const bytes = notNull(optionalBytes(compact));
/** COMPACT_ARRAY. */
export const listOrNull = <Item>(item: Field<Item>) => optionalList(compact, item);
export const list = <Item>(item: Field<Item>) => notNull(listOrNull(item));

/** STRING, BYTES and ARRAY of versions that are not flexible. */
export const plainTextOrNull = optionalText(narrow);
export const plainText = notNull(plainTextOrNull);
export const plainBytesOrNull = optionalBytes(wide);
export const plainBytes = notNull(plainBytesOrNull);
export const plainListOrNull = <Item>(item: Field<Item>) => optionalList(wide, item);
export const plainList = <Item>(item: Field<Item>) => notNull(plainListOrNull(item));

// deno-lint-ignore no-explicit-any -- fields of any values
type Shape = Readonly<Record<string, Field<any>>>;
type Values<Of extends Shape> = { readonly [Name in keyof Of]: ValueOf<Of[Name]> };

/** Fields one after another, and no tagged ones after them. */
export function plainStruct<Of extends Shape>(shape: Of): Field<Values<Of>> {
  const fields = Object.entries(shape);
  return {
    write(to, values) {
      for (const [name, field] of fields) field.write(to, values[name]);
    },
    read: (from) =>
      Object.fromEntries(fields.map(([name, field]) => [name, field.read(from)])) as Values<Of>,
  };
}

/** Fields one after another, with tagged ones after them. */
export function struct<Of extends Shape>(shape: Of): Field<Values<Of>> {
  const fields = plainStruct(shape);
  return {
    write(to, values) {
      fields.write(to, values);
      to.varint(0);
    },
    read(from) {
      const values = fields.read(from);
      from.skipTagged();
      return values;
    },
  };
}
