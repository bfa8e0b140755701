/** Connections to the captured server, with everything that changes a value's text pinned. */
import type { Connection as CoreConnection, ConnectionOptions } from "mysql2";
import type { Connection } from "mysql2/promise";
import { openMysql } from "../../connect/mysql.ts";
import { ReusedReads } from "../../connect/reused_reads.ts";
import { RetryableError } from "../../errors.ts";
import type { MysqlOptions } from "./options.ts";

/** A cell of an answer: text, or null; numbers and times come as the server writes them. */
export type Cell = string | null;

/** Begins a transaction that sees one moment of all tables. */
export const CONSISTENT_SNAPSHOT = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

function settings(program: string): ConnectionOptions {
  return {
    // Also for whole numbers: one type of cell.
    typeCast: (field) => field.string(),
    connectAttributes: { program_name: program },
  };
}

/** An ordinary connection for questions. */
export class MysqlSession {
  readonly #connection: Connection;
  readonly #place: string;
  readonly #lost = new AbortController();
  #heartbeat: ReturnType<typeof setInterval> | undefined;

  private constructor(connection: Connection, { host, port }: MysqlOptions) {
    this.#connection = connection;
    this.#place = `${host}:${port}`;
    connection.on("error", (cause: Error) => {
      this.#lost.abort(
        new RetryableError(`The connection to ${this.#place} was lost`, { cause }),
      );
    });
  }

  /** Aborted with the error that says why once the connection is lost. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Connects as `program`; throws the library's error (its `code` says what happened). */
  static async connect(options: MysqlOptions, program: string): Promise<MysqlSession> {
    const connection = await openMysql(options, "source", settings(program));
    const session = new MysqlSession(connection.promise(), options);
    try {
      // What the catalogue says of tables' sizes is a day old by default; MariaDB knows no such thing.
      await session.query(
        "SET time_zone = '+00:00' /*!80000 , SESSION information_schema_stats_expiry = 0 */",
      );
      await session.query("SET NAMES utf8mb4");
      return session;
    } catch (error) {
      await session.close();
      throw error;
    }
  }

  /** The rows of the answer, cells in the order of the columns; `?` in `sql` are bound. */
  async query(sql: string, values: readonly (string | number)[] = []): Promise<Cell[][]> {
    this.lost.throwIfAborted();
    const [rows] = await this.#connection.query(sql, [...values]);
    return Array.isArray(rows) ? rows as Cell[][] : [];
  }

  /** The rows as records by column name. */
  async records(sql: string): Promise<Record<string, Cell>[]> {
    this.lost.throwIfAborted();
    const [rows, fields] = await this.#connection.query(sql);
    return (rows as unknown as Cell[][]).map((row) =>
      Object.fromEntries(fields.map((field, i) => [field.name, row[i] ?? null]))
    );
  }

  /** The only cell of the answer. */
  async value(sql: string, values: readonly (string | number)[] = []): Promise<Cell> {
    return (await this.query(sql, values))[0]?.[0] ?? null;
  }

  /**
   * Asks something every `interval_ms` until the connection is closed. A server that does not answer
   * for `silence_ms` counts as lost; so does for it, from now on, a client that asks nothing so long.
   */
  async keepAlive(interval_ms: number, silence_ms: number): Promise<void> {
    await this.query(`SET SESSION wait_timeout = ${Math.ceil(silence_ms / 1000)}`);
    let busy = false;
    let waited_ms = 0;
    this.#heartbeat = setInterval(() => {
      if (!busy) {
        [busy, waited_ms] = [true, 0];
        this.query("DO 0").catch((error) => this.#lost.abort(error)).finally(() => busy = false);
      } else if ((waited_ms += interval_ms) >= silence_ms) {
        this.#lost.abort(
          new RetryableError(`The server at ${this.#place} did not answer for ${silence_ms} ms`),
        );
        void this.close();
      }
    }, interval_ms);
  }

  /** Ends the connection at once; a question under way gets an error. */
  close(): Promise<void> {
    clearInterval(this.#heartbeat);
    const { connection } = this.#connection as unknown as {
      connection: { stream: { destroy(): void } };
    };
    connection.stream.destroy(); // the library then fails what waits; its own destroy() forgets it
    return Promise.resolve();
  }
}

/** A connection of the library's lower level, whose socket is read by ourselves once it is set up. */
export function connectCore(options: MysqlOptions, program: string): Promise<CoreConnection> {
  const { host, port, tls } = options;
  return openMysql(options, "source", {
    ...settings(program),
    // Streams bring much; what TLS decrypts it puts into memory of its own.
    ...tls === false ? { stream: () => reusedReads(host, port) } : {},
  });
}

/** A socket set up as the library sets up its own. */
function reusedReads(host: string, port: number): ReusedReads {
  const socket = new ReusedReads();
  socket.connect(port, host, () => socket.setKeepAlive(true));
  socket.setNoDelay(true);
  return socket;
}
