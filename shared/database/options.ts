/** How the commands that read or write a table as an ordinary client reach its database. */
import { z } from "zod";
import { tlsOptions } from "../jobs/tls.ts";

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
  tls: tlsOptions,
  // Long enough for a busy server, short enough that a wrong address is noticed.
  connect_timeout_ms: z.int().min(1).default(10_000)
    .describe("Longest wait for a connection, in milliseconds."),
}).describe("The database server, and the account to use.");

/** The `database` part of a job as validated. */
export type DatabaseOptions = z.infer<typeof databaseOptions>;
