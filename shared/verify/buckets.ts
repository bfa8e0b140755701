/** Records parted by a hash into buckets, on disk as soon as memory does not hold them. */
import { join } from "node:path";
import type { RecordWriter } from "./record.ts";
import type { Records } from "./records.ts";

/** How buckets are kept. */
export interface BucketOptions {
  /** How many buckets. */
  count: number;
  /** Memory for records, all buckets together; what is more goes to disk. */
  memory_bytes: number;
  /** An existing folder for the buckets' files. */
  folder: string;
  /** Begins the files' names. */
  name: string;
}

/** Each bucket takes records and gives them back in the order in which they came. */
export class Buckets {
  readonly #options: BucketOptions;
  readonly #buckets: Bucket[];

  constructor(options: BucketOptions) {
    const { count, memory_bytes, folder, name } = options;
    this.#options = options;
    this.#buckets = Array.from(
      { length: count },
      (_, bucket) =>
        new Bucket(join(folder, `${name}-${bucket}`), Math.floor(memory_bytes / count)),
    );
  }

  /** Puts a record into the bucket that its hash falls into. */
  add(record: RecordWriter): void {
    this.#buckets[record.hash % this.#options.count]!.add(record);
  }

  /** How many bytes of records a bucket holds. */
  bytes(bucket: number): number {
    return this.#buckets[bucket]!.bytes;
  }

  /** Moves the records of a bucket after those that `records` holds. */
  take(bucket: number, records: Records): void {
    this.#buckets[bucket]!.take(records);
  }

  /** Closes and removes what is left of the files. */
  close(): void {
    for (const bucket of this.#buckets) bucket.close();
  }
}

class Bucket {
  readonly #path: string;
  readonly #room: number;
  /** Made when the first record comes. */
  #held: Int32Array<ArrayBuffer> | undefined;
  #held_bytes = 0;
  #file: Deno.FsFile | undefined;
  #file_bytes = 0;

  constructor(path: string, room: number) {
    this.#path = path;
    this.#room = room;
  }

  get bytes(): number {
    return this.#file_bytes + this.#held_bytes;
  }

  add({ bytes, words, length }: RecordWriter): void {
    if (this.#held_bytes + length > this.#room) {
      this.#spill();
      if (length > this.#room) return this.#write(bytes.subarray(0, length));
    }
    const held = this.#held ??= new Int32Array(Math.ceil(this.#room / 4));
    let to = this.#held_bytes / 4;
    for (let from = 0; from < length / 4; from++) held[to++] = words[from]!;
    this.#held_bytes += length;
  }

  take(records: Records): void {
    this.#file?.seekSync(0, Deno.SeekMode.Start);
    for (let left = records.grow(this.#file_bytes); left.length > 0;) {
      const read = this.#file!.readSync(left);
      if (read === null) throw new Error(`${this.#path} has lost bytes that were written to it`);
      left = left.subarray(read);
    }
    records.grow(this.#held_bytes).set(this.#heldBytes());
    this.#held = undefined;
    this.#held_bytes = this.#file_bytes = 0;
    this.close();
  }

  close(): void {
    if (this.#file === undefined) return;
    this.#file.close();
    this.#file = undefined;
    Deno.removeSync(this.#path);
  }

  #spill(): void {
    this.#write(this.#heldBytes());
    this.#held_bytes = 0;
  }

  #heldBytes(): Uint8Array {
    return this.#held === undefined
      ? new Uint8Array()
      : new Uint8Array(this.#held.buffer, 0, this.#held_bytes);
  }

  #write(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#file ??= Deno.openSync(this.#path, {
      read: true,
      write: true,
      create: true,
      truncate: true,
      mode: 0o600, // rows may be nobody else's business
    });
    for (let at = 0; at < bytes.length;) at += this.#file.writeSync(bytes.subarray(at));
    this.#file_bytes += bytes.length;
  }
}
