/** Reads ranges of tables for a snapshot: rows stay bytes in the socket until they are asked for. */
import type pg from "pg";
import type { Row } from "../../change.ts";
import { placeOf, quoteIdentifier, quoteTable } from "../../connect/postgres.ts";
import { RetryableError } from "../../errors.ts";
import { readDataRow } from "../../wire/postgres_data_row.ts";
import type { Conversion } from "../../wire/postgres_value.ts";
import type { Range, RangeReader, ReadableTable } from "../snapshot.ts";
import type { Key } from "../snapshot_progress.ts";
import { explain, explainRefused } from "./connection.ts";
import { MESSAGE, MessageSocket, readServerError } from "./message_socket.ts";
import type { PostgresOptions } from "./options.ts";

/** A table as a snapshot reads it. */
export interface PostgresTable extends ReadableTable {
  readonly name: { readonly schema: string; readonly table: string };
  /** One per column of the schema. */
  readonly conversions: readonly Conversion[];
  /** The columns by which the table is cut into chunks, quoted. */
  readonly cut_by: readonly string[];
}

/** One connection, in the snapshot's transaction. */
export class PostgresRangeReader implements RangeReader<PostgresTable> {
  readonly #socket: MessageSocket;
  readonly #options: PostgresOptions;
  #conversions: readonly Conversion[] = [];

  constructor(client: pg.Client, options: PostgresOptions, queue_bytes: number) {
    this.#options = options;
    this.#socket = new MessageSocket(
      client,
      queue_bytes,
      (error) =>
        error === undefined ? this.#broken("the server closed it") : explain(error, options),
    );
  }

  start(table: PostgresTable, range: Range): void {
    this.#conversions = table.conversions;
    const columns = table.schema.columns.map(({ name }) => quoteIdentifier(name)).join(", ");
    // Without statistics the planner may think little of an index; the whole table for each chunk is worse.
    const scan = table.key_id === undefined ? "on" : "off";
    this.#socket.query(
      `set local enable_seqscan = ${scan}; select ${columns} from only ${quoteTable(table.name)}` +
        condition(table.cut_by, range),
    );
  }

  async read(
    limits: { readonly rows: number; readonly bytes: number },
    take: (row: Row) => void,
  ): Promise<boolean> {
    const { message } = this.#socket;
    let rows = 0, bytes = 0;
    while (rows < limits.rows && bytes < limits.bytes) {
      switch (this.#socket.next()) {
        case 0:
          if (rows > 0) return true;
          await this.#socket.arrival();
          break;
        case MESSAGE.data_row:
          bytes += message.end - message.at;
          rows++;
          take(readDataRow(message, this.#conversions));
          break;
        case MESSAGE.ready:
          return false;
        case MESSAGE.error:
          throw explainRefused(readServerError(message), this.#options);
      }
    }
    return true;
  }

  /** Ends the connection at once. */
  close(): void {
    this.#socket.destroy(this.#broken("it was closed here"));
  }

  #broken(why: string): RetryableError {
    return new RetryableError(
      `A snapshot's connection to ${placeOf(this.#options)} ended: ${why}`,
    );
  }
}

/** `where ...` for a range; empty where there is no bound. */
export function condition(columns: readonly string[], { after, from, upto }: Range): string {
  const bound = (sign: string, key: Key | undefined) =>
    key === undefined
      ? []
      : [`(${columns.slice(0, key.length).join(", ")}) ${sign} (${key.join(", ")})`];
  const bounds = [...bound(">", after), ...bound(">=", from), ...bound("<=", upto)];
  return bounds.length === 0 ? "" : ` where ${bounds.join(" and ")}`;
}
