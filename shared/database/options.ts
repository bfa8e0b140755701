/** How the commands that read or write a table as an ordinary client reach its database. */
import { z } from "zod";

const tlsOptions = z.strictObject({
  ca: z.string().optional()
    .describe("Certificate of the authority that signed the server's, PEM text: `${file:ca.pem}`."),
  cert: z.string().optional().describe("The client's certificate, PEM text."),
  key: z.string().optional().describe("The client's private key, PEM text."),
  // A certificate that nobody checks protects from nobody: turning this off must be written down.
  reject_unauthorized: z.boolean().default(true)
    .describe("Whether a certificate that cannot be verified ends the connection."),
});

/** Schema of `database`. */
export const databaseOptions = z.strictObject({
  kind: z.enum(["postgresql", "mysql"]).describe("Which database this is."),
  host: z.string().min(1).describe("Host name or address."),
  // No default: the two databases have different ones, and a wrong guess would look like an outage.
  port: z.int().min(1).max(65535).describe(
    "TCP port; usually 5432 for PostgreSQL, 3306 for MySQL.",
  ),
  database: z.string().min(1).describe("Name of the database."),
  user: z.string().min(1).describe("User name."),
  password: z.string().describe("Password; give it as `${env:NAME}` or `${file:path}`."),
  // Off: databases beside the worker are the common case, and a server without TLS would refuse.
  tls: z.union([z.boolean(), tlsOptions]).default(false)
    .describe("TLS: `true`, `false`, or the certificates to use."),
  // Long enough for a busy server, short enough that a wrong address is noticed.
  connect_timeout_ms: z.int().min(1).default(10_000)
    .describe("Longest wait for a connection, in milliseconds."),
}).describe("The database server, and the account to use.");

/** The `database` part of a job as validated. */
export type DatabaseOptions = z.infer<typeof databaseOptions>;

/** The TLS settings as both client libraries take them; undefined: no TLS. */
export function tlsSettings(
  tls: DatabaseOptions["tls"],
): { ca?: string; cert?: string; key?: string; rejectUnauthorized: boolean } | undefined {
  if (tls === false) return undefined;
  if (tls === true) return { rejectUnauthorized: true };
  const { reject_unauthorized, ...certificates } = tls;
  return { ...certificates, rejectUnauthorized: reject_unauthorized };
}
