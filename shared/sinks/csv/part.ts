/** One CSV file that is being written. */
import { crc32 } from "node:zlib";
import { ConfigError, HistoryLostError } from "../../errors.ts";
import { ByteArena } from "../../wire/byte_arena.ts";
import type { Disk, DiskFile } from "./disk.ts";
import { type Operation, PART } from "./filename.ts";
import type { JournalFile } from "./journal.ts";

/** Lines are handed to the system at the latest when they are so many bytes: below an arena's chunk. */
const PIECE_BYTES = 192 * 1024;
/** What the journal's checksum covers. */
const TAIL_BYTES = 4096;

/** Where lines are made. Accepting a batch is synchronous, so files that few need few of them. */
const spare: ByteArena[] = [];

/** A growing file, `name` with `.part` appended. */
export class Part {
  /** Path inside the output folder, without `.part`. */
  readonly name: string;
  readonly operation: Operation;
  readonly #path: string;
  readonly #file: DiskFile;
  /** Lines that the system does not have yet. */
  #lines: ByteArena | undefined;
  /** Bytes that it has. */
  #bytes: number;
  #rows: number;
  #dirty: boolean;

  private constructor(
    path: string,
    file: DiskFile,
    known: Omit<JournalFile, "tail_crc32">,
    dirty: boolean,
  ) {
    this.name = known.name;
    this.operation = known.operation;
    this.#path = path;
    this.#file = file;
    this.#bytes = known.bytes;
    this.#rows = known.rows;
    this.#dirty = dirty;
  }

  /** Begins a file. The folder must exist. What a flush that did not end left there is overwritten. */
  static create(disk: Disk, output: string, name: string, operation: Operation): Part {
    const path = `${output}/${name}`;
    if (disk.exists(path)) {
      throw new ConfigError(`Cannot write ${path}: a file of that name is there already`, {
        cure: "give every consumer and topic an output folder or a filename of its own",
      });
    }
    const file = disk.open(path + PART, "create");
    return new Part(path, file, { name, operation, bytes: 0, rows: 0 }, true);
  }

  /**
   * Goes on with a file as the journal knows it. What follows is of a flush that did not end,
   * and is cut. Throws HistoryLostError when the file is not what the journal says.
   */
  static resume(disk: Disk, output: string, known: JournalFile): Part {
    const path = `${output}/${known.name}`;
    const wrong = (found: string) =>
      new HistoryLostError(
        `${path}${PART} is not what its journal says: expected ${known.bytes} bytes` +
          ` whose end has CRC-32 ${hex(known.tail_crc32)}, found ${found}`,
        { cure: "restore the file as it was, or start over in an empty output folder" },
      );
    if (!disk.exists(path + PART)) throw wrong("no such file");
    const file = disk.open(path + PART, "append");
    try {
      const size = file.size();
      if (size < known.bytes) throw wrong(`${size} bytes`);
      const found = tailChecksum(file, known.bytes);
      if (found !== known.tail_crc32) throw wrong(`CRC-32 ${hex(found)}: it was edited`);
      if (size > known.bytes) file.truncate(known.bytes);
      return new Part(path, file, known, size > known.bytes);
    } catch (error) {
      file.close();
      throw error;
    }
  }

  /** Size so far, with what is not handed on yet. */
  get bytes(): number {
    return this.#bytes + (this.#lines?.length ?? 0);
  }

  get rows(): number {
    return this.#rows;
  }

  /** Where the next line is to be written, to be counted by `added`. */
  get lines(): ByteArena {
    if (this.#lines === undefined) {
      this.#lines = spare.pop() ?? new ByteArena();
      this.#lines.begin();
    }
    return this.#lines;
  }

  /** Counts the row that was written into `lines`. */
  added(): void {
    this.#rows++;
    if (this.#lines!.length >= PIECE_BYTES) this.handOn();
  }

  /** Gives the system the lines that it does not have: at the end of a batch at the latest. */
  handOn(): void {
    const lines = this.#lines;
    if (lines === undefined) return;
    const bytes = lines.end();
    this.#dirty = true;
    this.#file.write(bytes);
    this.#bytes += bytes.length;
    this.#lines = undefined;
    lines.reset();
    spare.push(lines);
  }

  /** Makes what was added durable, and answers what the journal is to say. */
  async sync(): Promise<JournalFile> {
    const tail_crc32 = tailChecksum(this.#file, this.#bytes);
    if (this.#dirty) {
      await this.#file.sync();
      this.#dirty = false;
    }
    const { name, operation } = this;
    return { name, operation, bytes: this.#bytes, rows: this.#rows, tail_crc32 };
  }

  close(): void {
    this.#file.close();
  }
}

function tailChecksum(file: DiskFile, bytes: number): number {
  const length = Math.min(bytes, TAIL_BYTES);
  return crc32(file.read(bytes - length, length));
}

function hex(checksum: number): string {
  return checksum.toString(16).padStart(8, "0");
}
