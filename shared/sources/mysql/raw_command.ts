/** A command of ours on mysql2's connection: one packet goes out, raw ones come back. */
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";

/** What of mysql2's packet a command uses; its types leave it out. */
export interface Packet {
  readonly buffer: Uint8Array;
  readonly offset: number;
  readonly end: number;
  asError(encoding: string): Error;
}

/** The same of its connection. */
export interface CommandConnection {
  writePacket(packet: unknown): void;
  _resetSequenceId(): void;
  /** What the server said that it can do. */
  readonly serverCapabilityFlags: number;
  addCommand(command: unknown): void;
  readonly stream: { pause(): void; resume(): void; destroy(): void };
}

/** First bytes of packets that are no rows. */
export const OK = 0x00;
export const END = 0xfe;
export const ERROR = 0xff;

/** The server's error in a packet that begins with `ERROR`; its `code` says which. */
export function serverError(packet: Packet): Error {
  return packet.asError("utf8"); // without an encoding the library throws another one
}

/** A command of mysql2's connection that sends one packet and takes raw ones. */
export class RawCommand extends EventEmitter {
  readonly #request: Uint8Array;
  readonly #receive: (packet: Packet) => boolean;
  #sent = false;

  /** `receive` answers whether the command is over. */
  constructor(request: Uint8Array, receive: (packet: Packet) => boolean) {
    super();
    this.#request = request;
    this.#receive = receive;
  }

  /** Called by mysql2: first without a packet, then with each. */
  execute(packet: Packet | undefined, connection: CommandConnection): boolean {
    if (!this.#sent) {
      this.#sent = true;
      connection._resetSequenceId();
      connection.writePacket(asPacket(this.#request));
      return false;
    }
    return packet !== undefined && this.#receive(packet);
  }
}

/** What mysql2's `writePacket` asks of a packet: four bytes in front for length and number. */
function asPacket(payload: Uint8Array) {
  const buffer = Buffer.alloc(payload.length + 4);
  buffer.set(payload, 4);
  return {
    buffer,
    length: () => buffer.length,
    writeHeader(sequence: number) {
      buffer.writeUIntLE(payload.length, 0, 3);
      buffer[3] = sequence;
    },
  };
}
