/** Lines parted by a hash into buckets, on disk as soon as memory does not hold them. */
import { join } from "node:path";

/** How buckets are kept. */
export interface BucketOptions {
  /** How many buckets. */
  count: number;
  /** Text held in memory before it goes to disk, all buckets together; a UTF-16 unit counts 2. */
  memory_bytes: number;
  /** An existing folder for the buckets' files. */
  folder: string;
  /** Begins the files' names. */
  name: string;
}

/** Each bucket takes lines and gives them back in the order in which they came. */
export class Buckets {
  readonly #options: BucketOptions;
  readonly #lines: string[][];
  readonly #files = new Map<number, Deno.FsFile>();
  #held_bytes = 0;

  constructor(options: BucketOptions) {
    this.#options = options;
    this.#lines = Array.from({ length: options.count }, () => []);
  }

  /** Puts `line`, which holds no line end, into the bucket that `hash` falls into. */
  add(hash: number, line: string): void {
    this.#lines[hash % this.#options.count]!.push(line);
    this.#held_bytes += line.length * 2;
    if (this.#held_bytes > this.#options.memory_bytes) this.#spill();
  }

  /** The lines of a bucket, some at a time; the bucket is empty afterwards. */
  *take(bucket: number): Generator<string[]> {
    const file = this.#files.get(bucket);
    if (file !== undefined) {
      file.seekSync(0, Deno.SeekMode.Start);
      yield* linesOf(file);
      file.close();
      this.#files.delete(bucket);
      Deno.removeSync(this.#path(bucket));
    }
    const held = this.#lines[bucket]!;
    this.#lines[bucket] = [];
    this.#held_bytes -= held.reduce((bytes, line) => bytes + line.length * 2, 0);
    yield held;
  }

  /** Closes and removes what is left of the files. */
  close(): void {
    for (const [bucket, file] of this.#files) {
      file.close();
      Deno.removeSync(this.#path(bucket));
    }
    this.#files.clear();
  }

  #spill(): void {
    this.#lines.forEach((lines, bucket) => {
      if (lines.length === 0) return;
      writeLines(this.#file(bucket), lines);
      this.#lines[bucket] = [];
    });
    this.#held_bytes = 0;
  }

  #file(bucket: number): Deno.FsFile {
    let file = this.#files.get(bucket);
    if (file === undefined) {
      file = Deno.openSync(this.#path(bucket), {
        read: true,
        write: true,
        create: true,
        truncate: true,
        mode: 0o600, // rows may be nobody else's business
      });
      this.#files.set(bucket, file);
    }
    return file;
  }

  #path(bucket: number): string {
    return join(this.#options.folder, `${this.#options.name}-${bucket}`);
  }
}

/**
 * Text is written and read in pieces of this size. V8 puts larger strings among the old objects at
 * once, where they stay until a full collection: measured, that costs 100 MB.
 */
const PIECE_BYTES = 64 * 1024;
/** A UTF-16 unit is at most 3 bytes of UTF-8. */
const encoded = new Uint8Array(PIECE_BYTES * 3);
const encoder = new TextEncoder();

function writeLines(file: Deno.FsFile, lines: readonly string[]): void {
  let piece = "";
  for (const line of lines) {
    if (piece.length + line.length >= PIECE_BYTES) {
      writeText(file, piece);
      piece = "";
    }
    piece += line + "\n";
  }
  writeText(file, piece);
}

function writeText(file: Deno.FsFile, text: string): void {
  while (text !== "") {
    const { read, written } = encoder.encodeInto(text, encoded);
    for (let at = 0; at < written;) at += file.writeSync(encoded.subarray(at, written));
    text = text.slice(read);
  }
}

function* linesOf(file: Deno.FsFile): Generator<string[]> {
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(PIECE_BYTES);
  let rest = "";
  for (let read = file.readSync(buffer); read !== null; read = file.readSync(buffer)) {
    const lines = (rest + decoder.decode(buffer.subarray(0, read), { stream: true })).split("\n");
    rest = lines.pop()!;
    yield lines;
  }
}
