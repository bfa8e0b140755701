/** The lines of a consumer's CSV file. */
import { RecordError } from "../errors.ts";
import type { CsvFile } from "../sinks/csv/files.ts";
import { CsvReader } from "../wire/csv_reader.ts";
import type { VerifyOptions } from "./options.ts";

/** Few enough reads to cost nothing, and a piece stays in the processor's cache. */
const READ_BYTES = 256 * 1024;

/** A file's lines up to the bytes that count: `read` a piece, go through its lines by `next`. */
export class Lines {
  /** Stands at a line after `next`. */
  readonly line: CsvReader;
  readonly #file: CsvFile;
  readonly #handle: Deno.FsFile;
  #buffer = new Uint8Array(READ_BYTES);
  #left: number;
  #is_ended = false;

  private constructor(file: CsvFile, handle: Deno.FsFile, options: VerifyOptions["files"]) {
    const { unavailable_value, escape_formulas } = options;
    this.line = new CsvReader({ name: file.path, unavailable_value, escape_formulas });
    this.#file = file;
    this.#handle = handle;
    this.#left = file.bytes;
  }

  static async open(file: CsvFile, options: VerifyOptions["files"]): Promise<Lines> {
    return new Lines(file, await Deno.open(file.path), options);
  }

  [Symbol.dispose](): void {
    this.#handle.close();
  }

  /**
   * Reads a piece; answers its bytes, which are 0 at the file's end, where a last line may still come,
   * and undefined after it. Throws RecordError.
   */
  async read(): Promise<number | undefined> {
    if (this.#is_ended) return undefined;
    try {
      const { unread } = this.line;
      if (unread > this.#buffer.length) this.#buffer = new Uint8Array(unread);
      const room = this.#buffer.subarray(0, Math.min(this.#left, this.#buffer.length));
      const bytes = room.length === 0 ? 0 : await this.#handle.read(room) ?? 0;
      this.#left -= bytes;
      this.#is_ended = bytes === 0;
      if (this.#is_ended) this.line.end();
      else this.line.push(room.subarray(0, bytes));
      return bytes;
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  /** Moves on to the next line; false: none is whole before more is read. Throws RecordError. */
  next(): boolean {
    try {
      return this.line.next();
    } catch (error) {
      throw this.#unreadable(error);
    }
  }

  #unreadable(cause: unknown): RecordError {
    return new RecordError(`Cannot read ${this.#file.path} as CSV`, {
      cure: "restore the file as the consumer wrote it",
      cause,
    });
  }
}
