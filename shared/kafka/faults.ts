/** What goes wrong between a client and the brokers, as an error of list-sync. */
import { ConfigError, FencedError, RecordError, RetryableError } from "../errors.ts";

/** Errors of brokers that a later attempt may not meet, by Kafka's own names. */
const PASSING = new Set([
  "UNKNOWN_TOPIC_OR_PARTITION", // just made: the leader has not heard of it yet
  "LEADER_NOT_AVAILABLE", // an election is under way
  "NOT_LEADER_OR_FOLLOWER", // the leader changed: the metadata is old
  "NOT_LEADER_FOR_PARTITION", // the same, in kafkajs's words
  "FENCED_LEADER_EPOCH",
  "UNKNOWN_LEADER_EPOCH",
  "REQUEST_TIMED_OUT", // the replicas did not answer the leader in time
  "BROKER_NOT_AVAILABLE",
  "REPLICA_NOT_AVAILABLE",
  "NETWORK_EXCEPTION",
  "NOT_ENOUGH_REPLICAS", // fewer in sync than min.insync.replicas
  "NOT_ENOUGH_REPLICAS_AFTER_APPEND",
  "KAFKA_STORAGE_ERROR", // the leader's disk: another replica takes over
  "COORDINATOR_LOAD_IN_PROGRESS",
  "COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR",
  "GROUP_LOAD_IN_PROGRESS", // kafkajs's words for the three above
  "GROUP_COORDINATOR_NOT_AVAILABLE",
  "NOT_COORDINATOR_FOR_GROUP",
  "CONCURRENT_TRANSACTIONS", // the last transaction's markers are being written
  "NOT_CONTROLLER",
  "OFFSET_NOT_AVAILABLE", // a new leader has not learnt the high watermark
  "UNSTABLE_OFFSET_COMMIT",
  "THROTTLING_QUOTA_EXCEEDED",
  "FETCH_SESSION_TOPIC_ID_ERROR",
]);

/** The producer can never send again under its id, but another one can. */
const SPENT = new Set([
  "OUT_OF_ORDER_SEQUENCE_NUMBER",
  "UNKNOWN_PRODUCER_ID",
  "CORRUPT_MESSAGE",
  "INVALID_PRODUCER_ID_MAPPING", // forgotten: unused for `transactional.id.expiration.ms`
]);

const FENCED = new Set([
  "INVALID_PRODUCER_EPOCH",
  "PRODUCER_FENCED",
]);

const TOO_LARGE = new Set(["MESSAGE_TOO_LARGE", "RECORD_LIST_TOO_LARGE"]);

const TOPIC_REFUSALS = new Set([
  "INVALID_REPLICATION_FACTOR",
  "INVALID_PARTITIONS",
  "INVALID_CONFIG",
  "INVALID_TOPIC_EXCEPTION",
  "POLICY_VIOLATION",
]);

/** What to grant, as arguments of kafka-acls.sh: a capture writes, a consumer reads. */
const DENIED: Readonly<Record<string, string>> = {
  TOPIC_AUTHORIZATION_FAILED: "--topic TOPIC --operation Read; for a capture also " +
    "--operation Create --operation Write --operation DescribeConfigs",
  GROUP_AUTHORIZATION_FAILED: "--group GROUP --operation Read",
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    "--transactional-id list-sync --resource-pattern-type prefixed --operation Write",
  CLUSTER_AUTHORIZATION_FAILED: "--cluster --operation IdempotentWrite",
};

const LOGIN = new Set([
  "SASL_AUTHENTICATION_FAILED",
  "UNSUPPORTED_SASL_MECHANISM",
  "ILLEGAL_SASL_STATE",
]);
const LOGIN_CURE = "correct kafka.sasl: mechanism, username, password";

/** Whether a broker's error may be gone at the next attempt. */
export function isPassing(name: string): boolean {
  return PASSING.has(name);
}

/** The error for a right that the user lacks. */
export class DeniedError extends ConfigError {}

/** What only another producer may try again. */
export class SpentError extends RetryableError {}

/** Whether a broker's error says that a batch is over `max.message.bytes`. */
export function isTooLarge(name: string): boolean {
  return TOO_LARGE.has(name);
}

/** Whether a topic may not be as it was to be made; whoever has no right to make it is told that first. */
export function isTopicRefusal(name: string): boolean {
  return TOPIC_REFUSALS.has(name);
}

