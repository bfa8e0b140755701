/** kafkajs made ready: its codecs, its log, its errors, and a timer of it that Deno warns about. */
import { Buffer } from "node:buffer";
import kafkajs, { type Kafka as KafkaType, type KafkaConfig, type SASLOptions } from "kafkajs";
import ConsumerGroup from "kafkajs/src/consumer/consumerGroup.js";
import createRetry from "kafkajs/src/retry/index.js";
import RequestQueue from "kafkajs/src/network/requestQueue/index.js";
import type { Log } from "../../observe/log.ts";
import { codecs, type Compression } from "../codecs.ts";
import { brokerFault, connectionFault } from "../faults.ts";
import { contactFault } from "../listener.ts";
import type { Settings } from "../options.ts";
import { tlsSettings } from "../../jobs/tls.ts";

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs;

/** kafkajs's number of each compression. */
export const compressionTypes: Readonly<Record<Compression, number>> = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};

for (const name of ["gzip", "snappy", "lz4", "zstd"] as const) {
  const codec = {
    compress: async (encoder: { buffer: Buffer }) =>
      Buffer.from(codecs[name].compress(encoder.buffer)),
    decompress: async (buffer: Buffer) => Buffer.from(codecs[name].decompress(buffer)),
  };
  const registry: Record<number, () => unknown> = CompressionCodecs;
  registry[compressionTypes[name]] = () => codec;
}

interface Queue {
  pending: unknown[];
  throttledUntil: number;
  throttleCheckTimeoutId: unknown;
  checkPendingRequests(): void;
}

/**
 * kafkajs sets a timer of a negative length after every answer while nothing waits, at which Deno
 * prints TimeoutNegativeWarning; this sets one only when a request waits.
 */
RequestQueue.prototype.scheduleCheckPendingRequests = function (this: Queue): void {
  if (this.throttleCheckTimeoutId || this.pending.length === 0) return;
  const throttled_ms = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(() => {
    this.throttleCheckTimeoutId = null;
    this.checkPendingRequests();
  }, throttled_ms > 0 ? throttled_ms : 10);
};

interface Group {
  readonly cluster: { refreshMetadata(): Promise<void> };
  readonly rebalanceTimeout: number;
  retrier: unknown;
}

/** Errors of a fetch from a broker that is gone. */
const GONE = new Set(["KafkaJSConnectionError", "KafkaJSRequestTimeoutError"]);
/** Brokers elect another leader within seconds. */
const ASK_AGAIN_MS = 500;

/** How kafkajs waits between attempts. */
export const RETRY = { initialRetryTime: 50, maxRetryTime: 1_000, retries: 5 };

const { recoverFromFetch, joinAndSync } = ConsumerGroup.prototype;

/**
 * Where no connection can be made to a partition's leader, kafkajs fetches from it again and again by the
 * metadata that it has: up to half a minute, and for as long as all its attempts take. This asks the
 * other brokers who leads now.
 */
ConsumerGroup.prototype.recoverFromFetch = async function (this: Group, error: Error) {
  if (!GONE.has(error.name)) return await recoverFromFetch.call(this, error);
  await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
  await this.cluster.refreshMetadata();
};

/**
 * A join is refused while partitions are handed over (consumer.ts), and tried for as long as that may
 * take. With so many attempts for everything, kafkajs would ask for a coordinator that is gone for a minute.
 */
ConsumerGroup.prototype.joinAndSync = function (this: Group): Promise<void> {
  const retries = RETRY.retries + Math.ceil(this.rebalanceTimeout / RETRY.maxRetryTime);
  this.retrier = createRetry({ ...RETRY, retries });
  return joinAndSync.call(this);
};

/** What both the library's client and its parts are made with. */
export async function config(settings: Settings, log: Log): Promise<KafkaConfig> {
  const tls = tlsSettings(settings.tls);
  const { sasl } = settings;
  return {
    brokers: settings.brokers,
    clientId: settings.client_id,
    ...tls === undefined ? {} : { ssl: { ...tls } },
    // The union of mechanisms is told apart by a literal that a variable does not keep.
    ...sasl === undefined ? {} : { sasl: { ...sasl } as SASLOptions },
    connectionTimeout: settings.connect_timeout_ms,
    requestTimeout: settings.request_timeout_ms,
    // One round over the brokers; what fails then is repeated by us, and told.
    retry: {
      initialRetryTime: 50,
      maxRetryTime: 1_000,
      retries: settings.brokers.length + 1,
    },
    logLevel: logLevel.WARN,
    logCreator: () => ({ level, log: { message, ...rest } }) => {
      const fields = { message, broker: rest.broker, error: rest.error };
      // What matters comes back as an error and is told by us; these lines are for the curious.
      log.debug(level === logLevel.ERROR ? "kafkajs_error" : "kafkajs", fields);
    },
  };
}

/** The library's client. */
export async function library(settings: Settings, log: Log): Promise<KafkaType> {
  return new Kafka(await config(settings, log));
}

/** An error of kafkajs as far as we look at it. */
interface LibraryError extends Error {
  readonly type?: unknown;
  readonly broker?: unknown;
}

/** Names of the library's errors that the network or an election explains. */
const NETWORK =
  /Connection|Timeout|NoBrokerAvailable|BrokerNotFound|MetadataNotLoaded|CoordinatorNotFound/;

/** Kafka's name of the broker's refusal that `error` carries; undefined: it is no refusal. */
export function refusalOf(error: unknown): string | undefined {
  for (const one of chain(error)) if (typeof one.type === "string") return one.type;
  return undefined;
}

/**
 * An error of kafkajs as an error of list-sync.
 * @param what what was tried, as the start of a sentence.
 */
export function libraryFault(error: unknown, what: string, settings: Settings): Error {
  if (error instanceof Error && "cure" in error) return error; // it is one already
  const refusal = refusalOf(error);
  if (refusal !== undefined) return brokerFault(refusal, what);
  const all = chain(error);
  const message = all.map(({ message }) => message).join(": ");
  const login = all.some(({ name }) => name.includes("SASL"));
  const network = all.find(({ name }) => NETWORK.test(name));
  if (login || network !== undefined || /Requires net access/.test(message)) {
    const at = all.map(({ broker }) => broker).find((broker) => typeof broker === "string");
    return connectionFault(error, (at as string | undefined) ?? settings.brokers.join(", "));
  }
  return error instanceof Error ? error : new Error(`${what}: ${error}`);
}

/** The error of a first contact that failed: the broker that it failed with is looked at. */
export async function openingFault(
  error: unknown,
  what: string,
  settings: Settings,
): Promise<Error> {
  if (refusalOf(error) !== undefined) return libraryFault(error, what, settings);
  const at = chain(error).map(({ broker }) => broker).find((broker) => typeof broker === "string");
  return await contactFault(error, at ?? settings.brokers[0]!, settings, true);
}

function chain(error: unknown, depth = 0): LibraryError[] {
  if (!(error instanceof Error) || depth > 8) return [];
  const inner = (error as { errors?: unknown }).errors;
  const groups = (error as { groups?: readonly { error?: unknown }[] }).groups ?? [];
  return [
    error as LibraryError,
    ...(Array.isArray(inner) ? inner : []).flatMap((one) => chain(one, depth + 1)),
    ...groups.flatMap((group) => chain(group.error, depth + 1)),
    ...chain(error.cause, depth + 1),
  ];
}
