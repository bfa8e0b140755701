/** What a job may say of a PostgreSQL source. */
import { z } from "zod";
import { tlsOptions } from "../../jobs/tls.ts";
import { DEFAULT_HEARTBEAT_MS } from "../silence.ts";
import { signalOptions, snapshotOptions } from "../snapshot_options.ts";
import { streamOptions } from "../stream_options.ts";

/** Names of slots and publications as they need no quoting anywhere. */
const objectName = z.string().regex(
  /^[a-z0-9_]{1,63}$/,
  "1 to 63 of: lower-case letters, digits, _",
);

const tablePattern = z.string().regex(
  /^[^.]+\.[^.]+$/,
  "schema and table joined by a dot, such as public.list or shop.*",
);

/** Schema of a PostgreSQL `source`. */
export const postgresOptions = z.strictObject({
  host: z.string().min(1).describe("Host name or address of the server."),
  port: z.int().min(1).max(65535).default(5432).describe("TCP port of the server."),
  database: z.string().min(1).describe("Name of the database."),
  user: z.string().min(1).describe("User name; the role needs the attribute REPLICATION."),
  password: z.string().optional()
    .describe("Password; give it as `${env:NAME}` or `${file:path}`."),
  tls: tlsOptions,
  tables: z.array(tablePattern).min(1)
    .describe(
      "Tables to capture, `schema.table`; `*` stands for any run of characters, `?` for one.",
    ),
  exclude_tables: z.array(tablePattern).default([])
    .describe("Tables to leave out although `tables` names them; the same patterns."),
  ...snapshotOptions,
  ...signalOptions,
  // pgoutput comes with the server, is the faster one, and carries NaN and Infinity.
  plugin: z.enum(["pgoutput", "wal2json"]).default("pgoutput")
    .describe("Output plugin that decodes the log on the server."),
  slot: objectName.optional()
    .describe("Name of the replication slot; default: `list_sync_` and the job's name."),
  // Standbys that synchronize slots must be set up for it; PostgreSQL before 17 has none.
  slot_failover: z.boolean().default(false)
    .describe(
      "Makes the slot one that standbys keep, too (PostgreSQL 17 and later), so that a capture goes on with one that is promoted.",
    ),
  publication: objectName.optional()
    .describe("Name of the publication (pgoutput); default: `list_sync_` and the job's name."),
  // A new table is seldom in such a hurry; the question costs the server a millisecond.
  table_refresh_ms: z.int().min(100).max(3_600_000).default(10_000)
    .describe(
      "How often to look for tables that match and that the publication lacks, in milliseconds (pgoutput).",
    ),
  // So often an idle database writes a few bytes of log, and an idle slot moves at least.
  heartbeat_interval_ms: z.int().min(0).default(DEFAULT_HEARTBEAT_MS)
    .describe(
      "Interval of log messages that move the slot on an idle database; 0: none. After three times" +
        " as long without an answer, at least 3 s, the capture reconnects.",
    ),
  // The server's wal_sender_timeout is 60 s; a second also bounds what a restart sends again.
  status_interval_ms: z.int().min(10).max(30_000).default(1_000)
    .describe("How often the server is told what it may forget, in milliseconds."),
  ...streamOptions({ batch_bytes: 2 << 20 }),
  // While Kafka takes one batch the next fills by itself, so waiting only adds latency.
  linger_ms: z.int().min(0).default(0)
    .describe(
      "How long a batch that is not full waits for more, in milliseconds; at least 5 for the" +
        " rest of a transaction that has begun to arrive.",
    ),
});

/** A PostgreSQL `source` as validated. */
export type PostgresOptions = z.infer<typeof postgresOptions>;

/** PostgreSQL cuts identifiers after so many bytes (`NAMEDATALEN` - 1). */
const NAME_LENGTH = 63;

/** Slot and publication of a job: as its options say, else made from its name. */
export function objectNames(
  options: Pick<PostgresOptions, "slot" | "publication">,
  name: string,
): { slot: string; publication: string } {
  const derived = `list_sync_${name.toLowerCase().replaceAll(/[^a-z0-9_]/g, "_")}`
    .slice(0, NAME_LENGTH);
  return { slot: options.slot ?? derived, publication: options.publication ?? derived };
}
