/** The stream of raw binlog events over a replica's connection; mysql2 brings the packets. */
import { Buffer } from "node:buffer";
import type { Connection } from "mysql2";
import { ConfigError, HistoryLostError, RetryableError } from "../../errors.ts";
import type { GtidSet } from "../../wire/gtid_set.ts";
import { connectCore } from "./connection.ts";
import type { Flavour } from "./flavour.ts";
import type { CaptureIdentity } from "./identity.ts";
import { MISSED_HEARTBEATS, type MysqlOptions } from "./options.ts";
import {
  type CommandConnection,
  END,
  ERROR,
  OK,
  type Packet,
  RawCommand,
  serverError,
} from "./raw_command.ts";

/** Where a dump begins: behind a set of transactions, or at an offset of a file. */
export type DumpStart =
  | { readonly gtid_set: GtidSet }
  | { readonly file: string; readonly offset: number };

/** Whose log is read, and as whom. */
export interface DumpParts {
  readonly flavour: Flavour;
  readonly identity: CaptureIdentity;
  /** Name under which the connection appears on the server. */
  readonly program: string;
}

/** One event as it came: valid for as long as it is kept. */
export interface RawEvent {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
}

/** Slots of the queue that are given back at once. */
const COMPACT_AT = 1_024;

/** A queue of raw events between the socket and the capture, bounded in bytes. */
export class BinlogDump {
  readonly #connection: Connection;
  readonly #socket: CommandConnection["stream"];
  readonly #queue_bytes: number;
  readonly #silence_ms: number;
  #queue: (RawEvent | undefined)[] = [];
  #head = 0;
  #held_bytes = 0;
  #paused = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  private constructor(connection: Connection, options: MysqlOptions) {
    this.#connection = connection;
    this.#socket = (connection as unknown as CommandConnection).stream;
    this.#queue_bytes = options.queue_bytes;
    this.#silence_ms = options.heartbeat_interval_ms * MISSED_HEARTBEATS;
    connection.on("error", (error: Error) => this.#fail(error));
  }

  /** Connects, registers as a replica and asks for the events. Throws the connection's errors. */
  static async start(
    options: MysqlOptions,
    { flavour, identity, program }: DumpParts,
    start: DumpStart,
  ): Promise<BinlogDump> {
    const connection = await connectCore(options, program);
    const dump = new BinlogDump(connection, options);
    try {
      const heartbeat_ns = options.heartbeat_interval_ms * 1_000_000;
      await dump.#prepare(flavour.dumpSettings(identity, heartbeat_ns));
    } catch (error) {
      dump.stop();
      throw error;
    }
    const core = connection as unknown as CommandConnection;
    core.addCommand(
      new RawCommand(registerPacket(identity, program), (packet) => {
        if (packet.buffer[packet.offset] === ERROR) dump.#fail(serverError(packet));
        return true;
      }),
    );
    core.addCommand(
      new RawCommand(
        dumpPacket(identity.server_id, start, flavour.dump_flags),
        (packet) => dump.#receive(packet),
      ),
    );
    return dump;
  }

  /** The next event if one is there already. */
  take(): RawEvent | undefined {
    const event = this.#queue[this.#head];
    if (event === undefined) return undefined;
    this.#queue[this.#head++] = undefined;
    this.#held_bytes -= event.end - event.at;
    if (this.#head === this.#queue.length || this.#head === COMPACT_AT) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (this.#paused && this.#held_bytes < this.#queue_bytes / 2) {
      this.#paused = false;
      this.#socket.resume();
    }
    return event;
  }

