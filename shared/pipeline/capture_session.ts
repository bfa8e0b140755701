/** One try at capturing: from connecting to the end, or to the first fault. */
import type { Change, SourceIdentity, TableSchema } from "../change.ts";
import { ConfigError, RetryableError } from "../errors.ts";
import { type Format, sourceId } from "../formats/format.ts";
import { keyText } from "../formats/key.ts";
import type { FormatName } from "../formats/mod.ts";
import type {
  Acknowledged,
  Admin,
  KafkaClient,
  NewTopic,
  OutBatch,
  Producer,
} from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { SnapshotOptions } from "../sources/snapshot_options.ts";
import type { ResumePoint, SnapshotState, Source, SourceBatch } from "../sources/source.ts";
import type { ColumnsOptions } from "../transforms/columns.ts";
import type { Transform } from "../transforms/transform.ts";
import { formatPosition } from "../position.ts";
import { partitionFor } from "../wire/murmur2.ts";
import { RecordArena } from "../wire/packed_records.ts";
import type { OversizeJob } from "./capture_options.ts";
import { startCapture } from "./capture_start.ts";
import { ageSeconds, countChanges, type OpCounts } from "./counts.ts";
import { Handover } from "./handover.ts";
import { Linger } from "./linger.ts";
import { Load, type Target } from "./load.ts";
import { Notes, noteStamp, noteTopics } from "./notes.ts";
import { Outbox } from "./outbox.ts";
import { Oversize } from "./oversize.ts";
import {
  minInsync,
  positionBatch,
  type StoredPartition,
  type StoredPosition,
} from "./positions.ts";
import { isBroadcast, topicOf } from "./routing.ts";
import { SendSize } from "./send_size.ts";
import { SchemaChanges } from "./schema_changes.ts";
import { schemaBatch, SchemaReader } from "./schemas.ts";
import { topicCut } from "./tails.ts";
import { Transactions } from "./transactions.ts";

/** Positions are stored at most this often: a restart reads the tails after the last one. */
const STORE_INTERVAL_MS = 1000;

/** As fresh as a lag in a metric need be. */
const LAG_INTERVAL_MS = 1000;

/** Far more often than brokers forget a transactional id: `transactional.id.expiration.ms` is 7 days. */
const FENCE_INTERVAL_MS = 3_600_000;

/** What the loop needs of a job. */
export interface CaptureJob extends OversizeJob {
  readonly name: string;
  readonly kafka: {
    readonly topic: string;
    readonly partitions: number;
    readonly replication_factor: number;
    /** Bytes of records gathered while a send is in flight, more with far brokers (`send_size.ts`). */
    readonly send_bytes: number;
  };
  readonly format: FormatName;
  readonly mode: "stream" | "batch";
  readonly on_history_lost: "fail" | "resync";
  readonly include_schema_changes: boolean;
  readonly provide_transaction_metadata: boolean;
  readonly source: Pick<SnapshotOptions, "snapshot">;
  readonly columns: ColumnsOptions;
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
  /** Told how far a snapshot is, whenever Kafka holds more of it. */
  readonly progress?: (state: SnapshotState) => void;
}

/** What sessions have in common. */
export interface CaptureTotals {
  /** Counts that they add to. */
  readonly changes: OpCounts;
  repetitions: number;
  oversize: number;
  /** Why the next session is to begin a new generation; cleared once it is stored. */
  lost: Error | undefined;
}

