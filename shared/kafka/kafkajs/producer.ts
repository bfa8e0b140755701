/**
 * An idempotent producer of kafkajs. Each partition is sent by calls of its own: when a call
 * covers several brokers and a leader moves in the middle, kafkajs leaves records out unsaid.
 */
import { Buffer } from "node:buffer";
import type { Message, Producer as LibraryProducer } from "kafkajs";
import { pause } from "../../backoff.ts";
import { type RecordError, RetryableError } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import { brokerFault, isPassing, isTooLarge } from "../faults.ts";
import { OneSend } from "../one_send.ts";
import type { Settings } from "../options.ts";
import {
  type Acknowledged,
  type Bytes,
  type OutBatch,
  type OutRecord,
  type OutRecords,
  partitionId,
  type Producer,
} from "../port.ts";
import { backoffMs, closedError, FaultLog } from "../retry.ts";
import { compressionTypes, library, libraryFault, refusalOf } from "./library.ts";

/** kafkajs waits for all in-sync replicas. */
const ACKS_ALL = -1;
/** Length, attributes, deltas and lengths of a record at their longest but for giant ones. */
const RECORD_OVERHEAD = 30;

/** The producer of the `kafkajs` client. */
export class KafkajsProducer implements Producer {
  readonly #producer: LibraryProducer;
  readonly #settings: Settings;
  readonly #tells_too_large: boolean;
  readonly #fault: FaultLog;
  readonly #stop = new AbortController();
  readonly #one = new OneSend();

  private constructor(
    producer: LibraryProducer,
    settings: Settings,
    log: Log,
    tells_too_large: boolean,
  ) {
    this.#producer = producer;
    this.#tells_too_large = tells_too_large;
    this.#settings = settings;
    this.#fault = new FaultLog(log, "produce");
  }

