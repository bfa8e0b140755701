/**
 * The server's packets, read from the socket of a connected mysql2 connection that nobody else uses any
 * more (https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_basic_packets.html).
 *
 * mysql2 connects, authenticates and speaks TLS. Its parser hands on every packet whether anyone has
 * asked or not; here packets stay bytes until somebody pulls, so the bytes held have a bound.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import type { Connection } from "mysql2";
import { ReceiveBuffer } from "../../connect/receive_buffer.ts";

/** What of mysql2's connection is used; its types leave it out. */
export interface Inside {
  readonly stream: Socket;
  /** What the server said that it can do. */
  readonly serverCapabilityFlags: number;
}

/** The content of a packet. */
export interface Packet {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
}

/** First bytes of packets that are no rows. */
export const OK = 0x00;
export const END = 0xfe;
export const ERROR = 0xff;

/** Length and number of a packet. */
const HEADER_BYTES = 4;
/** After a packet of this length another one goes on with the same content. */
const FULL_LENGTH = 0xff_ffff;

/** Sends commands and reads packets one by one. */
export class PacketSocket {
  readonly #socket: Socket;
  readonly #received: ReceiveBuffer;

  /**
   * The packet that `next` has come to. Its bytes stay until something is awaited, or until `next` is
   * called again.
   */
  readonly packet: { -readonly [Field in keyof Packet]: Packet[Field] } = {
    bytes: new Uint8Array(),
    at: 0,
    end: 0,
  };

  /** Takes the socket over, between two commands. At most `queue_bytes` and one packet are held. */
  constructor(connection: Connection, queue_bytes: number) {
    this.#socket = (connection as unknown as Inside).stream;
    this.#received = new ReceiveBuffer(this.#socket, queue_bytes);
  }

  /** What ended the reading; undefined: it goes on. */
  get failure(): unknown {
    return this.#received.failure;
  }

  /** Bytes that have come in all, of packets that are not whole too. */
  get received_bytes(): number {
    return this.#received.received_bytes;
  }

  /** `error` ends the reading, once all that has come is read; the first counts. */
  fail(error: unknown): void {
    this.#received.fail(error);
  }

  /** Sends a command, which is smaller than 16 MiB. */
  command(content: Uint8Array): void {
    const header = Buffer.alloc(HEADER_BYTES); // number 0 begins a command
    header.writeUIntLE(content.length, 0, 3);
    this.#socket.write(Buffer.concat([header, content]));
  }

  /** Steps over the next packet and points `packet` to its content; false: it has not all come. */
  next(): boolean {
    const received = this.#received;
    let size = 0;
    for (let length = FULL_LENGTH; length === FULL_LENGTH;) {
      if (!received.has(size + HEADER_BYTES)) return false;
      length = received.bytes.readUIntLE(received.at + size, 3);
      size += HEADER_BYTES + length;
    }
    if (!received.has(size)) return false;
    const { packet } = this;
    const { bytes, at } = received;
    packet.bytes = bytes;
    packet.at = at + HEADER_BYTES;
    packet.end = size > FULL_LENGTH ? join(bytes, at, size) : at + size;
    received.at = at + size;
    return true;
  }

  /** Resolves when more has arrived or the reading has ended, at the latest after `timeout_ms`. */
  arrival(timeout_ms?: number): Promise<void> {
    return this.#received.arrival(timeout_ms);
  }

  /** Ends a wait in `arrival`. */
  wake(): void {
    this.#received.wake();
  }

  /** Drops what has come and was not read. */
  drop(failure: unknown): void {
    this.#received.drop(failure);
  }
}

/** Moves the contents of packets that belong together next to each other; answers where they end. */
function join(bytes: Buffer, at: number, size: number): number {
  let end = at + HEADER_BYTES;
  for (let from = at; from < at + size;) {
    const length = bytes.readUIntLE(from, 3);
    const content = from + HEADER_BYTES;
    from = content + length;
    bytes.copyWithin(end, content, from);
    end += length;
  }
  return end;
}

/** Ends a connection at once. Its socket goes first: the server's last words on a closing connection are no news. */
export function endNow(connection: Connection): void {
  (connection as unknown as Inside).stream.destroy();
  connection.destroy();
}

/** The names of errors that a later attempt may not meet; what the others are called decides nothing. */
const PASSING_ERRORS: Readonly<Record<number, string>> = {
  1040: "ER_CON_COUNT_ERROR",
  1053: "ER_SERVER_SHUTDOWN",
  4031: "ER_CLIENT_INTERACTION_TIMEOUT",
};

/** SQLSTATE and the sign before it. */
const STATE_BYTES = 6;

/** The server's error in a packet that begins with `ERROR`; `code` names one that passes. */
export function serverError({ bytes, at, end }: Packet): Error & { readonly code?: string } {
  const number = bytes[at + 1]! | bytes[at + 2]! << 8;
  const text = at + 3 + (bytes[at + 3] === SIGN ? STATE_BYTES : 0);
  const error = new Error(new TextDecoder().decode(bytes.subarray(text, end)));
  return Object.assign(error, { errno: number, code: PASSING_ERRORS[number] });
}

const SIGN = 0x23; // #