  /**
   * Waits until `take` has something or `signal` aborts, at the latest after `timeout_ms`. Throws the error that ended the stream,
   * and RetryableError when the server has been silent for three heartbeats.
   */
  async wait(signal: AbortSignal, timeout_ms?: number): Promise<void> {
    if (this.#head < this.#queue.length || signal.aborted) return;
    if (this.#error !== undefined) throw this.#error;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const early = timeout_ms === undefined
      ? undefined
      : setTimeout(() => this.#wake?.(), timeout_ms);
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
      timer = setTimeout(() => {
        this.#fail(
          new RetryableError(`The server has sent nothing for ${this.#silence_ms} ms`),
        );
      }, this.#silence_ms);
    });
    const abort = () => this.#wake?.();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await woken;
    } finally {
      clearTimeout(timer);
      clearTimeout(early);
      this.#wake = undefined;
      signal.removeEventListener("abort", abort);
    }
    if (this.#head === this.#queue.length && this.#error !== undefined) throw this.#error;
  }

  /** Ends the connection at once. */
  stop(): void {
    this.#error ??= new RetryableError("The dump was stopped");
    this.#socket.destroy(); // first: the server's last words on a closing connection are no news
    this.#connection.destroy();
    this.#queue = [];
    this.#head = 0;
  }

  async #prepare(settings: readonly string[]): Promise<void> {
    const patience = "SET SESSION net_write_timeout = 3600"; // backpressure must not look like a dead reader
    for (const statement of [...settings, patience]) {
      await new Promise<void>((resolve, reject) =>
        this.#connection.query(statement, (error) => error ? reject(error) : resolve())
      );
    }
  }

  #receive(packet: Packet): boolean {
    const status = packet.buffer[packet.offset];
    if (status === OK) {
      const at = packet.offset + 1;
      this.#queue.push({ bytes: packet.buffer, at, end: packet.end });
      this.#held_bytes += packet.end - at;
      if (!this.#paused && this.#held_bytes > this.#queue_bytes) {
        this.#paused = true;
        this.#socket.pause();
      }
      this.#wake?.();
      return false;
    }
    if (status === ERROR) this.#fail(explain(serverError(packet)));
    else if (status === END) this.#fail(new RetryableError("The server ended the dump"));
    else {this.#fail(
        new RetryableError(`The server sent a packet that begins with ${status}`),
      );}
    return true;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#wake?.();
  }
}

const COM_BINLOG_DUMP = 0x12;
const COM_REGISTER_REPLICA = 0x15;
const COM_BINLOG_DUMP_GTID = 0x1e;

function registerPacket(identity: CaptureIdentity, program: string): Uint8Array {
  const host = Buffer.from(program).subarray(0, 255); // shown by SHOW REPLICAS
  const packet = Buffer.alloc(1 + 4 + 1 + host.length + 1 + 1 + 2 + 4 + 4);
  packet[0] = COM_REGISTER_REPLICA;
  packet.writeUInt32LE(identity.server_id, 1);
  packet[5] = host.length;
  packet.set(host, 6); // user, password, port, rank and source id stay zero
  return packet;
}

function dumpPacket(server_id: number, start: DumpStart, flags: number): Uint8Array {
  if ("file" in start) {
    const file = Buffer.from(start.file);
    const packet = Buffer.alloc(11 + file.length);
    packet[0] = COM_BINLOG_DUMP;
    packet.writeUInt32LE(start.offset, 1);
    packet.writeUInt16LE(flags, 5);
    packet.writeUInt32LE(server_id, 7);
    packet.set(file, 11);
    return packet;
  }
  const set = start.gtid_set.encode();
  const packet = Buffer.alloc(23 + set.length);
  packet[0] = COM_BINLOG_DUMP_GTID;
  packet.writeUInt16LE(flags, 1);
  packet.writeUInt32LE(server_id, 3);
  packet.writeUInt32LE(0, 7); // no file name: the server finds the first file by the set
  packet.writeBigUInt64LE(4n, 11); // behind the magic bytes at the start of every file
  packet.writeUInt32LE(set.length, 19);
  packet.set(set, 23);
  return packet;
}

/** The server's fatal error of a dump, told apart by its text: it has one code for all. */
function explain(error: Error): Error {
  const { message } = error;
  if (/same server_uuid|same server_id/.test(message)) {
    return new ConfigError(
      `Another replica took over this capture's identity on the server: ${message}`,
      {
        cure:
          "stop the other capture of this job, or give one of the two its own `server_id` and name",
      },
    );
  }
  if (
    /purged|Could not find first log file|could not find next log|has more GTIDs/i.test(message)
  ) {
    return new HistoryLostError(
      `The server no longer has the binlog from where this capture goes on: ${message}`,
      { cure: "start a new generation with a snapshot, and raise binlog_expire_logs_seconds" },
    );
  }
  return error;
}
