/** The stream of raw binlog events over a replica's connection. */
import { Buffer } from "node:buffer";
import type { Connection } from "mysql2";
import { ConfigError, HistoryLostError, READ_ALL_AGAIN, RetryableError } from "../../errors.ts";
import type { GtidSet } from "../../wire/gtid_set.ts";
import { MISSED_HEARTBEATS } from "../silence.ts";
import { connectCore } from "./connection.ts";
import type { Flavour } from "./flavour.ts";
import type { CaptureIdentity } from "./identity.ts";
import type { MysqlOptions } from "./options.ts";
import { END, endNow, ERROR, OK, type Packet, PacketSocket, serverError } from "./packet_socket.ts";

/** Where a dump begins: after a set of transactions, or at an offset of a file. */
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

/** One event as it came. */
export type RawEvent = Packet;

/** Events that have come and were not taken, bounded in bytes. */
export class BinlogDump {
  readonly #connection: Connection;
  readonly #socket: PacketSocket;
  readonly #silence_ms: number;
  /** What the server said instead of an event; the connection's end comes after it. */
  #refusal: Error | undefined;

  private constructor(connection: Connection, options: MysqlOptions) {
    this.#connection = connection;
    this.#socket = new PacketSocket(connection, options.queue_bytes);
    this.#silence_ms = options.heartbeat_interval_ms * MISSED_HEARTBEATS;
    connection.on("error", (error: Error) => this.#socket.fail(error));
  }

  /** Connects, registers as a replica and asks for the events. Throws the connection's errors. */
  static async start(
    options: MysqlOptions,
    { flavour, identity, program }: DumpParts,
    start: DumpStart,
  ): Promise<BinlogDump> {
    const connection = await connectCore(options, program);
    connection.on("error", () => {}); // told by the statement that meets it
    try {
      const heartbeat_ns = options.heartbeat_interval_ms * 1_000_000;
      await prepare(connection, flavour.dumpSettings(identity, heartbeat_ns));
    } catch (error) {
      endNow(connection);
      throw error;
    }
    const dump = new BinlogDump(connection, options);
    try {
      await dump.#register(registerPacket(identity, program));
    } catch (error) {
      dump.stop();
      throw error;
    }
    dump.#socket.command(dumpPacket(identity.server_id, start, flavour.dump_flags));
    return dump;
  }

  async #register(command: Uint8Array): Promise<void> {
    const socket = this.#socket;
    socket.command(command);
    while (!socket.next()) {
      if (socket.failure !== undefined) throw socket.failure;
      await this.#arrival();
    }
    const { packet } = socket;
    if (packet.bytes[packet.at] === ERROR) throw serverError(packet);
  }

  /** The next event if one is there already. Its bytes stay until something is awaited, or until the next call. */
  take(): RawEvent | undefined {
    const { packet } = this.#socket;
    if (this.#refusal !== undefined || !this.#socket.next()) return undefined;
    const status = packet.bytes[packet.at];
    if (status !== OK) {
      this.#refusal = refusal(status, packet);
      return undefined;
    }
    packet.at++;
    return packet;
  }

  /**
   * Waits until more has come or `signal` aborts, at the latest after `timeout_ms`. Throws the error
   * that ended the stream, also when no byte has come for three heartbeats.
   */
  async wait(signal: AbortSignal, timeout_ms?: number): Promise<void> {
    if (signal.aborted) return;
    const error = this.#refusal ?? this.#socket.failure;
    if (error !== undefined) throw error;
    const abort = () => this.#socket.wake();
    signal.addEventListener("abort", abort, { once: true });
    try {
      await this.#arrival(timeout_ms);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  async #arrival(timeout_ms?: number): Promise<void> {
    let heard_bytes = this.#socket.received_bytes;
    const silence = setInterval(() => {
      const { received_bytes } = this.#socket;
      if (received_bytes > heard_bytes) return void (heard_bytes = received_bytes); // of a large event
      const error = `The server has sent nothing for ${this.#silence_ms} ms`;
      this.#socket.fail(new RetryableError(error));
    }, this.#silence_ms);
    try {
      await this.#socket.arrival(timeout_ms);
    } finally {
      clearInterval(silence);
    }
  }

  /** Ends the connection at once. */
  stop(): void {
    this.#socket.drop(new RetryableError("The dump was stopped"));
    endNow(this.#connection);
  }
}

async function prepare(connection: Connection, settings: readonly string[]): Promise<void> {
  const patience = "SET SESSION net_write_timeout = 3600"; // backpressure must not look like a dead reader
  for (const statement of [...settings, patience]) {
    await new Promise<void>((resolve, reject) =>
      connection.query(statement, (error) => error ? reject(error) : resolve())
    );
  }
}

/** What a packet says that is no event. */
function refusal(status: number | undefined, packet: Packet): Error {
  if (status === ERROR) return explain(serverError(packet));
  if (status === END) return new RetryableError("The server ended the dump");
  return new RetryableError(`The server sent a packet that begins with ${status}`);
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
  packet.writeBigUInt64LE(4n, 11); // after the magic bytes at the start of every file
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
      `The server no longer has the binlog at which this capture would resume: ${message}`,
      { cure: `raise binlog_expire_logs_seconds, and ${READ_ALL_AGAIN}` },
    );
  }
  return error;
}
