/**
 * The capture loop: source → transforms → format → Kafka. One send is in flight while the next batch
 * is encoded; the source is told only of what all in-sync replicas hold.
 */
import { z } from "zod";
import type { Change, Op, SourceIdentity, TableSchema } from "../change.ts";
import { ConfigError, RetryableError } from "../errors.ts";
import type { Format } from "../formats/format.ts";
import { type FormatName, formats } from "../formats/mod.ts";
import type {
  Acknowledged,
  Admin,
  KafkaClient,
  OutBatch,
  OutRecord,
  Producer,
} from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { ResumePoint, Source, SourceBatch } from "../sources/source.ts";
import { columnsOptions } from "../transforms/columns.ts";
import { transforms } from "../transforms/mod.ts";
import type { Transform } from "../transforms/transform.ts";
import { partitionFor } from "../wire/murmur2.ts";
import { Outbox } from "./outbox.ts";
import {
  minInsync,
  positionBatch,
  POSITIONS_TOPIC,
  positionsTopic,
  readPosition,
  type StoredPosition,
} from "./positions.ts";
import { retrying } from "./retry.ts";
import { isBroadcast, routingFingerprint, TOPIC_TOKENS, topicOf } from "./routing.ts";
import { schemaBatch, SCHEMAS_TOPIC, schemasTopic } from "./schemas.ts";
import { readTails } from "./tails.ts";

const TOKEN = /\{(\w*)\}/g;

/** What a capture adds to the job's `kafka`. */
export const captureTopicOptions = {
  topic: z.string().min(1).default("{name}.{schema}.{table}")
    .refine(
      (template) =>
        [...template.matchAll(TOKEN)].every(([, token]) =>
          (TOPIC_TOKENS as readonly string[]).includes(token!)
        ),
      { message: `only ${TOPIC_TOKENS.map((token) => `{${token}}`).join(", ")} may stand in it` },
    )
    .describe(
      "Template of the topic names: `{name}` of the job, `{db}`, `{schema}` (the database where there are no schemas), `{table}`.",
    ),
  // Kafka's own default of 1 would leave consumers nothing to share.
  partitions: z.int().min(1).max(10_000).default(3)
    .describe("Partitions of the topics that the capture makes."),
  // The smallest that survives a broker without giving up min.insync.replicas=2.
  replication_factor: z.int().min(1).max(9).default(3)
    .describe("Replicas of the topics that the capture makes."),
};

/** What a capture job has beside `job`, `name`, `source`, `kafka` and `observe`. */
export const captureOptions = {
  format: z.enum(Object.keys(formats) as [FormatName, ...FormatName[]]).default("json")
    .describe("How changes are written on Kafka."),
  mode: z.enum(["stream", "batch"]).default("stream")
    .describe(
      "`stream` runs until it is stopped; `batch` ends when all that the log held at the start is written.",
    ),
  snapshot: z.literal("never").default("never")
    .describe(
      "Rows that were there before the capture are not read; other values are not supported yet.",
    ),
  columns: columnsOptions.default([])
    .describe("Rules that leave columns out or mask them."),
};

/** What the loop needs of a job. */
export interface CaptureJob {
  readonly name: string;
  readonly kafka: {
    readonly topic: string;
    readonly partitions: number;
    readonly replication_factor: number;
  };
  readonly format: FormatName;
  readonly mode: "stream" | "batch";
  readonly columns: z.infer<typeof columnsOptions>;
}

/** What the loop is given to work with. */
export interface CaptureDeps {
  /** A source that is not open; a new one is asked for after each passing fault. */
  readonly source: () => Source;
  readonly kafka: KafkaClient;
  readonly version: string;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Ends the capture in order: what is in flight is acknowledged first. */
  readonly signal: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
  /** Told whether changes are flowing. */
  readonly ready: (ready: boolean, reason?: string) => void;
}

/** What a capture did. */
export interface CaptureSummary {
  readonly changes: Record<Op, number>;
  /** Changes that the topics already held. */
  readonly repetitions: number;
  readonly seconds: number;
}

/**
 * Captures until `signal` aborts or, in batch mode, the end is reached. Passing faults are retried
 * with backoff: each time everything is closed, fenced and started from the tails.
 */