  /** Connects and takes a producer id. Older producers are not shut out: kafkajs cannot. */
  static async open(
    settings: Settings,
    log: Log,
    tells_too_large: boolean,
  ): Promise<KafkajsProducer> {
    const kafka = await library(settings, log);
    const producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      // The fewest it allows: `send` below repeats, with the same sequence numbers.
      retry: { retries: 1, initialRetryTime: 50 },
      createPartitioner: () => ({ message }) => message.partition!,
    });
    try {
      await producer.connect();
    } catch (error) {
      await producer.disconnect().catch(() => {});
      throw libraryFault(error, "Opening a producer", settings);
    }
    return new KafkajsProducer(producer, settings, log, tells_too_large);
  }

  send(batches: readonly OutBatch[]): Promise<Acknowledged[]> {
    return this.#one.run(() => this.#sendAll(batches));
  }

  /** Nothing: kafkajs writes records when it sends them. */
  prepare(): void {}

  /** Nothing: there is no fence. */
  keepFence(): Promise<void> {
    return Promise.resolve();
  }

  async close(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(closedError("producer"));
    await this.#producer.disconnect();
  }

  async #sendAll(batches: readonly OutBatch[]): Promise<Acknowledged[]> {
    const acknowledged: Acknowledged[] = [];
    const lanes = [
      ...Map.groupBy(
        batches.map((batch, index) => ({ batch, index })),
        (one) => partitionId(one.batch),
      ).values(),
    ];
    const ends = await Promise.allSettled(lanes.map(async (lane) => {
      for (const { batch, index } of lane) {
        const { too_large } = acknowledged[index] = await this.#send(batch);
        if (too_large !== undefined) return;
      }
    }));
    const failed = ends.find((end) => end.status === "rejected");
    if (failed !== undefined) throw failed.reason;
    return acknowledged;
  }

  async #send(batch: OutBatch): Promise<Acknowledged> {
    const { topic, partition, records } = batch;
    if (records.length === 0) {
      throw new RangeError(`Cannot send a batch without records to ${partitionId(batch)}`);
    }
    let next_offset = -1;
    let limit = Infinity;
    for (let from = 0; from < records.length;) {
      const count = Math.min(limit, countWithin(records, from, this.#settings.batch_bytes));
      const base = await this.#repeat(batch, from, count);
      if (base === "too large" && count > 1) {
        limit = Math.ceil(count / 2);
        continue;
      }
      if (base === "too large") {
        const what = `Writing a record to ${partitionId(batch)}`;
        const error = brokerFault("MESSAGE_TOO_LARGE", what) as RecordError;
        if (!this.#tells_too_large) throw error;
        return { topic, partition, next_offset, too_large: { index: from, error } };
      }
      next_offset = base + count;
      from += count;
    }
    return { topic, partition, next_offset };
  }

  /** Offset of the first of `count` records, however often it takes; "too large": they must be split. */
  async #repeat(batch: OutBatch, from: number, count: number): Promise<number | "too large"> {
    const { topic, partition } = batch;
    const messages = Array.from(
      { length: count },
      (_, index) => toMessage(batch.records.at(from + index)!, partition),
    );
    const what = `Writing ${count === 1 ? "a record" : `${count} records`} to ${
      partitionId(batch)
    }`;
    for (let failures = 0;; failures++) {
      this.#stop.signal.throwIfAborted();
      try {
        const [written] = await this.#producer.send({
          topic,
          messages,
          acks: ACKS_ALL,
          timeout: Math.ceil(this.#settings.request_timeout_ms * 0.8),
          compression: compressionTypes[this.#settings.compression],
        });
        if (written?.baseOffset === undefined) {
          // kafkajs leaves a partition without a known leader out, and says nothing.
          throw new RetryableError(`${what} did nothing: the partition's leader is not known`);
        }
        this.#fault.over();
        return Number(written.baseOffset);
      } catch (error) {
        this.#stop.signal.throwIfAborted();
        const refusal = refusalOf(error);
        if (refusal !== undefined && isTooLarge(refusal)) return "too large";
        const fault = libraryFault(error, what, this.#settings);
        // A sequence error passes for the owner, who opens another producer, but not for this one.
        const passes = refusal === undefined ? fault instanceof RetryableError : isPassing(refusal);
        if (!passes) throw fault;
        this.#fault.met(fault);
      }
      await pause(backoffMs(failures), this.#stop.signal);
    }
  }
}

function toMessage(record: OutRecord, partition: number): Message {
  return {
    key: record.key === null ? null : toBuffer(record.key),
    value: record.value === null ? null : toBuffer(record.value),
    partition,
    timestamp: String(record.timestamp_ms),
    ...record.headers === undefined ? {} : { headers: toHeaders(record.headers) },
  };
}

/** kafkajs takes text as it is, and of bytes only its own kind. */
function toBuffer(value: Bytes): string | Buffer {
  if (typeof value === "string") return value;
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
}

function toHeaders(headers: NonNullable<OutRecord["headers"]>): Message["headers"] {
  const all: Record<string, Buffer | Buffer[]> = Object.create(null);
  for (const [name, value] of headers) {
    const bytes = Buffer.from(value as string);
    const before = all[name];
    all[name] = before === undefined ? bytes : [...[before].flat(), bytes];
  }
  return all;
}

/** How many records from `from` on fit into `limit_bytes`, at least one. */
function countWithin(records: OutRecords, from: number, limit_bytes: number): number {
  let bytes = 0;
  for (let at = from; at < records.length; at++) {
    const { key, value, headers } = records.at(at)!;
    bytes += RECORD_OVERHEAD + bytesOf(key) + bytesOf(value);
    for (const [name, content] of headers ?? []) bytes += 10 + bytesOf(name) + bytesOf(content);
    if (bytes > limit_bytes && at > from) return at - from;
  }
  return records.length - from;
}

function bytesOf(value: Bytes | null): number {
  if (value === null) return 0;
  return typeof value === "string" ? Buffer.byteLength(value) : value.length;
}
