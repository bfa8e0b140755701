/** Writes to a table all the time, whatever happens to its server, and knows what is committed. */
import { connectMysql } from "../../../shared/database/mysql.ts";
import { connectPostgres } from "../../../shared/database/postgres.ts";
import type { DatabaseOptions } from "../../../shared/database/options.ts";
import { RetryableError } from "../../../shared/errors.ts";
import { Random } from "../../../shared/seed/random.ts";
import { Ledger, type Step } from "./ledger.ts";

/** Rows that one statement changes, at most. */
const STATEMENT_ROWS = 12;
/** Statements of one transaction, at most. */
const TRANSACTION_STATEMENTS = 5;
/** Rows that one statement of a huge transaction inserts: a few megabytes of text. */
const HUGE_STATEMENT_ROWS = 20_000;
/** Between two attempts to reach a server that is down. */
const RECONNECT_MS = 200;

/** One connection, whichever database. */
interface Connection {
  rows(statement: string): Promise<unknown[][]>;
  close(): Promise<void>;
}

async function connect(options: DatabaseOptions): Promise<Connection> {
  if (options.kind === "postgresql") {
    const client = await connectPostgres(options, "faults-writer");
    return {
      rows: async (text) => (await client.query({ text })).rows,
      close: () => client.end(),
    };
  }
  const connection = await connectMysql(options);
  connection.on("error", () => {}); // the statement under way tells it
  return {
    rows: async (statement) => {
      const [rows] = await connection.query(statement);
      return Array.isArray(rows) ? rows as unknown[][] : [];
    },
    close: () => Promise.resolve(connection.destroy()),
  };
}

/** What a writer writes to. */
export interface WriterOptions {
  readonly database: DatabaseOptions;
  /** Name of a table to make, as statements need it; one of the same name and `_mark` is made beside it. */
  readonly table: string;
  /** Changes a second. */
  readonly rate: number;
  readonly seed: number;
}

