/** Opening a connection to PostgreSQL: everything pinned that changes a value's text, every refusal with its cure. */
import { connect, type Socket } from "node:net";
import { Buffer } from "node:buffer";
import type { PeerCertificate } from "node:tls";
import pg from "pg";
import { ConfigError, type RetryableError } from "../errors.ts";
import { identityFault, type TlsOptions, tlsSettings } from "../jobs/tls.ts";
import { sessionOptions } from "../wire/postgres_session.ts";
import { certificateFault, rejectUnanswered } from "./certificate.ts";
import { ReusedReads } from "./reused_reads.ts";
import { unreachable } from "./unreachable.ts";

/** Where to connect, and as whom. */
export interface PostgresServer {
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly user: string;
  readonly password?: string | undefined;
  readonly tls: TlsOptions;
  readonly connect_timeout_ms: number;
}

/** What a connection is for. */
export interface PostgresPurpose {
  readonly application_name: string;
  readonly replication?: boolean;
  /** Settings of the session, beside those that are pinned. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where the job names the server: for messages. */
  readonly part: "source" | "database";
}

/** A connected client of `pg`. Throws ConfigError for what the job must mend, else what `pg` throws. */
export async function openPostgres(
  server: PostgresServer,
  purpose: PostgresPurpose,
): Promise<pg.Client> {
  const client = new pg.Client({
    host: server.host,
    port: server.port,
    database: server.database,
    user: server.user,
    // `pg` looks into files of the user's when it is given none.
    password: server.password ?? "",
    ssl: tlsOf(server),
    connectionTimeoutMillis: server.connect_timeout_ms,
    keepAlive: true,
    application_name: purpose.application_name,
    options: sessionOptions(purpose.settings),
    types: { getTypeParser: () => (text: string) => text },
    ...purpose.replication ? { replication: "database" } : {},
    // Streams bring much; what TLS decrypts it puts into memory of its own.
    ...purpose.replication && server.tls === false ? { stream: () => new ReusedReads() } : {},
  } as pg.ClientConfig);
  // A break between two queries is told by the next one; without a listener it would end the process.
  client.on("error", () => {});
  try {
    await client.connect();
    return client;
  } catch (error) {
    throw await refusal(error as PostgresError, server, purpose) ?? error;
  }
}

/** `name` quoted as an identifier. */
export function quoteIdentifier(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `schema.table`, quoted. */
export function quoteTable(table: { readonly schema: string; readonly table: string }): string {
  return `${quoteIdentifier(table.schema)}.${quoteIdentifier(table.table)}`;
}

/** `text` quoted as a literal of sessions with `standard_conforming_strings`. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** How messages name the server in the middle of a sentence. */
export function placeOf(server: PostgresServer): string {
  return `${serverOf(server)},`;
}

function serverOf({ host, port, database }: PostgresServer): string {
  return `PostgreSQL at ${host}:${port}, database ${database}`;
}

/** `pg` checks the host, or for an address `localhost`, whatever name it is given: so the check is ours. */
function tlsOf({ tls, host }: PostgresServer) {
  const settings = tlsSettings(tls);
  return settings === undefined ? false : {
    ...settings,
    checkServerIdentity: (_host: string, certificate: PeerCertificate) =>
      identityFault(tls, host, certificate),
  };
}

/** Fields of an error that the server sent. */
type PostgresError = Error & { readonly code?: string };

/** What to do about SQLSTATEs with which a server refuses a connection for good. */
function cureOf({ code, message }: PostgresError, part: string): string | undefined {
  // "no encryption" is what the server calls it since PostgreSQL 14, "SSL off" before.
  if (code === "28000" && /no encryption|SSL off/.test(message)) {
    return `it takes this user over TLS only: set ${part}.tls, with the authority in ${part}.tls.ca`;
  }
  if (code === undefined && /does not support SSL/.test(message)) {
    return `turn ssl on at the server; or, where nobody can listen in, leave ${part}.tls out`;
  }
  return {
    "28P01": `correct ${part}.user and ${part}.password`,
    "28000": `allow this user and host in pg_hba.conf, and correct ${part}.user`,
    "3D000": `correct ${part}.database`,
    "42501": "ALTER ROLE ... REPLICATION for a capture's user, and GRANT CONNECT on the database",
  }[code ?? ""];
}

async function refusal(
  error: PostgresError,
  server: PostgresServer,
  { part }: PostgresPurpose,
): Promise<ConfigError | RetryableError | undefined> {
  const cure = cureOf(error, part);
  if (cure !== undefined) {
    const place = `${placeOf(server)} refused a connection of user ${server.user}`;
    return new ConfigError(`${place}: ${error.message}`, { cure });
  }
  const unreached = unreachable(error, { server: serverOf(server), part });
  if (unreached !== undefined) return unreached;
  const { host, port, tls, connect_timeout_ms: timeout_ms } = server;
  return await certificateFault(error, {
    at: `${host}:${port}`,
    part,
    tls,
    timeout_ms,
    open: () => beforeHandshake(server),
  });
}

/** The request for encryption: its length, and a number that no version has (SSLRequest, Message Formats). */
const SSL_REQUEST = Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]);

function beforeHandshake(
  { host, port, connect_timeout_ms }: PostgresServer,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write(SSL_REQUEST));
    socket.once("data", () => resolve(socket));
    rejectUnanswered(socket, connect_timeout_ms, reject);
  });
}