/**
 * The error for a broker's refusal.
 * @param name Kafka's name of the error, such as `NOT_ENOUGH_REPLICAS`.
 * @param what What was asked, as the start of a sentence: `Produce to topic t, partition 0`.
 */
export function brokerFault(name: string, what: string): Error {
  const message = `${what} was refused: ${name}`;
  if (PASSING.has(name)) return new RetryableError(message);
  if (FENCED.has(name)) {
    return new FencedError(message, {
      cure: "another process writes under the same name: stop one of the two",
    });
  }
  if (SPENT.has(name)) {
    return new SpentError(message, {
      cure: "open another producer and read the tails: what was written is not known",
    });
  }
  if (TOO_LARGE.has(name) || name === "INVALID_RECORD") {
    return new RecordError(message, {
      cure:
        "raise the topic's max.message.bytes (and replica.fetch.max.bytes of the brokers), or " +
        "leave out the column that makes the record so large",
    });
  }
  if (name === "INVALID_TIMESTAMP") {
    return new ConfigError(message, {
      cure: "set this host's clock and the brokers' right, or raise the topic's" +
        " message.timestamp.before.max.ms and message.timestamp.after.max.ms",
    });
  }
  if (LOGIN.has(name)) return new ConfigError(message, { cure: LOGIN_CURE });
  const right = DENIED[name];
  if (right !== undefined) {
    return new DeniedError(message, {
      cure: `kafka-acls.sh --bootstrap-server BROKER --add --allow-principal ` +
        `User:NAME (kafka.sasl.username) ${right}`,
    });
  }
  return new ConfigError(message);
}

/**
 * The error for a connection that failed, whichever library threw it.
 * @param at `host:port` that was tried.
 */
export function connectionFault(error: unknown, at: string): ConfigError | RetryableError {
  const chain = [...causes(error)];
  const messages = chain.map(({ message }) => message).filter((text) => text !== "");
  const all = messages.join(": ");

  const denied = /Requires net access to "([^"]+)"/.exec(all)?.[1];
  if (denied !== undefined) {
    return new ConfigError(
      `This worker may not connect to ${denied}: its --allow-net permission does not name it`,
      {
        cure:
          `start the job with its deno task, which grants the addresses under kafka.brokers and ` +
          `those that these brokers advertise; by hand, add ${denied} to kafka.brokers and to --allow-net`,
      },
    );
  }
  // A connection that ends in the middle may be that of a broker that is just being stopped.
  const broken = chain.some(({ code, message }) =>
    NETWORK_CODES.has(code) || NETWORK_WORDS.test(message)
  );
  if (!broken && chain.some(isLoginFault)) {
    return new ConfigError(`The Kafka broker at ${at} refuses the login: ${all}`, {
      cure: LOGIN_CURE,
    });
  }
  if (!broken && (/certificate|TLS/.test(all) || chain.some(({ code }) => /CERT|SSL/.test(code)))) {
    return new ConfigError(
      `The Kafka broker at ${at} and this worker do not agree on TLS: ${all}`,
      {
        cure: "check kafka.tls: whether the listener uses TLS, `ca`, and `server_name`",
      },
    );
  }
  const reason = messages.at(-1) ?? String(error);
  return new RetryableError(`Cannot reach the Kafka broker at ${at}: ${reason}`, {
    cure: "check that the broker runs and that kafka.brokers names the port that it listens on",
    cause: error,
  });
}

/** Codes of sockets for a connection that broke. */
const NETWORK_CODES = new Set(["ECONNRESET", "EPIPE"]);
/** The same in words: kafkajs puts them after its own of a login that failed. */
const NETWORK_WORDS =
  /connection (closed|timeout|error: .*ECONN)|closed connection|timed out|not answered within/i;

function isLoginFault({ name, message }: Cause): boolean {
  return name.includes("SASL") || message.includes("SASL authentication failed");
}

/** What is looked at of an error. */
export interface Cause {
  readonly name: string;
  readonly code: string;
  readonly message: string;
}

/** The error, what caused it, and so on. */
export function* causes(error: unknown, depth = 0): Generator<Cause> {
  if (!(error instanceof Error) || depth > 8) return;
  const { code } = error as { code?: unknown };
  yield { name: error.name, code: typeof code === "string" ? code : "", message: error.message };
  if (error instanceof AggregateError) {
    for (const one of error.errors) yield* causes(one, depth + 1);
  }
  yield* causes(error.cause, depth + 1);
}
