/**
 * One connection to a broker: requests go out, answers come back. All reads go into one piece of
 * memory, and each answer is put together in a piece of its own size.
 */
import { Buffer } from "node:buffer";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { ReusedReads } from "../connect/reused_reads.ts";
import { endpoint } from "../jobs/permissions.ts";
import type { TlsSettings } from "../jobs/tls.ts";
import { MessageReader } from "../wire/kafka_message.ts";
import type { Settings } from "./options.ts";
import { errorName } from "./error_names.ts";
import { logIn, LoginError } from "./login.ts";
import { type Request, saslAuthenticate, saslHandshake } from "./requests.ts";

/** How to connect, and how long to wait. */
export interface ConnectionSettings extends Pick<Settings, "client_id" | "connect_timeout_ms"> {
  /** Undefined: no TLS. */
  readonly tls:
    | Omit<TlsSettings, "rejectUnauthorized"> & { rejectUnauthorized: boolean }
    | undefined;
  readonly sasl: Settings["sasl"];
  /** For the answer to a request. */
  readonly answer_timeout_ms: number;
}

/** A request that waits for its answer. */
interface Asked {
  /** Takes the answer in. */
  readonly answered: (body: Buffer) => void;
  readonly failed: (error: Error) => void;
  readonly flexible: boolean;
  readonly timer: ReturnType<typeof setTimeout>;
}

/** A larger request goes to the socket in pieces as they are. */
const JOINED_BYTES = 16 << 10;
/** Far above what a broker may answer with; a larger size is none. */
const LARGEST_ANSWER = 1 << 30;
/** Of the time after which the broker wants another login. */
const LOGIN_SHARE = 0.8;

/** Of a longer one a timer is set off at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** A connection from its opening to its first failure, its end, or the end of its login. */
export class BrokerConnection {
  readonly #at: { readonly host: string; readonly port: number };
  readonly #settings: ConnectionSettings;
  readonly #socket: Socket;
  readonly #client_id: Buffer;
  readonly #retired: () => void;
  readonly #requests = new Map<number, Asked>();
  #correlation = 0;
  /** The size of the answer that comes next, as far as it has come. */
  readonly #size = Buffer.alloc(4);
  #size_bytes = 0;
  /** The answer, as far as it has come. */
  #answer: Buffer | undefined;
  #answer_bytes = 0;
  #relogin: ReturnType<typeof setTimeout> | undefined;
  #retiring = false;
  #failure: Error | undefined;
  #is_ready = false;

  /** Resolves when requests may be sent: connected, and logged in where `sasl` says so. */
  readonly ready: Promise<void>;

  /**
   * @param at `host:port`.
   * @param retired told once when no further request is to be sent here: closed, or the login ends soon.
   */
  constructor(at: string, settings: ConnectionSettings, retired: () => void) {
    const { host, port } = this.#at = endpoint(at);
    this.#settings = settings;
    this.#client_id = Buffer.from(settings.client_id);
    this.#retired = retired;
    this.#socket = settings.tls === undefined
      ? new ReusedReads().reuse().connect(port, host)
      : connectTls({ ...settings.tls, host, port });
    this.ready = this.#open();
    this.ready.catch(() => {}); // whoever sends hears of it
  }

  /** Whether requests may be sent at once. */
  get is_ready(): boolean {
    return this.#is_ready;
  }

  /** Whether it is over. */
  get failed(): boolean {
    return this.#failure !== undefined;
  }