export async function capture(job: CaptureJob, deps: CaptureDeps): Promise<CaptureSummary> {
  const { format } = await formats[job.format]();
  const transform = (await transforms.columns()).columns(job.columns);
  const counts: Counts = { changes: { c: 0, u: 0, d: 0, r: 0, t: 0 }, repetitions: 0 };
  const began = deps.now();
  await retrying(async () => {
    const session = new Session(job, deps, format, transform, counts);
    try {
      await session.run();
    } finally {
      deps.ready(false, "not connected");
      await session.close();
    }
  }, { signal: deps.signal, log: deps.log, metrics: deps.metrics });
  return { ...counts, seconds: (deps.now() - began) / 1000 };
}

interface Counts {
  changes: Record<Op, number>;
  repetitions: number;
}

/** Positions are stored at most this often: a restart reads the tails behind the last one. */
const STORE_INTERVAL_MS = 1000;

/** A partition as this session writes it. */
interface Lane {
  readonly topic: string;
  readonly partition: number;
  /** Changes up to here were in the topic when the session began. */
  readonly held: string;
  /** Position of the last change routed here. */
  last: string;
  records: OutRecord[];
}

/** Where the changes of one table definition go. */
interface Route {
  readonly lanes: readonly Lane[];
}

/** One try: from connecting to the first fault, or to the end. */
class Session {
  readonly #job: CaptureJob;
  readonly #deps: CaptureDeps;
  readonly #format: Format;
  readonly #transform: Transform;
  readonly #counts: Counts;
  readonly #routes = new Map<TableSchema, Route>();
  readonly #lanes = new Map<string, readonly Lane[]>();
  /** Stops pulling from the source: the capture ends, or a send failed. */
  readonly #stop = new AbortController();
  readonly #outbox = new Outbox((error) => this.#stop.abort(error));
  readonly #source: Source;
  readonly #identity: SourceIdentity;
  #admin: Admin | undefined;
  #producer: Producer | undefined;
  #stored: StoredPosition | undefined;
  #stored_at_ms = 0;
  #store_timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    job: CaptureJob,
    deps: CaptureDeps,
    format: Format,
    transform: Transform,
    counts: Counts,
  ) {
    this.#job = job;
    this.#deps = deps;
    this.#format = format;
    this.#transform = transform;
    this.#counts = counts;
    this.#source = deps.source();
    this.#identity = {
      connector: this.#source.connector,
      name: job.name,
      version: deps.version,
    };
  }

  async run(): Promise<void> {
    const { signal, ready } = this.#deps;
    const abort = () => this.#stop.abort();
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    try {
      await this.#begin();
      ready(true);
      const to_end = this.#job.mode === "batch";
      try {
        for await (const batch of this.#source.batches({ to_end, signal: this.#stop.signal })) {
          await this.#take(batch);
        }
      } finally {
        await this.#outbox.drained(); // a send that failed is the first cause of all that follows
      }
      this.#store({ clean: true });
      await this.#outbox.drained();
    } finally {
      signal.removeEventListener("abort", abort);
      clearTimeout(this.#store_timer);
    }
  }

  async close(): Promise<void> {
    for (const part of [this.#source, this.#producer, this.#admin]) {
      await part?.close().catch((error) => this.#deps.log.debug("close_failed", { error }));
    }
  }

  /**
   * Claims the source, shuts out older producers, reads what the topics hold, and stores where this
   * run stands. In this order: a second capture is refused before it could fence the first, and
   * after the fence nobody but this process writes, so the tails are final.
   */
  async #begin(): Promise<void> {
    const { kafka, log, now } = this.#deps;
    const { replication_factor } = this.#job.kafka;
    const admin = this.#admin = await kafka.admin();
    await admin.create_topics([
      positionsTopic(replication_factor),
      schemasTopic(replication_factor),
    ]);
    const known = await readPosition(admin, this.#identity);
    this.#refuseOtherRouting(known);
    const generation = known?.generation ?? Math.floor(now() / 1000);
    const resume = await this.#openSource(known, generation);

    const transactional_id = `list-sync.${this.#identity.connector}.${this.#job.name}`;
    this.#producer = await kafka.producer({
      transactional_id,
      fence: {
        partitions: partitionsOf(known),
        ids: (known?.transactional_ids ?? []).filter((id) => id !== transactional_id),
      },
    });
    const stored = await readPosition(admin, this.#identity);
    if (partitionsOf(stored).length !== partitionsOf(known).length) {
      throw new RetryableError(
        "Another capture of this job wrote a new topic while this one began",
      );
    }
    if (stored !== undefined) {
      const { records } = await readTails(admin, stored, this.#format, this.#identity);
      log.info("tails_read", { records, topics: Object.keys(stored.topics).length });
    }
    this.#stored = {
      version: 1,
      resume: stored?.resume ?? resume,
      generation,
      topics: stored?.topics ?? {},
      routing: this.#routing(),
      transactional_ids: [transactional_id],
      clean: false,
    };
    this.#store({});
    await this.#outbox.drained();
    log.info("capture_started", { resume, generation, fenced: kafka.capabilities.fences });
  }

  async #openSource(known: StoredPosition | undefined, generation: number): Promise<ResumePoint> {
    try {
      return await this.#source.open({ resume: known?.resume, generation });
    } catch (error) {
      // A predecessor that was still draining has moved both since.
      const now = await readPosition(this.#admin!, this.#identity);
      if (JSON.stringify(now) === JSON.stringify(known)) throw error;
      throw new RetryableError("The stored position moved while this capture began", {
        cause: error,
      });
    }
  }

  #routing(): string {
    const { name, kafka, format, columns } = this.#job;
    return routingFingerprint([name, kafka.topic, format, columns]);
  }

  #refuseOtherRouting(known: StoredPosition | undefined): void {
    if (known === undefined || known.clean || known.routing === this.#routing()) return;
    throw new ConfigError(
      "The topic template, the format or the columns changed after a run that did not end in order:" +
        " what that run had sent last stands where this job would not look for it",
      {
        cure: "start the job once as it was before, stop it (or let it drain with `mode: batch`)," +
          " then start it with the change",
      },
    );
  }

  /** Encodes a batch while the one before is in flight, then hands it over. */
  async #take(batch: SourceBatch): Promise<void> {
    const began = this.#deps.now();
    const used = new Set<Lane>();
    const counts: Counts = { changes: { c: 0, u: 0, d: 0, r: 0, t: 0 }, repetitions: 0 };
    for (const raw of batch.changes) {
      const change = this.#transform(raw);
      const route = this.#routes.get(change.table) ?? await this.#route(change.table);
      this.#place(change, route, used, counts);
    }
    await this.#outbox.drained();
    const sent = [...used].map((lane) => ({ lane, position: lane.last, records: lane.records }));
    for (const { lane } of sent) lane.records = [];
    const last_ts_us = batch.changes.at(-1)?.transaction.ts_us;
    this.#outbox.add(async () => {
      const batches: OutBatch[] = sent.map(({ lane, records }) => ({
        topic: lane.topic,
        partition: lane.partition,
        records,
      }));
      if (batches.length > 0) {
        const due = this.#deps.now() - this.#stored_at_ms >= STORE_INTERVAL_MS;
        const acknowledged = due
          ? await this.#sendStoring(batches)
          : await this.#producer!.send(batches);
        this.#note(sent, acknowledged);
      }
      this.#acknowledge(batch.resume);
      this.#measure(batch, counts, sent, last_ts_us, began);
    });
  }

  #place(change: Change, route: Route, used: Set<Lane>, counts: Counts): void {
    const { key, value, headers } = this.#format.encode(change);
    const timestamp_ms = Math.floor(change.transaction.ts_us / 1000);
    const lanes = isBroadcast(change)
      ? route.lanes
      : [route.lanes[partitionFor(key, route.lanes.length)]!];
    let placed = false;
    for (const lane of lanes) {
      if (change.position <= lane.held) continue;
      if (change.position <= lane.last) {
        throw new Error(
          `Change ${change.position} of ${change.table.table} comes after ${lane.last} in` +
            ` ${lane.topic}/${lane.partition}: positions must grow; this is a fault of list-sync`,
        );
      }
      lane.last = change.position;
      lane.records.push({ key, value, timestamp_ms, headers });
      used.add(lane);
      placed = true;
    }
    if (placed) counts.changes[change.op]++;
    else counts.repetitions++;
  }

  /** Publishes the table's definition and makes its topic, before the first row that needs them. */
  async #route(table: TableSchema): Promise<Route> {
    const topic = topicOf(this.#job.kafka.topic, this.#job.name, table);
    const lanes = this.#lanes.get(topic) ?? await this.#open(topic);
    await this.#send([schemaBatch(this.#identity, table, this.#deps.now())]);
    const route = { lanes };
    this.#routes.set(table, route);
    return route;
  }

  async #open(topic: string): Promise<readonly Lane[]> {
    if (this.#stored!.topics[topic] === undefined) {
      await this.#create(topic);
      this.#store({});
      await this.#outbox.drained();
    }
    const { partitions } = this.#stored!.topics[topic]!;
    const lanes = partitions.map(({ position }, partition): Lane => ({
      topic,
      partition,
      held: position,
      last: position,
      records: [],
    }));
    this.#lanes.set(topic, lanes);
    return lanes;
  }

  /** Makes the topic if need be and records it, so that a successor fences and reads it. */
  async #create(topic: string): Promise<void> {
    const { partitions, replication_factor } = this.#job.kafka;
    const admin = this.#admin!;
    await admin.create_topics([{
      name: topic,
      partitions,
      replication_factor,
      config: { "min.insync.replicas": minInsync(replication_factor) },
    }]);
    const [info] = await admin.topics((name) => name === topic);
    const offsets = await admin.offsets(topic);
    this.#stored!.topics[topic] = {
      id: info!.id,
      partitions: offsets.map(({ end }) => ({ end_offset: end, position: "" })),
    };
    this.#deps.log.info("topic_opened", { topic, partitions: offsets.length });
  }

  /** Sends outside the stream of changes and waits for it. */
  async #send(batches: OutBatch[]): Promise<void> {
    this.#outbox.add(async () => void await this.#producer!.send(batches));
    await this.#outbox.drained();
  }

  /**
   * Sends what is acknowledged so far beside `batches`, then tells the source. In this order the
   * source never stands ahead of what is stored, so one that does is another one.
   */
  async #sendStoring(batches: OutBatch[]): Promise<Acknowledged[]> {
    const { resume } = this.#stored!;
    this.#stored_at_ms = this.#deps.now();
    clearTimeout(this.#store_timer);
    this.#store_timer = undefined;
    const position = positionBatch(this.#identity, this.#stored!, this.#stored_at_ms);
    const acknowledged = await this.#producer!.send([...batches, position]);
    this.#source.confirm(resume);
    return acknowledged;
  }

  #store(change: Partial<StoredPosition>): void {
    this.#outbox.add(async () => {
      Object.assign(this.#stored!, change);
      await this.#sendStoring([]);
    });
  }

  #note(sent: readonly { lane: Lane; position: string }[], acknowledged: readonly Acknowledged[]) {
    const { topics } = this.#stored!;
    for (const { topic, partition, next_offset } of acknowledged) {
      const state = topics[topic]?.partitions[partition];
      if (state !== undefined) state.end_offset = next_offset;
    }
    for (const { lane, position } of sent) {
      topics[lane.topic]!.partitions[lane.partition]!.position = position;
    }
  }

  #acknowledge(resume: ResumePoint): void {
    this.#stored!.resume = resume;
    // On an idle table nothing else would carry the last second's positions to the topic.
    this.#store_timer ??= setTimeout(() => this.#store({}), STORE_INTERVAL_MS);
  }

  #measure(
    batch: SourceBatch,
    counts: Counts,
    sent: readonly { records: readonly OutRecord[] }[],
    last_ts_us: number | undefined,
    began_ms: number,
  ): void {
    const { metrics, now } = this.#deps;
    for (const [op, count] of Object.entries(counts.changes) as [Op, number][]) {
      if (count === 0) continue;
      this.#counts.changes[op] += count;
      metrics.changes.add(count, { op });
    }
    this.#counts.repetitions += counts.repetitions;
    if (counts.repetitions > 0) metrics.repetitions_dropped.add(counts.repetitions);
    if (batch.lag_bytes !== undefined) metrics.lag_bytes.set(batch.lag_bytes);
    metrics.lag_seconds.set(
      last_ts_us === undefined ? 0 : Math.max(0, now() / 1000 - last_ts_us / 1e6),
    );
    const records = sent.reduce((sum, { records }) => sum + records.length, 0);
    if (records === 0) return;
    metrics.records.add(records);
    metrics.bytes.add(sent.reduce((sum, { records }) => sum + bytesOf(records), 0));
    metrics.batch_records.observe(records);
    metrics.flush_seconds.observe((now() - began_ms) / 1000);
    metrics.last_acknowledged_timestamp.set(now() / 1000);
  }
}

function bytesOf(records: readonly OutRecord[]): number {
  let bytes = 0;
  for (const { key, value } of records) bytes += key.length + (value?.length ?? 0);
  return bytes;
}

/** Every partition that a predecessor may still be writing to. */
function partitionsOf(stored: StoredPosition | undefined) {
  const topics = Object.entries(stored?.topics ?? {});
  return [
    { topic: POSITIONS_TOPIC, partition: 0 },
    { topic: SCHEMAS_TOPIC, partition: 0 },
    ...topics.flatMap(([topic, { partitions }]) =>
      partitions.map((_, partition) => ({ topic, partition }))
    ),
  ];
}
