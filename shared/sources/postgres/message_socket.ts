/**
 * The server's messages, read from the socket of a connected `pg` client that nobody else uses any more.
 *
 * `pg` connects, authenticates and speaks TLS. After that its parser makes an event, a buffer and an
 * object of every row and hands them on whether anyone has asked or not; here messages stay bytes
 * until somebody pulls, so the bytes held have a bound, and a row costs no object before it is a
 * change.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type pg from "pg";
import { ReceiveBuffer } from "../../connect/receive_buffer.ts";
import { WireReader } from "../../wire/postgres_reader.ts";
import type { Inside } from "./connection.ts";

/** Reads messages one by one. */
export class MessageSocket {
  readonly #client: pg.Client;
  readonly #socket: Socket;
  readonly #received: ReceiveBuffer;

  /** The content of the message that `next` has come to. */
  readonly message: WireReader = new WireReader(Buffer.alloc(0));

  /**
   * Takes the socket over. At most `queue_bytes` and one message are held; `explained` turns what
   * ended the connection into what `next` throws.
   */
  constructor(client: pg.Client, queue_bytes: number, explained: (error: unknown) => unknown) {
    this.#client = client;
    this.#socket = (client as unknown as Inside).connection.stream;
    this.#received = new ReceiveBuffer(this.#socket, queue_bytes);
    this.#socket.on("error", (error) => this.fail(explained(error)));
    this.#socket.on("close", () => this.fail(explained(undefined)));
  }

  /** What ended the connection; undefined: it is open. */
  get failure(): unknown {
    return this.#received.failure;
  }

  /** `error` ends the reading; the first counts. */
  fail(error: unknown): void {
    this.#received.fail(error);
  }

  /** Sends a simple query. */
  query(text: string): void {
    (this.#client as unknown as Inside).connection.query(text);
  }

  /** Sends bytes, if the connection can still take any. */
  write(bytes: Buffer): void {
    if (this.failure === undefined && this.#socket.writable) this.#socket.write(bytes);
  }

  /**
   * Steps over the next message of the protocol and points `message` to its content; answers its type,
   * 0 when it has not all come. Throws what ended the connection, once everything is read.
   */
  next(): number {
    const received = this.#received;
    if (!received.has(5)) return this.#none();
    const length = received.bytes.readUInt32BE(received.at + 1);
    if (!received.has(1 + length)) return this.#none();
    const { message } = this;
    const { bytes, at } = received;
    message.bytes = bytes;
    message.at = at + 5;
    message.end = received.at = at + 1 + length;
    return bytes[at]!;
  }

  #none(): 0 {
    if (this.failure !== undefined) throw this.failure;
    return 0;
  }

  /** Resolves when more has arrived or the connection has ended, at the latest after `timeout_ms`. */
  arrival(timeout_ms?: number): Promise<void> {
    return this.#received.arrival(timeout_ms);
  }

  /** Ends a wait in `arrival`. */
  wake(): void {
    this.#received.wake();
  }

  /** Ends the connection with the last bytes `farewell`; resolves when the server has, or soon after. */
  async close(failure: unknown, farewell: Buffer, timeout_ms: number): Promise<void> {
    this.#received.drop(failure);
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
    this.#received.drop(failure);
    this.#socket.destroy();
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
