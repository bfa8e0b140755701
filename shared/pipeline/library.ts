/** `consume` for programs: the loop of the consume workers with a function as the target. */
import { z } from "zod";
import { type Change, plainChange } from "../change.ts";
import { ConfigError } from "../errors.ts";
import { formats } from "../formats/mod.ts";
import { openKafka } from "../kafka/mod.ts";
import { fetchOptions, kafkaOptions } from "../kafka/options.ts";
import { partitionId, type TopicPartition } from "../kafka/port.ts";
import { createHealth } from "../observe/health.ts";
import { createLog, type Log } from "../observe/log.ts";
import { NO_METRICS } from "../observe/metrics.ts";
import type { Durable, Sink, SinkBatch, Standing } from "../sinks/sink.ts";
import { type ConsumeSummary, runConsume } from "./consume.ts";
import { consumeOptions } from "./consume_options.ts";

const schema = z.strictObject({
  kafka: z.strictObject({ ...kafkaOptions.shape, ...fetchOptions.shape }),
  ...consumeOptions,
  group_id: z.string().min(1),
}).omit({ consumer_id: true });

/** Changes of one partition, in order; repetitions within what this process has seen are left out. */
export interface ConsumedBatch extends TopicPartition {
  readonly changes: readonly Change[];
  /**
   * Store it together with the changes, and answer it from `standing`: then nothing comes twice, and
   * dead letters can be replayed.
   */
  readonly standing: Standing;
}

/** How to reach the brokers: the `kafka` of a consume job. What is left out has the job's default. */
export interface ConsumeKafka {
  /** `host:port` of some of the brokers. */
  brokers: string[];
  /** @default "list-sync" */
  client_id?: string;
  /** @default "builtin" */
  client?: "builtin" | "kafkajs";
  /** @default false */
  tls?: boolean | { ca?: string; cert?: string; key?: string; server_name?: string };
  /** @default none */
  sasl?: {
    mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
    username: string;
    password: string;
  };
  connect_timeout_ms?: number;
  request_timeout_ms?: number;
  retry_timeout_ms?: number;
  fetch_bytes?: number;
  fetch_wait_ms?: number;
  session_timeout_ms?: number;
  rebalance_timeout_ms?: number;
  auto_offset_reset?: "earliest" | "latest";
}

/** The options of `consume`: those of a consume job, and the target. */
export interface ConsumeOptions {
  kafka: ConsumeKafka;
  /** Names of topics; this or `topic_pattern`. */
  topics?: string[];
  /** A regular expression that whole names must match. */
  topic_pattern?: string;
  group_id: string;
  /** @default "json" */
  format?: "json" | "protobuf";
  /** `batch` ends where the partitions ended at the start. @default "stream" */
  mode?: "stream" | "batch";
  /** What was written is committed at least this often. @default 1000 */
  flush_interval_ms?: number;
  /** The same after so many bytes of records. @default 33554432 */
  flush_bytes?: number;
  /** How often to look for new topics in a stream. @default 10000 */
  topic_refresh_ms?: number;
  /**
   * What to do with a record that is no change, or for which `write` throws a RecordError; it is then
   * given the changes of that batch once more, one by one. @default "fail"
   */
  on_error?: "fail" | "skip" | "dead_letter";
  /** @default `{group_id}.dead-letters` */
  dead_letter_topic?: string;
  /** So many of one partition may wait to be replayed. @default 1000 */
  dead_letter_limit?: number;
  /**
   * Takes a batch. Its offset is committed only after this has resolved, so a batch may come again
   * after a crash; an error ends `consume`, or, when it is a `RetryableError`, begins again from what
   * was committed. Partitions take turns, so it must not wait for another one's batch.
   */
  write(batch: ConsumedBatch): Promise<void> | void;
  /** Where the target stands in a partition. @default where the group stands */
  standing?(at: TopicPartition): Promise<Standing | undefined> | Standing | undefined;
  /** Ends the consuming in order. @default none */
  signal?: AbortSignal;
  /** @default no log */
  log?: Log;
}

/**
 * Reads the changes of `topics` (or `topic_pattern`) as a member of `group_id` and hands them to
 * `write`, until `signal` aborts or, with `mode: "batch"`, the ends are reached that were there at
 * start. Throws ConfigError for wrong options, RecordError, HistoryLostError, and what `write` throws.
 */
export async function consume(options: ConsumeOptions): Promise<ConsumeSummary> {
  const { write, standing, signal = new AbortController().signal, log, ...rest } = options;
  const parsed = schema.safeParse(rest satisfies z.input<typeof schema>);
  if (!parsed.success) throw new ConfigError(`consume: ${z.prettifyError(parsed.error)}`);
  const job = parsed.data;
  const used = log ?? createLog({ job: job.group_id, write: () => {}, now: clock });
  const { format } = await formats[job.format]();
  return await runConsume({ ...job, name: job.group_id }, {
    kafka: await openKafka(job.kafka, used),
    sink: new FunctionSink(write, standing),
    format,
    log: used,
    metrics: NO_METRICS,
    health: createHealth(),
    signal,
    now: clock,
  });
}

/**
 * Where the library is used nobody passes a clock in: whole milliseconds since the Unix epoch, which
 * is what a record's timestamp can be.
 */
export const clock = (): number => Math.floor(performance.timeOrigin + performance.now());

/** A function as a target: what it has taken is as durable as it will be. */
class FunctionSink implements Sink {
  readonly #write: ConsumeOptions["write"];
  readonly #standing: ConsumeOptions["standing"];
  readonly #taken = new Map<string, number>();

  constructor(write: ConsumeOptions["write"], standing: ConsumeOptions["standing"]) {
    this.#write = write;
    this.#standing = standing;
  }

  async open({ topic, partition }: TopicPartition): Promise<Standing | undefined> {
    return await this.#standing?.({ topic, partition });
  }

  async write({ topic, partition }: TopicPartition, { changes, standing }: SinkBatch) {
    await this.#write({ topic, partition, changes: changes.map(plainChange), standing });
    this.#taken.set(partitionId({ topic, partition }), standing.next_offset);
  }

  flush(at: TopicPartition): Promise<Durable | undefined> {
    const next_offset = this.#taken.get(partitionId(at));
    this.#taken.delete(partitionId(at));
    return Promise.resolve(
      next_offset === undefined ? undefined : {
        topic: at.topic,
        partition: at.partition,
        durable: true,
        next_offset,
      },
    );
  }

  release(at: TopicPartition): Promise<void> {
    this.#taken.delete(partitionId(at));
    return Promise.resolve();
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