/** A session. `run` is called once. */
export class CaptureSession {
  readonly #job: CaptureJob;
  readonly #deps: CaptureDeps;
  readonly #format: Format;
  readonly #transform: Transform;
  readonly #totals: CaptureTotals;
  readonly #source: Source;
  readonly #identity: SourceIdentity;
  /** The partitions of each table definition's topic. */
  readonly #routes = new WeakMap<TableSchema, readonly Target[]>();
  readonly #topics = new Map<string, readonly Target[]>();
  readonly #note_topics: ReturnType<typeof noteTopics>;
  #notes!: Notes;
  /** Stops pulling from the source: the capture ends, or a send failed. */
  readonly #stop = new AbortController();
  readonly #outbox = new Outbox((error) => this.#stop.abort(error));
  /** Gathered while another load is in flight. */
  #load: Load;
  /** The other of two: one is written while the records of the other are in flight. */
  #spare = new RecordArena();
  /** In flight. */
  #sent: Load | undefined;
  /** Whether the load waits: for the one in flight, or for more. */
  #waiting = false;
  readonly #linger = new Linger();
  readonly #send_size: SendSize;
  /** Position of the last change that was taken, and of the last that ended a whole transaction. */
  #taken = "";
  #covered = "";
  /** What comes again from another server; undefined: nothing does. */
  #handover: Handover | undefined;
  /** Partitions with records that `resume` may not cover. */
  readonly #uncovered = new Set<StoredPartition>();
  #admin!: Admin;
  #producer!: Producer;
  #oversize!: Oversize;
  #stored!: StoredPosition;
  #stored_at_ms = 0;
  #store_timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    job: CaptureJob,
    deps: CaptureDeps,
    steps: { readonly format: Format; readonly transform: Transform },
    totals: CaptureTotals,
  ) {
    this.#job = job;
    this.#deps = deps;
    this.#format = steps.format;
    this.#transform = steps.transform;
    this.#totals = totals;
    this.#source = deps.source();
    const { connector } = this.#source;
    this.#identity = { connector, name: job.name, version: deps.version };
    this.#load = new Load(new RecordArena());
    this.#send_size = new SendSize(job.kafka.send_bytes);
    this.#note_topics = noteTopics(job, job.kafka.replication_factor);
  }

  async run(): Promise<void> {
    const { signal, ready } = this.#deps;
    const abort = () => this.#stop.abort();
    let lag_timer: ReturnType<typeof setInterval> | undefined;
    let fence_timer: ReturnType<typeof setInterval> | undefined;
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort);
    try {
      await this.#begin();
      ready(true);
      lag_timer = setInterval(() => this.#measureLag(), LAG_INTERVAL_MS);
      fence_timer = setInterval(() => this.#keepFence(), FENCE_INTERVAL_MS);
      const to_end = this.#job.mode === "batch";
      try {
        const flow = { to_end, signal: this.#stop.signal, held: this.#highest() };
        for await (const batch of this.#source.batches(flow)) await this.#take(batch);
      } finally {
        await this.#settle(); // a send that failed is the first cause of all that follows
      }
      this.#storeEnd(to_end && !this.#stop.signal.aborted);
      await this.#outbox.drained();
    } finally {
      signal.removeEventListener("abort", abort);
      clearTimeout(this.#store_timer);
      clearInterval(lag_timer);
      clearInterval(fence_timer);
    }
  }

  async close(): Promise<void> {
    for (const part of [this.#source, this.#producer, this.#admin]) {
      await part?.close().catch((error) => this.#deps.log.debug("close_failed", { error }));
    }
  }

  // Beginning ---------------------------------------------------------------------------------------

  async #begin(): Promise<void> {
    const { kafka, log } = this.#deps;
    const admin = this.#admin = await kafka.admin();
    const { producer, stored, resume } = await startCapture(this.#job, {
      ...this.#deps,
      admin,
      source: this.#source,
      identity: this.#identity,
      format: this.#format,
      lost: this.#totals.lost !== undefined,
    });
    this.#producer = producer;
    this.#oversize = new Oversize(this.#job, {
      ...this.#deps,
      admin,
      producer,
      stamp: (record) => noteStamp(record) ?? this.#format.stamp(record),
    });
    this.#stored = stored;
    this.#covered = stored.covered;
    await this.#takeOver();
    this.#store({});
    await this.#outbox.drained();
    this.#notes = await this.#openNotes();
    this.#totals.lost = undefined;
    if (isSnapshot(resume)) await this.#truncateTopics(stored.generation);
    const fenced = kafka.capabilities.fences;
    log.info("capture_started", { resume, generation: stored.generation, fenced });
  }

  /** Learns what the topics hold of what comes again from another server of the same history. */
  async #takeOver(): Promise<void> {
    for (const { partitions } of Object.values(this.#stored.topics)) {
      for (const state of partitions) this.#uncovered.add(state);
    }
    const stored = this.#stored;
    const handover = await Handover.read(this.#admin, stored, this.#format, this.#identity);
    if (handover.done) return;
    handover.keep(await this.#source.awaited!(handover.transactions));
    this.#deps.log.info("handover", { transactions: handover.transactions.size });
    if (!handover.done) this.#handover = handover;
  }

  async #openNotes(): Promise<Notes> {
    const { schema_changes, transactions } = this.#note_topics;
    const writer = async <Teller>(topic: NewTopic | undefined, teller: () => Promise<Teller>) => {
      if (topic === undefined) return undefined;
      const [target] = await this.#open(topic);
      return { target: target!, teller: await teller() };
    };
    return new Notes(this.#identity, {
      schema_changes: await writer(schema_changes, async () => {
        const schemas = new SchemaReader(this.#admin);
        await schemas.refresh();
        const teller = new SchemaChanges(this.#identity);
        await teller.read(this.#admin, schema_changes!.name, schemas);
        return teller;
      }),
      transactions: await writer(transactions, async () => new Transactions()),
    });
  }

  /**
   * Rows of an earlier generation may be gone from their tables: before the snapshot brings those that
   * are there, every partition that holds any is truncated.
   */
  async #truncateTopics(generation: number): Promise<void> {
    const { now } = this.#deps;
    const schemas = new SchemaReader(this.#admin);
    await schemas.refresh();
    const there = new Set((await this.#admin.topics(() => true)).map(({ name }) => name));
    const transaction = { id: "", ts_us: now() * 1000 };
    for (const [row, table] of schemas.tables(sourceId(this.#identity)).entries()) {
      const topic = topicOf(this.#job.kafka.topic, this.#job.name, table);
      if (!there.has(topic)) continue;
      const targets = this.#topics.get(topic) ?? await this.#open(this.#tableTopic(topic));
      const { partitions } = this.#stored.topics[topic]!;
      const position = formatPosition({ generation, major: 0n, minor: 0n, row });
      const change: Change = {
        op: "t",
        source: this.#identity,
        table,
        before: null,
        after: null,
        position,
        coordinates: {},
        transaction,
        total_order: 0,
        ts_ms: now(),
      };
      const older = targets.filter(({ partition, last }) =>
        partitions[partition]!.end_offset > 0 && last < position
      );
      this.#gather(change, older);
    }
    if (!this.#load.isEmpty) this.#flush();
    await this.#settle();
  }

  // From the source to Kafka ------------------------------------------------------------------------

  /**
   * Encodes a batch while a load is in flight. Small batches are gathered into large sends, so that
   * few changes are held at a time and brokers have few requests to answer. A load that is full before
   * the one in flight is acknowledged, as with far brokers, is made ready meanwhile.
   */
  async #take(batch: SourceBatch): Promise<void> {
    const notes = this.#notes;
    const dropped = [...batch.dropped ?? []];
    const tellDropped = (before: string | undefined) => {
      while (dropped.length > 0 && (before === undefined || dropped[0]!.position < before)) {
        notes.dropped(dropped.shift()!, this.#load);
      }
    };
    for (const raw of batch.changes) {
      tellDropped(raw.position);
      const change = this.#transform(raw);
      const route = this.#routes.get(change.table) ?? await this.#route(change.table);
      this.#gather(notes.take(change, this.#load), route);
    }
    tellDropped(undefined);
    if (batch.whole) notes.whole(this.#load);
    this.#taken = highest(batch.changes.at(-1)?.position ?? this.#taken, notes.last);
    if (this.#handover?.done) this.#handover = undefined;
    // While something comes again, a successor has to look for it among all that is not covered.
    const covers = batch.whole && this.#handover === undefined;
    if (covers && this.#taken > this.#covered) this.#covered = this.#taken;
    this.#load.resume = batch.resume;
    this.#load.covered = this.#covered;
    this.#load.snapshot = batch.snapshot ?? this.#load.snapshot;
    const { held_bytes } = this.#load;
    this.#linger.gathered(held_bytes, this.#send_size.bytes);
    if (!this.#waiting) this.#flush();
    else if (held_bytes >= this.#send_size.bytes) {
      this.#producer.prepare(this.#load.batches());
      await this.#outbox.drained();
    }
  }

  /** Adds a change to the load: for all of `route` where it is the table's, else for the partition of its key. */
  #gather(change: Change, route: readonly Target[]): void {
    const { arena } = this.#load;
    const key = keyText(change);
    arena.begin(key);
    this.#format.encode(change, arena.values);
    arena.end();
    const targets = isBroadcast(change) ? route : [route[partitionFor(key, route.length)]!];
    this.#load.add(change, targets, this.#handover);
  }

  /** Puts the load in flight; what is gathered meanwhile follows by itself. */
  #flush(): void {
    const load = this.#load;
    this.#load = new Load(this.#spare);
    const positions = load.positions();
    const flushed = performance.now();
    this.#sent = load;
    this.#waiting = true;
    this.#outbox.add(async () => {
      if (load.records > 0) this.#note(positions, await this.#send(load));
      if (load.resume !== undefined) this.#acknowledge(load.resume, load.covered);
      this.#measure(load, performance.now() - flushed);
      load.arena.reset();
      this.#spare = load.arena;
      this.#sent = undefined;
      const { held_bytes } = this.#load;
      await this.#linger.wait(held_bytes, this.#send_size.bytes, performance.now() - flushed);
      this.#waiting = false;
      if (!this.#load.isEmpty) this.#flush();
    });
  }

  /** Sends the load; what is too large is set aside where the job says so. */
  async #send(load: Load): Promise<Acknowledged[]> {
    const due = this.#deps.now() - this.#stored_at_ms >= STORE_INTERVAL_MS;
    let batches = load.batches();
    const all = due ? await this.#sendStoring(batches) : await this.#producer.send(batches);
    for (let acknowledged = all;;) {
      const { rest, count } = await this.#oversize.setAside(batches, acknowledged);
      this.#totals.oversize += count;
      if (rest.length === 0) return all;
      batches = rest;
      // No position goes with these: what is stored has to tell of whole loads.
      acknowledged = await this.#producer.send(batches);
      all.push(...acknowledged);
    }
  }

  /** Resolves when all that was taken is acknowledged; rejects with the first failure. */
  async #settle(): Promise<void> {
    do await this.#outbox.drained(); while (this.#waiting);
  }

  /** Publishes the table's definition and makes its topic, before the first row that needs them. */
  async #route(table: TableSchema): Promise<readonly Target[]> {
    const topic = topicOf(this.#job.kafka.topic, this.#job.name, table);
    this.#refuseShared(topic, table);
    const targets = this.#topics.get(topic) ?? await this.#open(this.#tableTopic(topic));
    const definition = schemaBatch(this.#identity, table, this.#deps.now());
    this.#outbox.add(async () => void await this.#producer.send([definition]));
    await this.#outbox.drained();
    this.#routes.set(table, targets);
    return targets;
  }

  /** Positions of changes and of records about them have each their own order. */
  #refuseShared(topic: string, { table }: TableSchema): void {
    const option = topic === this.#note_topics.schema_changes?.name
      ? "include_schema_changes"
      : topic === this.#note_topics.transactions?.name
      ? "provide_transaction_metadata"
      : undefined;
    if (option === undefined) return;
    throw new ConfigError(
      `By \`kafka.topic\` the changes of table ${table} go to ${topic}, the topic of \`${option}\``,
      { cure: `give \`kafka.topic\` another template, or set ${option}: false` },
    );
  }

  #tableTopic(name: string): NewTopic {
    const { partitions, replication_factor } = this.#job.kafka;
    const config = { "min.insync.replicas": minInsync(replication_factor) };
    return { name, partitions, replication_factor, config };
  }

  async #open(topic: NewTopic): Promise<readonly Target[]> {
    const { name } = topic;
    if (this.#stored.topics[name] === undefined) {
      await this.#create(topic);
      this.#store({});
      await this.#outbox.drained();
    }
    const { partitions } = this.#stored.topics[name]!;
    const targets = partitions.map(({ position }, partition): Target => ({
      topic: name,
      partition,
      held: position,
      last: position,
    }));
    this.#topics.set(name, targets);
    return targets;
  }

  /** Makes the topic if need be and records it, so that a successor fences and reads it. */
  async #create(topic: NewTopic): Promise<void> {
    const { name } = topic;
    const admin = this.#admin;
    await admin.createTopics([topic]);
    const [info] = await admin.topics((other) => other === name);
    if (info === undefined) throw new RetryableError(`Topic ${name} was made and is not there`);
    const offsets = await admin.offsets(name);
    this.#stored.topics[name] = {
      id: info.id,
      partitions: offsets.map(({ end }) => ({ end_offset: end, position: "" })),
    };
    this.#deps.log.info("topic_opened", { topic: name, partitions: offsets.length });
  }

  // Acknowledged, stored, confirmed -----------------------------------------------------------------

  #note(positions: ReturnType<Load["positions"]>, acknowledged: readonly Acknowledged[]): void {
    const { topics } = this.#stored;
    for (const { topic, partition, next_offset } of acknowledged) {
      const state = topics[topic]?.partitions[partition];
      if (state === undefined || next_offset < 0) continue;
      // A topic that was made anew while this ran begins at its first offset again.
      if (next_offset <= state.end_offset) {
        throw topicCut(topic, partition, next_offset, state.end_offset);
      }
      state.end_offset = next_offset;
      this.#uncovered.add(state);
    }
    for (const { topic, partition, position } of positions) {
      topics[topic]!.partitions[partition]!.position = position;
    }
  }

  #acknowledge(resume: ResumePoint, covered: string): void {
    Object.assign(this.#stored, { resume, covered });
    for (const state of this.#uncovered) {
      if (state.position > covered) continue;
      state.covered_offset = state.end_offset;
      this.#uncovered.delete(state);
    }
    // On an idle table nothing else would carry the last second's positions to the topic.
    this.#store_timer ??= setTimeout(() => this.#store({}), STORE_INTERVAL_MS);
  }

  /**
   * Sends what is acknowledged so far beside `batches`, then tells the source. In this order the
   * source never stands ahead of what is stored, so one that does is another one.
   */
  async #sendStoring(batches: OutBatch[]): Promise<Acknowledged[]> {
    const { resume } = this.#stored;
    this.#stored_at_ms = this.#deps.now();
    clearTimeout(this.#store_timer);
    this.#store_timer = undefined;
    const position = positionBatch(this.#identity, this.#stored, this.#stored_at_ms);
    const acknowledged = await this.#producer.send([...batches, position]);
    this.#source.confirm(resume);
    return acknowledged;
  }

  #keepFence(): void {
    this.#outbox.add(() => this.#producer.keepFence());
  }

  #store(change: Partial<StoredPosition>): void {
    this.#outbox.add(async () => {
      Object.assign(this.#stored, change);
      const began = performance.now();
      await this.#sendStoring([]);
      this.#send_size.took(performance.now() - began);
    });
  }

  /** `reached_end`: nothing comes again, whatever was taken. Else the topics may hold a part of a transaction. */
  #storeEnd(reached_end: boolean): void {
    const { covered } = this.#stored;
    const held = this.#highest();
    const clean = reached_end || held <= covered;
    this.#store({ clean, covered: clean && held > covered ? held : covered });
  }

  /** The highest position that a topic holds; empty: none holds any. */
  #highest(): string {
    let highest = "";
    for (const { partitions } of Object.values(this.#stored.topics)) {
      for (const { position } of partitions) if (position > highest) highest = position;
    }
    return highest;
  }

  /** Asked by a timer, so that the lag grows where brokers do not answer. */
  #measureLag(): void {
    const { metrics, now } = this.#deps;
    const waiting = [this.#sent, this.#load].filter((load) => load !== undefined);
    metrics.lag_changes.set(waiting.reduce((sum, { taken }) => sum + taken, 0));
    const oldest_ts_us = waiting.find((load) => load.oldest_ts_us !== undefined)?.oldest_ts_us;
    const lag_bytes = this.#source.behind(this.#stored.resume);
    if (oldest_ts_us !== undefined) {
      metrics.lag_seconds.set(ageSeconds(oldest_ts_us, now()));
    } else if (lag_bytes === 0) {
      metrics.lag_seconds.set(0);
    }
    if (lag_bytes !== undefined) metrics.lag_bytes.set(lag_bytes);
  }

  #measure(load: Load, took_ms: number): void {
    const { metrics, now } = this.#deps;
    countChanges(load.changes, this.#totals.changes, metrics);
    this.#totals.repetitions += load.repetitions;
    if (load.repetitions > 0) metrics.repetitions_dropped.add(load.repetitions);
    if (load.snapshot !== undefined) {
      this.#deps.progress?.(load.snapshot);
      metrics.snapshot_rows.set(load.snapshot.rows);
      metrics.snapshot_rows_estimated.set(load.snapshot.rows_estimated);
    }
    const { newest_ts_us } = load;
    metrics.lag_seconds.set(newest_ts_us === undefined ? 0 : ageSeconds(newest_ts_us, now()));
    if (load.records === 0) return;
    metrics.records.add(load.records);
    metrics.bytes.add(load.bytes);
    metrics.batch_records.observe(load.records);
    metrics.flush_seconds.observe(took_ms / 1000);
    metrics.last_acknowledged_timestamp.set(now() / 1000);
  }
}

/** Whether a snapshot leads to that point of the log. */
function isSnapshot(resume: ResumePoint): boolean {
  return resume["snapshot"] !== undefined;
}

function highest(one: string, other: string): string {
  return one > other ? one : other;
}