/** A writer at work between `start` and `stop`. */
export class Writer {
  readonly ledger = new Ledger();
  readonly #options: WriterOptions;
  readonly #random: Random;
  readonly #stop = new AbortController();
  #alive: number[] = [];
  #next_id = 1;
  #statements = 0;
  #transactions = 0;
  #connection: Connection | undefined;
  #running: Promise<void> = Promise.resolve();
  #failure: unknown;
  /** Rows that the next transaction is to insert. */
  #huge_rows = 0;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#random = new Random(options.seed);
  }

  /** Makes the tables. The mark says which transaction was the last that is committed. */
  async createTables(): Promise<void> {
    const { database, table } = this.#options;
    const connection = await connect(database);
    const statements = [
      `CREATE TABLE ${table} (id BIGINT PRIMARY KEY, version INT NOT NULL, note VARCHAR(200) NOT NULL)`,
      `CREATE TABLE ${table}_mark (id INT PRIMARY KEY, number BIGINT NOT NULL)`,
      `INSERT INTO ${table}_mark VALUES (1, 0)`,
    ];
    for (const statement of statements) await connection.rows(statement);
    await connection.close();
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch((error) => this.#failure = error);
  }

  /** Lets the next transaction insert so many rows. */
  insertAtOnce(rows: number): void {
    this.#huge_rows = rows;
  }

  /** Throws what the database refused. */
  refuseFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Ends after the transaction at work; throws what the database refused. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const began = performance.now();
      const isHuge = this.#huge_rows > 0;
      const steps = this.#plan();
      if (await this.#execute(steps)) this.ledger.commit(steps);
      else this.#alive = this.ledger.alive();
      const changes = isHuge ? 0 : steps.reduce((sum, { ids }) => sum + ids.length, 0);
      const early_ms = changes / this.#options.rate * 1000 - (performance.now() - began);
      if (early_ms > 0) await new Promise((resolve) => setTimeout(resolve, early_ms));
    }
    await this.#connection?.close();
  }

  /** The next transaction: half of its statements insert, a quarter updates, a quarter deletes. */
  #plan(): Step[] {
    if (this.#huge_rows > 0) return this.#planHuge();
    const count = 1 + this.#random.below(TRANSACTION_STATEMENTS);
    return Array.from({ length: count }, () => {
      const rows = 1 + this.#random.below(STATEMENT_ROWS);
      const note = `statement ${++this.#statements}, "${this.#random.uint32()}", żółw`;
      const op = this.#random.pick(["c", "c", "u", "d"] as const);
      if (op === "c" || this.#alive.length < rows) return this.#insert(rows, note);
      const ids = Array.from({ length: rows }, () => this.#takeOne());
      if (op === "d") return { op, ids, note: "" };
      this.#alive.push(...ids);
      return { op, ids, note };
    });
  }

  #planHuge(): Step[] {
    const steps: Step[] = [];
    for (; this.#huge_rows > 0; this.#huge_rows -= steps.at(-1)!.ids.length) {
      const rows = Math.min(HUGE_STATEMENT_ROWS, this.#huge_rows);
      steps.push(this.#insert(rows, `statement ${++this.#statements}`));
    }
    return steps;
  }

  #insert(rows: number, note: string): Step {
    const ids = Array.from({ length: rows }, () => this.#next_id++);
    for (const id of ids) this.#alive.push(id);
    return { op: "c", ids, note };
  }

  #takeOne(): number {
    const at = this.#random.below(this.#alive.length);
    const id = this.#alive[at]!;
    this.#alive[at] = this.#alive.at(-1)!;
    this.#alive.pop();
    return id;
  }

  /** Runs a transaction; answers whether it is committed, found out from the mark where the answer was lost. */
  async #execute(steps: readonly Step[]): Promise<boolean> {
    const { table } = this.#options;
    const number = ++this.#transactions;
    let begun = false;
    for (;;) {
      try {
        const connection = this.#connection ??= await connect(this.#options.database);
        if (begun) return await this.#isCommitted(connection, number);
        begun = true;
        await connection.rows("BEGIN");
        for (const step of steps) await connection.rows(statementOf(table, step));
        await connection.rows(`UPDATE ${table}_mark SET number = ${number} WHERE id = 1`);
        await connection.rows("COMMIT");
        return true;
      } catch (error) {
        await this.#connection?.close().catch(() => {});
        this.#connection = undefined;
        if (!isOutage(error) || this.#stop.signal.aborted) throw error;
        await new Promise((resolve) => setTimeout(resolve, RECONNECT_MS));
      }
    }
  }

  /** Waits for a transaction that still holds the mark. */
  async #isCommitted(connection: Connection, number: number): Promise<boolean> {
    await connection.rows("BEGIN");
    const rows = await connection.rows(
      `SELECT number FROM ${this.#options.table}_mark WHERE id = 1 FOR UPDATE`,
    );
    await connection.rows("ROLLBACK");
    return Number(rows[0]![0]) === number;
  }
}

function statementOf(table: string, { op, ids, note }: Step): string {
  if (op === "c") {
    return `INSERT INTO ${table} VALUES ${ids.map((id) => `(${id}, 1, '${note}')`).join(", ")}`;
  }
  const where = `WHERE id IN (${ids.join(", ")})`;
  if (op === "d") return `DELETE FROM ${table} ${where}`;
  return `UPDATE ${table} SET version = version + 1, note = '${note}' ${where}`;
}

/** The server is down, starting, or went away in the middle; what is wrong with a statement is none. */
function isOutage(error: unknown): boolean {
  if (error instanceof RetryableError) return true; // nobody answered
  const { code, message } = error as { code?: string; message?: string };
  return /^(ECONN|EPIPE|57P|08|PROTOCOL_CONNECTION_LOST|ER_SERVER_SHUTDOWN)/.test(code ?? "") ||
    /Connection (terminated|lost|closed)|closed state|not queryable|timeout/i.test(message ?? "");
}
