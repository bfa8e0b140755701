/** Reads ranges of tables for a snapshot: rows stay bytes in the socket until they are asked for. */
import { Buffer } from "node:buffer";
import type { Connection } from "mysql2";
import type { Row } from "../../change.ts";
import { RetryableError } from "../../errors.ts";
import { BinlogReader } from "../../wire/binlog_reader.ts";
import { type CellReader, readTextRow } from "../../wire/mysql_text.ts";
import type { Range, RangeReader, ReadableTable } from "../snapshot.ts";
import { condition, type KeyColumn } from "./key_column.ts";
import { END, endNow, ERROR, type Inside, PacketSocket, serverError } from "./packet_socket.ts";

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

/** One connection, in the snapshot's transaction. */
export class MysqlRangeReader implements RangeReader<MysqlTable> {
  readonly #connection: Connection;
  readonly #queue_bytes: number;
  /** From the first range on the connection is this one's alone. */
  #socket: PacketSocket | undefined;
  #cells: readonly CellReader[] = [];
  /** What the next packet is. */
  #part: "header" | "columns" | "rows" | "none" = "none";
  #error: Error | undefined;

  /** At most `queue_bytes` and a row are held. */
  constructor(connection: Connection, queue_bytes: number) {
    this.#connection = connection;
    this.#queue_bytes = queue_bytes;
    connection.on("error", (error: Error) => this.#fail(error));
  }

  start(table: MysqlTable, range: Range): void {
    this.#cells = table.cells;
    this.#part = "header";
    const sql = `SELECT ${table.expressions.join(", ")} FROM ${tableOf(table)}` +
      condition(table.cut_by, range);
    const { serverCapabilityFlags } = this.#connection as unknown as Inside;
    this.#socket ??= new PacketSocket(this.#connection, this.#queue_bytes);
    if (this.#error !== undefined) this.#socket.fail(this.#error);
    this.#socket.command(queryPacket(sql, serverCapabilityFlags));
  }

  async read(
    limits: { readonly rows: number; readonly bytes: number },
    take: (row: Row) => void,
  ): Promise<boolean> {
    const socket = this.#socket!;
    const { packet } = socket;
    let rows = 0, bytes = 0;
    while (rows < limits.rows && bytes < limits.bytes) {
      if (this.#part === "none") return false;
      if (!socket.next()) {
        if (socket.failure !== undefined) throw socket.failure;
        if (rows > 0) return true;
        await socket.arrival();
        continue;
      }
      if (!this.#isRow()) continue;
      rows++;
      bytes += packet.end - packet.at;
      take(readTextRow(new BinlogReader(packet.bytes, packet.at, packet.end), this.#cells));
    }
    return true;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#fail(new RetryableError("A snapshot's connection was closed"));
    endNow(this.#connection);
  }

  /** Whether the packet is a row; throws the server's error. */
  #isRow(): boolean {
    const { packet } = this.#socket!;
    const { bytes, at, end } = packet;
    const first = bytes[at];
    if (first === ERROR && this.#part !== "columns") throw serverError(packet);
    const isEnd = first === END && end - at < END_LENGTH;
    if (this.#part === "rows" && !isEnd) return true;
    if (this.#part === "header") this.#part = "columns";
    else if (isEnd) this.#part = this.#part === "columns" ? "rows" : "none";
    return false;
  }

  #fail(error: Error): void {
    this.#error ??= error;
    this.#socket?.fail(error);
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
