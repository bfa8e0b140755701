/** Opening a connection to MySQL: the server's name is checked, every refusal comes with its cure. */
import { connect, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { Buffer } from "node:buffer";
import mysql, { type Connection, type ConnectionOptions } from "mysql2";
import { ConfigError, type RetryableError } from "../errors.ts";
import { identityFault, type TlsOptions, tlsSettings } from "../jobs/tls.ts";
import { certificateFault, rejectUnanswered } from "./certificate.ts";
import { unreachable } from "./unreachable.ts";

// The default makes room for 15,000 shapes of answers, half a megabyte: ours are few.
mysql.setMaxParserCache(100);

/** Where to connect, and as whom. */
export interface MysqlServer {
  readonly host: string;
  readonly port: number;
  readonly database?: string | undefined;
  readonly user: string;
  readonly password: string;
  readonly tls: TlsOptions;
  readonly connect_timeout_ms: number;
}

/** Connects; throws ConfigError for what the job must mend, RetryableError for a server that is not reached, else the library's error. `part`: where the job names the server. */
export async function openMysql(
  server: MysqlServer,
  part: "source" | "database",
  settings: ConnectionOptions,
): Promise<Connection> {
  const connection = mysql.createConnection({
    ...settings,
    host: server.host,
    port: server.port,
    user: server.user,
    password: server.password,
    database: server.database,
    ssl: tlsSettings(server.tls),
    connectTimeout: server.connect_timeout_ms,
    charset: "utf8mb4",
    timezone: "Z",
    dateStrings: true,
    supportBigNumbers: true,
    bigNumberStrings: true,
    jsonStrings: true,
    rowsAsArray: true,
    // None is prepared: the default makes room for 16,000, half a megabyte a connection.
    maxPreparedStatements: 1,
  } as ConnectionOptions);
  const handshake = checkIdentity(connection as unknown as Inside, server);
  try {
    await new Promise<void>((resolve, reject) =>
      connection.connect((error) => error ? reject(error) : resolve())
    );
    return connection;
  } catch (error) {
    connection.destroy();
    const cause = handshake.fault ?? error as MysqlError;
    throw await refusal(cause, server, part) ?? cause;
  }
}

/** `name` quoted as an identifier. */
export function quoteIdentifier(name: string): string {
  return `\`${name.replaceAll("`", "``")}\``;
}

/** `db.table`, quoted. */
export function quoteTable(table: { readonly db: string; readonly table: string }): string {
  return `${quoteIdentifier(table.db)}.${quoteIdentifier(table.table)}`;
}

/** `text`, in which no backslash stands, quoted as a literal. */
export function quoteLiteral(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** An error of the library; `code` is the server's name of it, or its own. */
type MysqlError = Error & { readonly code?: string };

/** What of the library's connection is reached behind its interface. */
interface Inside {
  startTLS(done: (error?: Error) => void): void;
  readonly stream: TLSSocket;
}

/**
 * The library checks the name in a certificate when asked to, but for an address it looks for
 * `localhost`, and it knows no other name than the host. So the check is made here, between the
 * handshake and the password. It also puts a code of its own in the place of the handshake's: what
 * is answered keeps that.
 */
function checkIdentity(connection: Inside, { tls, host }: MysqlServer): { fault?: MysqlError } {
  const handshake: { fault?: MysqlError } = {};
  const startTLS = connection.startTLS;
  connection.startTLS = (done) =>
    startTLS.call(connection, (error) => {
      const fault = error ?? identityFault(tls, host, connection.stream.getPeerCertificate());
      if (fault !== undefined) {
        const { code } = fault as MysqlError;
        handshake.fault = Object.assign(
          new Error(fault.message),
          code === undefined ? {} : { code },
        );
      }
      done(fault);
    });
  return handshake;
}

/** What to do about errors with which a server refuses a connection for good. */
const CURES: Readonly<Record<string, (part: string, tls: TlsOptions) => string>> = {
  // MariaDB says no more to who comes without TLS, nor does MySQL where the account demands it.
  ER_ACCESS_DENIED_ERROR: (part, tls) =>
    `correct ${part}.user and ${part}.password; the account must allow logins from this host` +
    (tls === false ? `; if the server or the account takes TLS only, set ${part}.tls` : ""),
  ER_DBACCESS_DENIED_ERROR: (part) => `GRANT SELECT on that database, or correct ${part}.database`,
  ER_BAD_DB_ERROR: (part) => `correct ${part}.database`,
  ER_SECURE_TRANSPORT_REQUIRED: (part) =>
    `the server takes TLS only: set ${part}.tls, with the authority in ${part}.tls.ca`,
  HANDSHAKE_NO_SSL_SUPPORT: (part) =>
    `give the server a certificate; or, where nobody can listen in, leave ${part}.tls out`,
};

async function refusal(
  error: MysqlError,
  server: MysqlServer,
  part: string,
): Promise<ConfigError | RetryableError | undefined> {
  const { host, port, user, tls, connect_timeout_ms: timeout_ms } = server;
  const at = `${host}:${port}`;
  const cure = CURES[error.code ?? ""];
  if (cure !== undefined) {
    return new ConfigError(
      `MySQL at ${at} refused a connection of user ${user}: ${error.message}`,
      {
        cure: cure(part, tls),
      },
    );
  }
  const unreached = unreachable(error, { server: `MySQL at ${at}`, part });
  if (unreached !== undefined) return unreached;
  const open = () => beforeHandshake(server);
  return await certificateFault(error, { at, part, tls, timeout_ms, open });
}

/**
 * The request for encryption, sequence number 1: capabilities PROTOCOL_41, SSL and
 * SECURE_CONNECTION, largest packet, utf8mb4, 23 zeros (Protocol::SSLRequest).
 */
const SSL_REQUEST = Buffer.concat([
  Buffer.from([32, 0, 0, 1, 0x00, 0x8a, 0, 0, 0, 0, 0, 1, 45]),
  Buffer.alloc(23),
]);

function beforeHandshake(
  { host, port, connect_timeout_ms }: MysqlServer,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    socket.once("data", () => socket.write(SSL_REQUEST, () => resolve(socket)));
    rejectUnanswered(socket, connect_timeout_ms, reject);
  });
}
