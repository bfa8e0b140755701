/** Connections to PostgreSQL, with everything pinned that changes the text of a value. */
import type { Socket } from "node:net";
import type pg from "pg";
import { openPostgres, placeOf } from "../../connect/postgres.ts";
import { classify, ConfigError, RetryableError } from "../../errors.ts";
import { silenceMs } from "../silence.ts";
import type { PostgresOptions } from "./options.ts";

/** A row as the server's own text, in the order of the query. */
export type TextRow = readonly (string | null)[];

/** Fields of an error that the server sent. */
export interface ServerError extends Error {
  readonly code?: string;
  readonly hint?: string;
}

/** The parts of `pg`'s client that are reached behind its interface. */
export interface Inside {
  readonly connection: { readonly stream: Socket; query(text: string): void };
  /** Process of the server that serves the client. */
  readonly processID: number;
}

/** What both kinds of connection are opened with. */
export interface ConnectionPurpose {
  readonly application_name: string;
  readonly replication?: boolean;
}

/** How long a connection that is given up may take to say goodbye. */
const CLOSE_TIMEOUT_MS = 1_000;

/** A connected client of `pg`. Throws ConfigError for what the job must mend, else as `explain`. */
export async function connect(
  options: PostgresOptions,
  purpose: ConnectionPurpose,
): Promise<pg.Client> {
  try {
    return await openPostgres(options, {
      ...purpose,
      part: "source",
      // The server lets go of a stream whose client is as silent as we would bear of the server.
      settings: purpose.replication ? { wal_sender_timeout: String(silenceMs(options)) } : {},
    });
  } catch (error) {
    throw explain(error, options);
  }
}

/**
 * An error of `pg` as one that `classify` understands and that names the server: what it says itself of
 * a break has no code, and what the socket says no place.
 */
export function explain(error: unknown, options: PostgresOptions): unknown {
  if (!(error instanceof Error) || error instanceof RetryableError) return error;
  const { code, syscall, message } = error as ServerError & { readonly syscall?: string };
  const broken = code === undefined
    ? /Connection terminated|timeout expired|not queryable/i.test(message)
    : syscall !== undefined && classify(error) === "retry";
  if (!broken) return error;
  return new RetryableError(`The connection to ${placeOf(options)} broke: ${message}`, {
    cause: error,
  });
}

/** A missing privilege as a fault of the job, with `cure` or the server's own hint; other errors as `explain`. */
export function explainRefused(error: unknown, options: PostgresOptions, cure?: string): unknown {
  const { code, message, hint } = error as ServerError;
  if (code !== "42501") return explain(error, options);
  return new ConfigError(`${placeOf(options)} refused user ${options.user}: ${message}`, {
    cure: cure ?? hint ??
      "grant the role of the job what the message names (`deno task check JOB` says how)",
  });
}

/** An ordinary connection: one query at a time, in the order in which they were asked. */
export class Session {
  readonly #client: pg.Client;
  readonly #options: PostgresOptions;
  #last: Promise<unknown> = Promise.resolve();

  private constructor(client: pg.Client, options: PostgresOptions) {
    this.#client = client;
    this.#options = options;
  }

  static async open(options: PostgresOptions, application_name: string): Promise<Session> {
    return new Session(await connect(options, { application_name }), options);
  }

  /** The rows of a query. Throws the server's error, or RetryableError when the connection broke. */
  query(text: string, values: readonly unknown[] = []): Promise<TextRow[]> {
    const result = this.#last.then(() => this.#run(text, values));
    this.#last = result.catch(() => {});
    return result;
  }

  async #run(text: string, values: readonly unknown[]): Promise<TextRow[]> {
    try {
      const { rows } = await this.#client.query({ text, values: [...values], rowMode: "array" });
      return rows;
    } catch (error) {
      throw explain(error, this.#options);
    }
  }

  /** Says goodbye, to a server that may no longer hear it. */
  async close(): Promise<void> {
    const { stream } = (this.#client as unknown as Inside).connection;
    const timer = setTimeout(() => stream.destroy(), CLOSE_TIMEOUT_MS);
    try {
      await this.#client.end();
    } finally {
      clearTimeout(timer);
    }
  }
}
