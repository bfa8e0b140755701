/** A server in the place of a broker, for what no broker does. */
import { Buffer } from "node:buffer";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A request as it came: its header (version 2) and its body. */
export interface Came {
  readonly key: number;
  readonly version: number;
  readonly correlation: number;
  readonly client_id: string;
  readonly body: Buffer;
}

/** A server that does with each request what `answer` says, and what is connected to it. */
export class Peer implements AsyncDisposable {
  readonly came: Came[] = [];
  readonly #server = createServer((socket) => this.#serve(socket));
  readonly #answer: (came: Came, socket: Socket) => void;

  constructor(answer: (came: Came, socket: Socket) => void) {
    this.#answer = answer;
  }

  /** `host:port`; listens from then on. */
  async address(): Promise<string> {
    if (!this.#server.listening) {
      await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    }
    const { port } = this.#server.address() as AddressInfo;
    return `127.0.0.1:${port}`;
  }

  #serve(socket: Socket): void {
    let held = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 4 && held.length >= 4 + held.readInt32BE(0)) {
        const request = held.subarray(4, 4 + held.readInt32BE(0));
        held = held.subarray(4 + request.length);
        const name_end = 10 + request.readInt16BE(8);
        const came = {
          key: request.readInt16BE(0),
          version: request.readInt16BE(2),
          correlation: request.readInt32BE(4),
          client_id: request.toString("utf8", 10, name_end),
          body: Buffer.from(request.subarray(name_end)),
        };
        this.came.push(came);
        this.#answer(came, socket);
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** An answer as it goes over the wire. */
export function answerOf(correlation: number, body: Uint8Array, tagged: Uint8Array = NONE): Buffer {
  const head = Buffer.alloc(8);
  head.writeInt32BE(4 + tagged.length + body.length, 0);
  head.writeInt32BE(correlation, 4);
  return Buffer.concat([head, tagged, body]);
}

/** No tagged fields. */
const NONE = new Uint8Array(1);
/** The head of an answer to a request that is not flexible. */
export const PLAIN = new Uint8Array();
