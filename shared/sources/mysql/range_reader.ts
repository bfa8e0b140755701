/** Reads ranges of tables for a snapshot: rows stay packets until they are asked for. */
import { Buffer } from "node:buffer";
import type { Connection } from "mysql2";
import type { Row } from "../../change.ts";
import { RetryableError } from "../../errors.ts";
import { BinlogReader } from "../../wire/binlog_reader.ts";
import { type CellReader, readTextRow } from "../../wire/mysql_text.ts";
import type { Range, RangeReader, ReadableTable } from "../snapshot.ts";
import { condition, type KeyColumn } from "./key_column.ts";
import {
  type CommandConnection,
  END,
  ERROR,
  type Packet,
  RawCommand,
  serverError,
} from "./raw_command.ts";

/** A table as a snapshot reads it. */
export interface MysqlTable extends ReadableTable {
  /** `database.table`, quoted. */
  readonly quoted: string;
  /** What is selected, one per column of the schema. */
  readonly expressions: readonly string[];
  readonly cells: readonly CellReader[];
  /** The columns by which the table is cut into chunks. */
  readonly cut_by: readonly KeyColumn[];
}

/** An end packet is shorter; a row that begins with this byte holds a cell of 16 MiB. */
const END_LENGTH = 9;

/** Rows of the queue that are given back at once. */
const COMPACT_AT = 1_024;

/** One connection, in the snapshot's transaction. */
export class MysqlRangeReader implements RangeReader<MysqlTable> {
  readonly #connection: Connection;
  readonly #core: CommandConnection;
  readonly #queue_bytes: number;
  #cells: readonly CellReader[] = [];
  #queue: (BinlogReader | undefined)[] = [];
  #head = 0;
  #held_bytes = 0;
  #paused = false;
  /** What the next packet is. */
  #part: "header" | "columns" | "rows" | "none" = "none";
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  /** At most `queue_bytes` and a row are held. */
  constructor(connection: Connection, queue_bytes: number) {
    this.#connection = connection;
    this.#core = connection as unknown as CommandConnection;
    this.#queue_bytes = queue_bytes;
    connection.on("error", (error: Error) => this.#fail(error));
  }

  start(table: MysqlTable, range: Range): void {
    this.#cells = table.cells;
    this.#part = "header";
    const sql = `SELECT ${table.expressions.join(", ")} FROM ${tableOf(table)}` +
      condition(table.cut_by, range);
    const request = queryPacket(sql, this.#core.serverCapabilityFlags);
    const command = new RawCommand(request, (packet) => this.#receive(packet));
    this.#core.addCommand(command);
  }

  async read(
    limits: { readonly rows: number; readonly bytes: number },
    take: (row: Row) => void,
  ): Promise<boolean> {
    let rows = 0, bytes = 0;
    while (rows < limits.rows && bytes < limits.bytes) {
      const packet = this.#queue[this.#head];
      if (packet === undefined) {
        if (this.#error !== undefined) throw this.#error;
        if (this.#part === "none") return false;
        if (rows > 0) return true;
        await new Promise<void>((resolve) => this.#wake = resolve);
        continue;
      }
      this.#queue[this.#head++] = undefined;
      rows++;
      bytes += packet.left;
      this.#held_bytes -= packet.left;
      take(readTextRow(packet, this.#cells));
    }
    this.#makeRoom();
    return true;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#core.stream.destroy(); // first: the server's last words on a closing connection are no news
    this.#connection.destroy();
    this.#fail(new RetryableError("A snapshot's connection was closed"));
  }

  #makeRoom(): void {
    if (this.#head >= COMPACT_AT || this.#head === this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    if (!this.#paused || this.#held_bytes > this.#queue_bytes / 2) return;
    this.#paused = false;
    this.#core.stream.resume();
  }

  #receive(packet: Packet): boolean {
    const { buffer, offset, end } = packet;
    const first = buffer[offset];
    const isEnd = first === END && end - offset < END_LENGTH;
    if (first === ERROR && this.#part !== "columns") {
      this.#fail(serverError(packet));
      return true;
    }
    if (this.#part === "header") this.#part = "columns";
    else if (this.#part === "columns") this.#part = isEnd ? "rows" : "columns";
    else if (isEnd) this.#part = "none";
    else this.#keep(new BinlogReader(buffer, offset, end));
    this.#wake?.();
    return this.#part === "none";
  }

  #keep(packet: BinlogReader): void {
    this.#queue.push(packet);
    this.#held_bytes += packet.left;
    if (this.#paused || this.#held_bytes <= this.#queue_bytes) return;
    this.#paused = true;
    this.#core.stream.pause();
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#part = "none";
    this.#wake?.();
  }
}

const COM_QUERY = 0x03;

/** The capability to take attributes of a query (CLIENT_QUERY_ATTRIBUTES), which MariaDB lacks. */
const QUERY_ATTRIBUTES = 1 << 27;
/** No query attributes: their number, and how often they are set. */
const NO_ATTRIBUTES = [0, 1];

function queryPacket(sql: string, capabilities: number): Uint8Array {
  const attributes = (capabilities & QUERY_ATTRIBUTES) === 0 ? [] : NO_ATTRIBUTES;
  return Buffer.concat([Uint8Array.of(COM_QUERY, ...attributes), Buffer.from(sql)]);
}

/** The table in `FROM`; by its key alone where it is cut: another index or none would read all rows for each chunk. */
export function tableOf({ quoted, key_id }: MysqlTable): string {
  return key_id === undefined ? quoted : `${quoted} FORCE INDEX (PRIMARY)`;
}