  /** Asks the broker. Throws what ended the connection, and MalformedMessageError, which does not end it. */
  ask<Question, Answer>(request: Request<Question, Answer>, question: Question): Promise<Answer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    this.#correlation = (this.#correlation + 1) & 0x7fffffff;
    const pieces = request.encode(question);
    this.#write([this.#head(request, this.#correlation, pieces), ...pieces]);
    const { answer_timeout_ms } = this.#settings;
    const timer = setTimeout(() => {
      this.#fail(new Error(`${request.name} was not answered within ${answer_timeout_ms} ms`));
    }, answer_timeout_ms);
    this.#requests.set(this.#correlation, {
      answered: (body) => resolve(request.decode(body)),
      failed: reject,
      flexible: request.flexible,
      timer,
    });
    return promise;
  }

  /** Ends the connection without waiting for a peer that may be gone. */
  destroy(): void {
    this.#fail(new Error("Connection closed"));
  }

  async #open(): Promise<void> {
    const { tls, sasl, connect_timeout_ms } = this.#settings;
    const { host, port } = this.#at;
    const socket = this.#socket.setNoDelay(true);
    const timer = setTimeout(() => {
      this.#fail(new Error(`Connection to ${host}:${port} timed out`));
    }, connect_timeout_ms);
    try {
      await new Promise<void>((resolve, reject) => {
        socket.on(tls === undefined ? "connect" : "secureConnect", resolve);
        socket.on("error", (cause) => {
          this.#fail(new Error(`Connection to ${host}:${port} failed`, { cause }));
        });
        socket.on("close", () => {
          this.#fail(new Error("Connection closed"));
          reject(this.#failure);
        });
      });
      socket.on("data", (chunk: Buffer) => this.#receive(chunk));
      if (sasl !== undefined) await this.#login(sasl);
      this.#is_ready = true;
    } catch (error) {
      this.#fail(error as Error);
      throw error;
    } finally {
      clearTimeout(timer);
    }
  }

  async #login(sasl: NonNullable<Settings["sasl"]>): Promise<void> {
    const mechanism = sasl.mechanism.toUpperCase();
    const { error_code, mechanisms } = await this.ask(saslHandshake, { mechanism });
    if (error_code !== 0) {
      throw new LoginError(
        `${errorName(error_code)}: ${mechanism}, and the broker knows ${mechanisms.join(", ")}`,
      );
    }
    let lifetime_ms = 0;
    await logIn(sasl, async (auth_bytes) => {
      const answer = await this.ask(saslAuthenticate, { auth_bytes });
      if (answer.error_code !== 0) {
        throw new LoginError(answer.error_message ?? errorName(answer.error_code));
      }
      lifetime_ms = answer.session_lifetime_ms;
      return answer.auth_bytes;
    });
    // A new connection logs in anew; this one ends when all answers are there.
    if (lifetime_ms > 0) {
      const share_ms = Math.min(lifetime_ms * LOGIN_SHARE, LONGEST_TIMER_MS);
      this.#relogin = setTimeout(() => this.#retire(), share_ms);
    }
  }

  #retire(): void {
    this.#retiring = true;
    this.#retired();
    this.#endRetired();
  }

  #endRetired(): void {
    if (this.#retiring && this.#requests.size === 0) this.destroy();
  }

  /** The first of all failures ends everything. */
  #fail(error: Error): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearTimeout(this.#relogin);
    this.#socket.destroy();
    this.#answer = undefined;
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    if (!this.#retiring) this.#retired();
    for (const { failed, timer } of requests) {
      clearTimeout(timer);
      failed(error);
    }
  }

  // Requests ----------------------------------------------------------------------------------------

  /** Size and header (version 1, or 2 with tagged fields) of a request. */
  #head(
    { key, version, flexible }: Pick<Request<never, unknown>, "key" | "version" | "flexible">,
    correlation: number,
    body: readonly Uint8Array[],
  ): Buffer {
    const client_id = this.#client_id;
    const head = Buffer.alloc(14 + client_id.length + (flexible ? 1 : 0));
    const body_bytes = body.reduce((sum, { length }) => sum + length, 0);
    head.writeInt32BE(head.length - 4 + body_bytes, 0);
    head.writeInt16BE(key, 4);
    head.writeInt16BE(version, 6);
    head.writeInt32BE(correlation, 8);
    head.writeInt16BE(client_id.length, 12);
    client_id.copy(head, 14);
    return head; // no tagged fields: the last byte is 0
  }

  /** Small pieces joined, large ones as they are. */
  #write(pieces: readonly Uint8Array[]): void {
    let small: Uint8Array[] = [];
    let bytes = 0;
    const flush = () => {
      if (bytes > 0) this.#socket.write(Buffer.concat(small));
      [small, bytes] = [[], 0];
    };
    for (const piece of pieces) {
      if (piece.length > JOINED_BYTES) {
        flush();
        this.#socket.write(piece);
      } else {
        small.push(piece);
        bytes += piece.length;
      }
    }
    flush();
  }

  // Answers -----------------------------------------------------------------------------------------

  /** Takes in what came; `chunk` is used again afterwards. */
  #receive(chunk: Buffer): void {
    for (let at = 0; at < chunk.length && this.#failure === undefined;) {
      if (this.#answer === undefined) {
        const taken = chunk.copy(this.#size, this.#size_bytes, at);
        this.#size_bytes += taken;
        at += taken;
        if (this.#size_bytes === this.#size.length) this.#beginAnswer();
        continue;
      }
      const taken = chunk.copy(this.#answer, this.#answer_bytes, at);
      this.#answer_bytes += taken;
      at += taken;
      if (this.#answer_bytes === this.#answer.length) this.#endAnswer(this.#answer);
    }
  }

  #beginAnswer(): void {
    const size = this.#size.readInt32BE(0);
    this.#size_bytes = this.#answer_bytes = 0;
    if (this.#settings.tls === undefined && isTls(this.#size)) {
      return this.#fail(new Error("Broker requires TLS"));
    }
    if (size < 4 || size > LARGEST_ANSWER) {
      return this.#fail(
        new Error(`The answer announces ${size} bytes, which no Kafka broker sends`),
      );
    }
    this.#answer = Buffer.allocUnsafeSlow(size);
  }

  #endAnswer(answer: Buffer): void {
    this.#answer = undefined;
    const correlation = answer.readInt32BE(0);
    const request = this.#requests.get(correlation);
    if (request === undefined) {
      return this.#fail(new Error(`Answer ${correlation} matches no request that was sent`));
    }
    this.#requests.delete(correlation);
    clearTimeout(request.timer);
    try {
      const head = new MessageReader(answer, 4);
      if (request.flexible) head.skipTagged();
      request.answered(head.bytes(head.left));
    } catch (error) {
      request.failed(error as Error);
    }
    this.#endRetired();
  }
}

/** Whether the first bytes of an answer are those of a TLS record: type 20 to 23, version 3. */
function isTls(size: Buffer): boolean {
  return size[0]! >= 0x14 && size[0]! <= 0x17 && size[1] === 0x03 && size[2]! <= 0x04;
}
