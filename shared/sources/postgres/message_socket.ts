/**
 * The server's messages, read from the socket of a connected `pg` client that nobody else uses any more.
 *
 * `pg` connects, authenticates and speaks TLS. Behind that its parser makes an event, a buffer and an
 * object of every row and hands them on whether anyone has asked or not; here messages stay bytes in
 * the socket's chunks until somebody pulls, so the bytes held have a bound, and a row costs no object
 * before it is a change.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type pg from "pg";
import { WireReader } from "../../wire/postgres_reader.ts";
import type { Inside } from "./connection.ts";

/** Reads messages one by one. */
export class MessageSocket {
  readonly #client: pg.Client;
  readonly #socket: Socket;
  readonly #queue_bytes: number;
  /** Chunks not yet looked at, and the bytes in them. */
  #chunks: Buffer[] = [];
  #queued_bytes = 0;
  /** Bytes that the next message needs beyond the current chunk: then they come above the bound too. */
  #needed_bytes = 0;
  #paused = false;
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #failure: unknown;
  #wake: (() => void) | undefined;

  /** The content of the message that `next` has come to. */
  readonly message: WireReader = new WireReader(Buffer.alloc(0));

  /**
   * Takes the socket over. At most `queue_bytes` and one message are held; `explained` turns what
   * ended the connection into what `next` throws.
   */
  constructor(client: pg.Client, queue_bytes: number, explained: (error: unknown) => unknown) {
    this.#client = client;
    this.#queue_bytes = queue_bytes;
    this.#socket = (client as unknown as Inside).connection.stream;
    this.#socket.removeAllListeners("data");
    this.#socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    this.#socket.on("error", (error) => this.fail(explained(error)));
    this.#socket.on("close", () => this.fail(explained(undefined)));
  }

  /** What ended the connection; undefined: it is open. */
  get failure(): unknown {
    return this.#failure;
  }

  /** `error` ends the reading; the first counts. */
  fail(error: unknown): void {
    this.#failure ??= error;
    this.wake();
  }

  /** Sends a simple query. */
  query(text: string): void {
    (this.#client as unknown as Inside).connection.query(text);
  }

  /** Sends bytes, if the connection can still take any. */
  write(bytes: Buffer): void {
    if (this.#failure === undefined && this.#socket.writable) this.#socket.write(bytes);
  }

  /**
   * Steps over the next message of the protocol and points `message` to its content; answers its type,
   * 0 when it has not all come. Throws what ended the connection, once everything is read.
   */
  next(): number {
    if (!this.#ensure(5)) return 0;
    const length = this.#bytes.readUInt32BE(this.#at + 1);
    if (!this.#ensure(1 + length)) return 0;
    const type = this.#bytes[this.#at]!;
    const { message } = this;
    message.bytes = this.#bytes;
    message.at = this.#at + 5;
    message.end = this.#at + 1 + length;
    this.#at = message.end;
    return type;
  }

  /** Resolves when more has arrived or the connection has ended, at the latest after `timeout_ms`. */
  arrival(timeout_ms?: number): Promise<void> {
    const enough = this.#queued_bytes > 0 && this.#queued_bytes >= this.#needed_bytes;
    if (enough || this.#failure !== undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = timeout_ms === undefined ? undefined : setTimeout(resolve, timeout_ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** Ends a wait in `arrival`. */
  wake(): void {
    this.#wake?.();
    this.#wake = undefined;
  }

  /** Ends the connection with the last bytes `farewell`; resolves when the server has, or soon after. */
  async close(failure: unknown, farewell: Buffer, timeout_ms: number): Promise<void> {
    this.fail(failure);
    this.#chunks = [];
    this.#socket.removeAllListeners("data");
    this.#socket.on("data", () => {}); // what still comes is not for anyone
    this.#socket.resume();
    if (this.#socket.destroyed) return;
    const closed = new Promise<void>((resolve) => this.#socket.once("close", () => resolve()));
    this.#socket.write(farewell);
    this.#client.end().catch(() => {});
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<void>((resolve) => timer = setTimeout(resolve, timeout_ms));
    await Promise.race([closed, late]);
    clearTimeout(timer);
    this.#socket.destroy();
  }

  /** Ends the connection at once: the server finds out. */
  destroy(failure: unknown): void {
    this.fail(failure);
    this.#chunks = [];
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#chunks.push(chunk);
    this.#queued_bytes += chunk.length;
    const bound = Math.max(this.#queue_bytes, this.#needed_bytes);
    if (this.#queued_bytes >= bound && !this.#paused) {
      this.#paused = true;
      this.#socket.pause();
    }
    if (this.#queued_bytes >= this.#needed_bytes) this.wake();
  }

  #unpause(): void {
    if (!this.#paused) return;
    if (this.#queued_bytes > this.#queue_bytes / 2 && this.#needed_bytes === 0) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Makes the next `count` bytes stand together behind `#at`; false when they have not all come. */
  #ensure(count: number): boolean {
    const rest = this.#bytes.length - this.#at;
    if (rest >= count) return true;
    if (rest + this.#queued_bytes < count) {
      this.#needed_bytes = count - rest;
      this.#unpause();
      if (this.#failure !== undefined) throw this.#failure;
      return false;
    }
    this.#needed_bytes = 0;
    this.#bytes = rest === 0 ? this.#takeChunk() : this.#join(rest, count);
    this.#at = 0;
    this.#unpause();
    return this.#bytes.length >= count || this.#ensure(count);
  }

  #takeChunk(): Buffer {
    const chunk = this.#chunks.shift()!;
    this.#queued_bytes -= chunk.length;
    return chunk;
  }

  #join(rest: number, count: number): Buffer {
    const parts = [this.#bytes.subarray(this.#at)];
    for (let have = rest; have < count;) {
      const chunk = this.#takeChunk();
      parts.push(chunk);
      have += chunk.length;
    }
    return Buffer.concat(parts);
  }
}

/** Letters of messages (documentation, "Message Formats"). */
export const MESSAGE = {
  command_complete: 0x43, // C
  copy_both: 0x57, // W
  copy_data: 0x64, // d
  copy_done: 0x63, // c
  data_row: 0x44, // D
  error: 0x45, // E
  ready: 0x5a, // Z
} as const;

/** The error that a message of type `error` tells, with its SQLSTATE as `code`. */
export function readServerError(message: WireReader): Error & { readonly code?: string } {
  const fields = new Map<string, string>();
  while (message.at < message.end) {
    const type = message.u8();
    if (type === 0) break;
    fields.set(String.fromCharCode(type), message.cstring());
  }
  const error = new Error(fields.get("M") ?? "an error without a message");
  const [code, detail, hint] = ["C", "D", "H"].map((field) => fields.get(field));
  return Object.assign(error, { code, detail, hint });
}
