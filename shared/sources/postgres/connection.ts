/** Connections to PostgreSQL, with everything pinned that changes the text of a value. */
import type { Socket } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import pg from "pg";
import { ConfigError, RetryableError } from "../../errors.ts";
import { type TlsOptions, tlsSettings } from "../../jobs/tls.ts";
import { PINNED_OPTIONS } from "../../wire/postgres_session.ts";
import { type PostgresOptions, silenceMs } from "./options.ts";

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

/** A connected client of `pg`. Throws ConfigError for refused credentials, else what `pg` throws. */
export async function connect(
  options: PostgresOptions,
  purpose: ConnectionPurpose,
): Promise<pg.Client> {
  const client = new pg.Client({
    host: options.host,
    port: options.port,
    database: options.database,
    user: options.user,
    // `pg` looks into files of the user's when it is given none.
    password: options.password ?? "",
    ssl: tlsOf(options.tls),
    connectionTimeoutMillis: options.connect_timeout_ms,
    keepAlive: true,
    application_name: purpose.application_name,
    // The server lets go of a stream whose client is as silent as we would bear of the server.
    options: purpose.replication
      ? `${PINNED_OPTIONS} -c wal_sender_timeout=${silenceMs(options)}`
      : PINNED_OPTIONS,
    types: { getTypeParser: () => (text: string) => text },
    ...purpose.replication ? { replication: "database" } : {},
  } as pg.ClientConfig);
  // A break between two queries is told by the next one; without a listener it would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
  } catch (error) {
    throw refusal(error, options) ?? explain(error, options);
  }
  return client;
}

/** `pg` puts the host in the place of any other name, so the check itself takes ours. */
function tlsOf(tls: TlsOptions) {
  const settings = tlsSettings(tls);
  if (settings?.servername === undefined) return settings ?? false;
  const { servername } = settings;
  return {
    ...settings,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      checkServerIdentity(servername, certificate),
  };
}

/** What to do about SQLSTATEs with which a server refuses a connection for good. */
const REFUSALS: Readonly<Record<string, string>> = {
  "28P01": "correct source.user and source.password",
  "28000": "allow this user and host in pg_hba.conf, for replication too, and correct source.user",
  "3D000": "correct source.database",
  "42501": "ALTER ROLE … REPLICATION for the user of the job, and GRANT CONNECT on the database",
};

function refusal(error: unknown, options: PostgresOptions): ConfigError | undefined {
  const { code, message } = error as ServerError;
  const cure = REFUSALS[code ?? ""];
  if (cure === undefined) return undefined;
  return new ConfigError(
    `${placeOf(options)} refused a connection of user ${options.user}: ${message}`,
    { cure },
  );
}

/** How messages name the server. */
export function placeOf(options: PostgresOptions): string {
  return `PostgreSQL at ${options.host}:${options.port}, database ${options.database},`;
}

/** An error of `pg` as one that `classify` understands: what it says itself of a break has no code. */
export function explain(error: unknown, options: PostgresOptions): unknown {
  const { code, message } = error as ServerError;
  const broken = error instanceof Error && code === undefined &&
    /Connection terminated|timeout expired|not queryable/i.test(message);
  if (!broken) return error;
  return new RetryableError(`The connection to ${placeOf(options)} broke: ${message}`, {
    cause: error,
  });
}

/** A missing privilege as a fault of the job, with the server's own hint; other errors as `explain`. */
export function explainRefused(error: unknown, options: PostgresOptions): unknown {
  const { code, message, hint } = error as ServerError;
  if (code !== "42501") return explain(error, options);
  return new ConfigError(`${placeOf(options)} refused user ${options.user}: ${message}`, {
    cure: hint ?? "grant the role of the job what the message names (deno task check JOB tells)",
  });
}

/** `name` quoted as an identifier. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `schema.table`, quoted. */
export function quoteTable(table: { readonly schema: string; readonly table: string }): string {
  return `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.table)}`;
}

/** `text` quoted as a literal of sessions with `standard_conforming_strings`, which is pinned. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
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
