/** How a job describes the MySQL server that is captured. */
import { z } from "zod";
import { tlsOptions } from "../../jobs/tls.ts";
import { signalOptions, snapshotOptions } from "../snapshot_options.ts";

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
    .describe("Database that the connections are in; patterns of tables name theirs themselves."),
  tls: tlsOptions,
  tables: z.array(tablePattern).min(1)
    .describe("Tables to capture as `database.table`; `*` and `?` stand for characters."),
  exclude_tables: z.array(tablePattern).default([])
    .describe("Tables to leave out again, in the same form."),
  ...snapshotOptions,
  ...signalOptions,
  // Derived, so that two jobs never share one by oversight; high, so that it meets no real server's.
  server_id: z.int().min(1).max(4_294_967_295).optional()
    .describe(
      "Replica id that the capture registers under, unlike any other server's; without it one from 2,000,000,000 up is derived from the job's name.",
    ),
  // Three missed ones end a dead connection after 30 s; a heartbeat costs under 100 bytes.
  heartbeat_interval_ms: z.int().min(100).max(3_600_000).default(10_000)
    .describe(
      "How often the server says that it is there when it has nothing to send, in milliseconds; after three that are missed the capture connects anew.",
    ),
  // A few batches ahead of decoding; the system's own buffers hold more, the server's files the rest.
  queue_bytes: z.int().min(65_536).max(1 << 30).default(512 << 10)
    .describe(
      "Bytes of events held in memory before the server is made to wait. A snapshot's connections share as much again, 65536 each at least.",
    ),
  // Few enough to be encoded before they outlive the young generation; sends gather many batches.
  batch_changes: z.int().min(1).max(1_000_000).default(250)
    .describe("Most changes in a batch; one event more may be in it."),
  // Keeps batches of wide rows small.
  batch_bytes: z.int().min(1_024).max(1 << 30).default(4 << 20)
    .describe("Most bytes of events in a batch; one event more may be in it."),
  // Far more than one job captures; the definitions of a thousand tables take a few megabytes.
  table_cache: z.int().min(64).max(100_000).default(2_000)
    .describe("Table definitions kept decoded."),
  // Long enough for a busy server, short enough that a wrong address is noticed.
  connect_timeout_ms: z.int().min(1).default(10_000)
    .describe("Longest wait for a connection, in milliseconds."),
  // Off: TINYINT(1) holds -128 to 127, and only its owner knows that it is meant as a boolean.
  tinyint1_as_boolean: z.boolean().default(false)
    .describe(
      "Whether TINYINT(1) columns are booleans; a value other than 0 and 1 then stops the job.",
    ),
});

/** `source` of a capture-mysql job as validated. */
export type MysqlOptions = z.infer<typeof mysqlOptions>;

/** How many heartbeats may be missed. */
export const MISSED_HEARTBEATS = 3;
/** The server counts in seconds, and a loaded one may take as long for an answer. */
const SHORTEST_SILENCE_MS = 3_000;

/** How long a connection may be silent before it counts as dead, in milliseconds. */
export function silenceMs({ heartbeat_interval_ms }: MysqlOptions): number {
  return Math.max(SHORTEST_SILENCE_MS, MISSED_HEARTBEATS * heartbeat_interval_ms);
}
