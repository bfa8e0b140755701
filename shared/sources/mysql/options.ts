/** How a job describes the MySQL server that is captured. */
import { z } from "zod";
import { tlsOptions } from "../../jobs/tls.ts";
import { DEFAULT_HEARTBEAT_MS } from "../silence.ts";
import { signalOptions, snapshotOptions } from "../snapshot_options.ts";
import { streamOptions } from "../stream_options.ts";

const tablePattern = z.string().regex(
  /^[^.]+\..+$/s,
  "expected database.table, for example shop.list or shop.*",
);

/** Schema of `source` of a capture-mysql job. */
export const mysqlOptions = z.strictObject({
  host: z.string().min(1).describe("Host name or address of the server."),
  // The port that MySQL registers.
  port: z.int().min(1).max(65535).default(3306).describe("TCP port."),
  user: z.string().min(1)
    .describe("User with REPLICATION SLAVE, REPLICATION CLIENT and SELECT on the captured tables."),
  password: z.string().describe("Its password; give it as `${env:NAME}` or `${file:path}`."),
  database: z.string().min(1).optional()
    .describe("Default database of the connections; patterns of tables name their own."),
  tls: tlsOptions,
  tables: z.array(tablePattern).min(1)
    .describe(
      "Tables to capture, `database.table`; `*` stands for any run of characters, `?` for one.",
    ),
  exclude_tables: z.array(tablePattern).default([])
    .describe("Tables to leave out although `tables` names them; the same patterns."),
  ...snapshotOptions,
  ...signalOptions,
  // Derived, so that two jobs never share one by oversight; high, so that it meets no real server's.
  server_id: z.int().min(1).max(4_294_967_295).optional()
    .describe(
      "Replica id that the capture registers under, which no other server may have; left out, one from 2,000,000,000 up is derived from the job's name.",
    ),
  // Three missed ones end a dead connection after 30 s; a heartbeat costs under 100 bytes.
  heartbeat_interval_ms: z.int().min(100).max(3_600_000).default(DEFAULT_HEARTBEAT_MS)
    .describe(
      "How often the server says that it is there when it has nothing to send, in milliseconds; after three missed in a row the capture reconnects.",
    ),
  ...streamOptions({ batch_bytes: 4 << 20 }),
  // Far more than one job captures; the definitions of a thousand tables take a few megabytes.
  table_cache: z.int().min(64).max(100_000).default(2_000)
    .describe("Table definitions kept decoded."),
  // Off: TINYINT(1) holds -128 to 127, and only its owner knows that it is meant as a boolean.
  tinyint1_as_boolean: z.boolean().default(false)
    .describe(
      "Whether TINYINT(1) columns are booleans; a value other than 0 and 1 then stops the job.",
    ),
});

/** `source` of a capture-mysql job as validated. */
export type MysqlOptions = z.infer<typeof mysqlOptions>;
