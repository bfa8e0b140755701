/** A capture in this process that a test watches, stops and cuts off. */
import type { KafkaClient, OutBatch, Producer } from "../../shared/kafka/port.ts";
import type { Log } from "../../shared/observe/log.ts";
import { createMetrics } from "../../shared/observe/prometheus.ts";
import { capture, type CaptureSummary } from "../../shared/pipeline/capture.ts";
import type { CaptureJob } from "../../shared/pipeline/capture_session.ts";
import { noteTopicNames } from "../../shared/pipeline/notes.ts";
import { POSITIONS_TOPIC } from "../../shared/pipeline/positions.ts";
import type { Source } from "../../shared/sources/source.ts";
import { until } from "../until.ts";

/** What a test looks at while a capture runs. */
export interface Watch {
  /** Called with each log event, at once. */
  readonly told?: ((event: string, run: CaptureRun) => void) | undefined;
  /** Called before each send of rows; the send waits for it. */
  readonly sending?: ((run: CaptureRun) => Promise<void> | void) | undefined;
  /** Called when Kafka holds what a send brought. */
  readonly sent?: ((batches: readonly OutBatch[], run: CaptureRun) => void) | undefined;
}

const CUT = new Error("the test cut the capture off");

/** The parts of a job that hardly a test changes; without notes, for their topics take time to make. */
export const USUAL_JOB: Omit<CaptureJob, "name" | "kafka" | "source"> = {
  format: "json",
  mode: "stream",
  on_history_lost: "fail",
  columns: [],
  include_schema_changes: false,
  provide_transaction_metadata: false,
  on_oversize: "fail",
};

/** A capture under way. */
export class CaptureRun {
  readonly done: Promise<CaptureSummary>;
  readonly told: { readonly event: string; readonly fields: Record<string, unknown> }[] = [];
  readonly metrics = createMetrics();
  readonly #job: CaptureJob;
  readonly #watch: Watch;
  readonly #stop = new AbortController();
  #cut = false;
  /** Sends of rows that were acknowledged. */
  sent = 0;
  /** Sends that carried a position, and those of them after the first rows. */
  positions_sent = 0;
  stored = 0;
  /** How often the fence was kept. */
  fences_kept = 0;
  /** Whether `done` is settled. */
  ended = false;

  constructor(
    job: CaptureJob,
    parts: { readonly source: (log: Log) => Source; readonly kafka: KafkaClient },
    watch: Watch = {},
  ) {
    this.#job = job;
    this.#watch = watch;
    const tell = (event: string, fields: Record<string, unknown> = {}) => {
      this.told.push({ event, fields });
      watch.told?.(event, this);
    };
    const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
    this.done = capture(job, {
      source: () => parts.source(log),
      kafka: this.#watched(parts.kafka),
      version: "0",
      log,
      metrics: this.metrics,
      signal: this.#stop.signal,
      now: Date.now,
      ready: () => {},
    }).finally(() => this.ended = true);
    this.done.catch(() => {});
  }

  /** How often an event was told. */
  count(event: string): number {
    return this.told.filter((told) => told.event === event).length;
  }

  /** Waits until an event has been told so often; throws what ended the capture before. */
  async event(event: string, times = 1): Promise<void> {
    await until(
      () => `${event} ${times} times; told: ${this.told.map(({ event }) => event).join(", ")}`,
      () => this.count(event) >= times || this.ended,
    );
    if (this.count(event) < times) await this.done;
  }

  /** As a signal does. */
  abort(): void {
    this.#stop.abort();
  }

  async stop(): Promise<CaptureSummary> {
    this.abort();
    return await this.done;
  }

  /** As kill -9 does: what is not sent by now never is. */
  async cut(): Promise<void> {
    this.#cut = true;
    this.abort();
    await this.done.catch(() => {});
  }

  #watched(kafka: KafkaClient): KafkaClient {
    const watch = (producer: Producer): Producer => ({
      send: async (batches) => {
        const isOfRows = batches.some((batch) => this.#isOfRows(batch));
        if (isOfRows && !this.#stop.signal.aborted) await this.#watch.sending?.(this);
        if (this.#cut) throw CUT;
        const acknowledged = await producer.send(batches);
        if (isOfRows) this.sent++;
        if (batches.some(({ topic }) => topic === POSITIONS_TOPIC)) {
          this.positions_sent++;
          if (this.sent > 0) this.stored++;
        }
        this.#watch.sent?.(batches, this);
        return acknowledged;
      },
      prepare: (batches) => producer.prepare(batches),
      keepFence: async () => {
        await producer.keepFence();
        this.fences_kept++;
      },
      close: () => producer.close(),
    });
    return {
      capabilities: kafka.capabilities,
      admin: () => kafka.admin(),
      producer: async (options) => watch(await kafka.producer(options)),
      consumer: (options) => kafka.consumer(options),
    };
  }

  #isOfRows({ topic }: OutBatch): boolean {
    const { name } = this.#job;
    return topic.startsWith(`${name}.`) && !noteTopicNames(name).includes(topic);
  }
}
