/** How a job reaches Kafka: the connection, and what producing and consuming add to it. */
import { z } from "zod";
import { tlsOptions } from "../jobs/tls.ts";

const LAST_PORT = 65_535;

/** Schema of one broker's address. */
const broker = z.string()
  .regex(
    /^(\[[0-9A-Fa-f:.]+\]|[^\s:/]+):([1-9]\d{0,4})$/,
    "host:port, for example broker1:9092",
  )
  .refine((address) => Number(/\d+$/.exec(address)) <= LAST_PORT, `a port up to ${LAST_PORT}`);

const saslOptions = z.strictObject({
  mechanism: z.enum(["plain", "scram-sha-256", "scram-sha-512"])
    .describe("How the password is proven; plain sends it, so use it over TLS only."),
  username: z.string().min(1).describe("User that the brokers know."),
  password: z.string().min(1).describe(
    "Its password: ${env:NAME} or ${file:path}, never the text.",
  ),
});

/** Schema of the connection, the same for every job. */
export const kafkaOptions = z.strictObject({
  brokers: z.array(broker).min(1)
    .describe("Addresses (host:port) to learn the cluster from; it advertises the rest."),
  client_id: z.string().min(1).default("list-sync")
    .describe("Name under which the brokers log and meter this worker."),
  // Faster, on less memory: `deno task bench --only produce-kafkajs,consume-kafkajs`.
  client: z.enum(["builtin", "kafkajs"]).default("builtin")
    .describe("The worker's own client, or the library kafkajs."),
  tls: tlsOptions,
  sasl: saslOptions.optional().describe("Login to the brokers."),
  // Kafka's own request.timeout.ms. The other times follow from it: see `timeouts`.
  request_timeout_ms: z.int().min(1_000).max(600_000).default(30_000)
    .describe(
      "How long a broker may take to answer a request, in milliseconds; raise this one on a bad network: the other timeouts follow from it unless the job sets them.",
    ),
  connect_timeout_ms: z.int().min(100).max(120_000).optional()
    .describe(
      "How long a connection to a broker may take, in milliseconds; left out, a sixth of `request_timeout_ms`, at least 1000.",
    ),
  retry_timeout_ms: z.int().min(0).max(600_000).optional()
    .describe(
      "How long to retry after transient faults when opening and in administrative calls, in milliseconds; left out, as `request_timeout_ms`. Sending and consuming retry until stopped.",
    ),
});

/** Schema of what producing adds. */
export const produceOptions = z.strictObject({
  // lz4: a quarter of the bytes of none for half a microsecond a change, and the fastest of the five.
  compression: z.enum(["none", "gzip", "snappy", "lz4", "zstd"]).default("lz4")
    .describe("How record batches are compressed."),
  // Below max.message.bytes (1,048,588 by default) even when compression gains nothing.
  batch_bytes: z.int().min(1_024).max(64 << 20).default(900_000)
    .describe(
      "Largest record batch in bytes, compressed (`client: kafkajs`: before that); a single larger record goes alone.",
    ),
  // Memory is twice this. More gains nothing beside the brokers (measured).
  send_bytes: z.int().min(1_024).max(256 << 20).default(2 << 20)
    .describe(
      "Bytes of records in one send, for each 10 ms that brokers take to acknowledge a small one, up to" +
        " eight times as many; as much is gathered while it is in flight.",
    ),
});

/** Schema of what consuming adds. */
export const fetchOptions = z.strictObject({
  // Compressed it is some 5,000 changes: less costs requests, more costs memory and gains little.
  fetch_bytes: z.int().min(1_024).max(64 << 20).default(256 << 10)
    .describe(
      "Bytes that one fetch brings of a partition, for each 100 ms of a round trip to the brokers, up to" +
        " eight times as many; a larger batch still comes whole.",
    ),
  // Kafka's own fetch.max.wait.ms.
  fetch_wait_ms: z.int().min(1).max(30_000).default(500)
    .describe("How long a broker holds a fetch that finds nothing, in milliseconds."),
  // A crashed member's partitions move after this time; Kafka's brokers allow 6 s to 30 min.
  session_timeout_ms: z.int().min(6_000).max(1_800_000).optional()
    .describe(
      "Silence after which the group gives a consumer's partitions to others, in milliseconds; left out, one and a half times `request_timeout_ms`, at least 6000.",
    ),
  // Time for a slow target to make durable what it holds before the partitions move.
  rebalance_timeout_ms: z.int().min(6_000).max(1_800_000).optional()
    .describe(
      "How long a rebalance waits for a consumer to hand over, in milliseconds; left out, twice `request_timeout_ms`, at least 6000.",
    ),
  // Every change that is there, as a list without its beginning is wrong.
  auto_offset_reset: z.enum(["earliest", "latest"]).default("earliest")
    .describe(
      "Where to begin in a partition for which neither the target nor the group has an offset.",
    ),
});

/** The connection as validated. */
export type KafkaOptions = z.infer<typeof kafkaOptions>;
/** What producing adds, as validated. */
export type ProduceOptions = z.infer<typeof produceOptions>;
/** What consuming adds, as validated. */
export type FetchOptions = z.infer<typeof fetchOptions>;

/** The name that brokers know a client by: `User:` and this. */
export function principalOf({ sasl }: Pick<KafkaOptions, "sasl">): string {
  return sasl?.username ?? "ANONYMOUS";
}

/** What a client may be opened with: what is left out of producing and consuming has its default. */
export type ClientOptions = KafkaOptions & Partial<ProduceOptions> & Partial<FetchOptions>;

/** The same with every default in place. */
export type Settings = KafkaOptions & ProduceOptions & FetchOptions & Timeouts;

/** Fills in the defaults of what `options` leaves out. */
export function settings(options: ClientOptions): Settings {
  const given = withoutUndefined(options);
  return { ...produceOptions.parse({}), ...fetchOptions.parse({}), ...timeouts(options), ...given };
}

/** How long is waited for what, in milliseconds. */
export interface Timeouts {
  readonly connect_timeout_ms: number;
  readonly retry_timeout_ms: number;
  readonly session_timeout_ms: number;
  readonly rebalance_timeout_ms: number;
}

/** Brokers refuse less (`group.min.session.timeout.ms`). */
const SHORTEST_SESSION_MS = 6_000;
const SHORTEST_CONNECT_MS = 1_000;

/** The times that follow from `request_timeout_ms`, where `options` does not say them. */
export function timeouts(
  options:
    & { readonly request_timeout_ms: number }
    & {
      readonly [Name in keyof Timeouts]?: number | undefined;
    },
): Timeouts {
  const { request_timeout_ms } = options;
  const sessionMs = (times: number) =>
    Math.max(SHORTEST_SESSION_MS, Math.round(times * request_timeout_ms));
  const sixth_ms = Math.round(request_timeout_ms / 6);
  return {
    // With the default 5 s, as both clients do within a factor: a broker that takes longer is gone.
    connect_timeout_ms: options.connect_timeout_ms ?? Math.max(SHORTEST_CONNECT_MS, sixth_ms),
    // Longer than a leader election, shorter than a person waits at a prompt.
    retry_timeout_ms: options.retry_timeout_ms ?? request_timeout_ms,
    // A heartbeat that is lost in silence is given up after a request's time: the half of it that is left
    // is for the next one, on a new connection. With the default 45 s, Kafka's own session.timeout.ms.
    session_timeout_ms: options.session_timeout_ms ?? sessionMs(1.5),
    // As long as a request that is given up and one more may take.
    rebalance_timeout_ms: options.rebalance_timeout_ms ?? sessionMs(2),
  };
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as T;
}
