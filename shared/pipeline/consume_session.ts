/** One try at consuming: from connecting to the end, a change of topics, or the first fault. */
import { HistoryLostError, RetryableError } from "../errors.ts";
import {
  type Admin,
  type Consumer,
  type InBatch,
  type KafkaClient,
  type OffsetRange,
  partitionId,
  type TopicPartition,
} from "../kafka/port.ts";
import { timeouts } from "../kafka/options.ts";
import type { Health } from "../observe/health.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import type { Format } from "../formats/format.ts";
import type { Sink, Standing } from "../sinks/sink.ts";
import { groupOf, type PoisonJob } from "./consume_options.ts";
import { ageSeconds, countChanges, type OpCounts } from "./counts.ts";
import { type Flushed, Lane } from "./lane.ts";
import { wait } from "../backoff.ts";
import { Poison } from "./poison.ts";
import { SchemaReader } from "./schemas.ts";
import { type BatchEnd, groupIsDone, onlyMarkersLeft, takeTargets } from "./targets.ts";
import { TopicOffsets } from "./topic_offsets.ts";
import {
  findTopics,
  type FoundTopics,
  refuseMissing,
  refuseRemade,
  type TopicChoice,
} from "./topics.ts";

/** How long an assignment waits for a partition's place in the sink before it goes on without. */
const OPEN_PATIENCE_MS = 500;
/** How long the brokers may show an end before an offset they once gave, after a leader's change. */
const END_PATIENCE_MS = 10_000;
/** How often something that others have to do is looked for. */
const POLL_MS = 500;

/** What the loop needs of a job. */
export interface ConsumeJob extends TopicChoice, PoisonJob {
  readonly mode: "stream" | "batch";
  readonly flush_interval_ms: number;
  readonly flush_bytes: number;
  readonly topic_refresh_ms: number;
  readonly kafka: {
    readonly fetch_bytes: number;
    readonly request_timeout_ms: number;
    readonly session_timeout_ms?: number | undefined;
    readonly auto_offset_reset: "earliest" | "latest";
  };
}

/** What the loop is given to work with. */
export interface ConsumeDeps {
  readonly kafka: KafkaClient;
  /** Closed by the loop when it ends. */
  readonly sink: Sink;
  readonly format: Format;
  readonly log: Log;
  readonly metrics: Metrics;
  readonly health: Health;
  /** Ends the loop in order: what was accepted is made durable and committed first. */
  readonly signal: AbortSignal;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** What sessions have in common: counts that they add to, and where a batch ends. */
export interface ConsumeTotals {
  targets?: ReadonlyMap<string, BatchEnd>;
  readonly topics: Set<string>;
  readonly partitions: Set<string>;
  records: number;
  changes: OpCounts;
  repetitions: number;
  skipped: number;
  dead_letters: number;
  bytes: number;
}

/** A session. `run` is called once. */
export class ConsumeSession {
  readonly #job: ConsumeJob;
  readonly #deps: ConsumeDeps;
  readonly #totals: ConsumeTotals;
  readonly #group_id: string;
  readonly #lanes = new Map<string, Lane>();
  /** Aborts at the first fault; its reason is the fault. */
  readonly #failed = new AbortController();
  /** Aborts at the first fault and when the job is stopped. */
  readonly #stop: AbortSignal;
  #admin!: Admin;
  #offsets!: TopicOffsets;
  #schemas!: SchemaReader;
  #poison!: Poison;
  #joined: Consumer | undefined;
  readonly #consumer = Promise.withResolvers<Consumer>();
  /** One commit at a time: a later one must not be overtaken by an earlier. */
  #committing: Promise<void> = Promise.resolve();
  /** Wakes a batch that has reached its ends. */
  #nudge = new AbortController();
  /** Offsets at the last look for the end, to tell who no longer moves. */
  readonly #seen = new Map<Lane, number>();
  #found!: FoundTopics;
  #targets: ReadonlyMap<string, BatchEnd> | undefined;
  #draining = false;

  constructor(job: ConsumeJob, deps: ConsumeDeps, totals: ConsumeTotals) {
    this.#job = job;
    this.#deps = deps;
    this.#totals = totals;
    this.#group_id = groupOf(job);
    this.#stop = AbortSignal.any([deps.signal, this.#failed.signal]);
  }

  async run(): Promise<"done" | "stopped" | "topics_changed"> {
    const { kafka, health } = this.#deps;
    this.#admin = await kafka.admin();
    try {
      this.#offsets = new TopicOffsets(this.#admin, this.#group_id);
      this.#schemas = new SchemaReader(this.#admin);
      await this.#schemas.refresh();
      const { log, metrics } = this.#deps;
      this.#poison = new Poison(this.#job, {
        kafka,
        admin: this.#admin,
        log,
        metrics,
        totals: this.#totals,
      });
      if (!await this.#begin()) return "stopped";
      let ended: "done" | "stopped" | "topics_changed";
      try {
        await this.#join();
        ended = await this.#turn();
      } finally {
        health.unready("consume", "the worker is not in its consumer group");
        await this.#leave();
        await this.#poison.close();
      }
      this.#failed.signal.throwIfAborted(); // by what could not be made durable while leaving
      return ended;
    } finally {
      await this.#admin.close().catch((error) => this.#deps.log.debug("close_failed", { error }));
    }
  }

  // Beginning and ending ----------------------------------------------------------------------------

  /** Finds the topics, waiting for the first in a stream; false: stopped meanwhile. */
  async #begin(): Promise<boolean> {
    const { log, health } = this.#deps;
    for (let said = false;; said = true) {
      this.#found = await findTopics(this.#admin, this.#job);
      if (this.#job.mode === "batch") {
        await refuseMissing(this.#admin, this.#job, this.#found);
        this.#totals.targets ??= await takeTargets(this.#admin, this.#found.found.keys());
        this.#targets = this.#totals.targets;
      }
      if (this.#found.found.size > 0) break;
      const { missing } = this.#found;
      if (!said) {
        log.info("waiting_for_topics", { missing, topic_pattern: this.#job.topic_pattern });
        health.unready("consume", "none of the topics exists yet");
      }
      await wait(POLL_MS, this.#stop);
      if (this.#stop.aborted) return false;
    }
    for (const topic of this.#found.found.keys()) this.#totals.topics.add(topic);
    return true;
  }

  async #join(): Promise<void> {
    const { log, health, kafka } = this.#deps;
    const topics = [...this.#found.found.keys()].sort();
    const consumer = await kafka.consumer({
      ...this.#job.kafka,
      session_timeout_ms: timeouts(this.#job.kafka).session_timeout_ms,
      group_id: this.#group_id,
      topics,
      handlers: {
        assigned: (partitions) => this.#assigned(partitions),
        revoked: (partitions) => this.#revoked(partitions),
        batch: (batch) => this.#batch(batch),
        failed: (error) => this.#fail(error),
        outOfRange: (at, asked, first, end) => this.#outOfRange(at, asked, first, end),
      },
    });
    this.#joined = consumer;
    this.#consumer.resolve(consumer);
    health.ready("start");
    health.ready("consume");
    log.info("consume_started", { group_id: this.#group_id, topics, mode: this.#job.mode });
  }

  /** Flushes at intervals until there is a reason to end. */
  async #turn(): Promise<"done" | "stopped" | "topics_changed"> {
    const { now } = this.#deps;
    let refreshed_ms = now();
    for (;;) {
      const wake = this.#targets === undefined
        ? this.#stop
        : AbortSignal.any([this.#stop, this.#nudge.signal]);
      await wait(this.#job.flush_interval_ms, wake);
      this.#nudge = new AbortController();
      if (this.#failed.signal.aborted) throw this.#failed.signal.reason;
      if (this.#stop.aborted) return "stopped";
      await this.#flushAll();
      if (this.#targets !== undefined && await this.#isDone(this.#targets)) return "done";
      if (this.#job.mode === "batch" || now() - refreshed_ms < this.#job.topic_refresh_ms) continue;
      refreshed_ms = now();
      if (await this.#topicsChanged()) return "topics_changed";
    }
  }

  async #topicsChanged(): Promise<boolean> {
    const found = await findTopics(this.#admin, this.#job);
    refuseRemade(this.#found, found);
    const added = [...found.found.keys()].filter((topic) => !this.#found.found.has(topic));
    if (added.length > 0) this.#deps.log.info("topics_found", { added });
    return added.length > 0;
  }

  /** Makes durable what was accepted, commits it, gives the partitions up and leaves the group. */
  async #leave(): Promise<void> {
    const { log } = this.#deps;
    this.#draining = true;
    if (this.#joined === undefined) {
      this.#consumer.promise.catch(() => {}); // nobody may be waiting for it
      this.#consumer.reject(new Error("the consumer did not start"));
    }
    await this.#revoked([...this.#lanes.values()].map((lane) => lane.at));
    await this.#joined?.close().catch((error) => log.warn("close_failed", { error }));
    log.info("consume_ended", { group_id: this.#group_id });
  }

  #fail(error: unknown): void {
    this.#failed.abort(error);
  }

  // What the consumer tells -------------------------------------------------------------------------

  async #assigned(partitions: readonly TopicPartition[]): Promise<(number | undefined)[]> {
    this.#deps.log.info("partitions_assigned", { partitions: partitions.map(partitionId) });
    const offsets = await Promise.allSettled(partitions.map((at) => this.#take(at)));
    return offsets.map((offset) => {
      if (offset.status === "fulfilled") return offset.value;
      if (!this.#draining) this.#fail(offset.reason);
      return undefined;
    });
  }

  /**
   * Opens a partition's place in the sink and answers where to read on. While another process holds
   * it only this partition waits: it is begun at its first offset, so that nothing that comes before
   * the later seek can lie after the offset sought, and paused.
   */
  async #take(at: TopicPartition): Promise<number | undefined> {
    const { sink, format, log, now } = this.#deps;
    if (this.#lanes.has(partitionId(at))) await this.#revoked([at]);
    const topic_id = this.#found.found.get(at.topic)?.id ?? "";
    const lane = new Lane({ ...at, topic_id }, {
      sink,
      format,
      schemas: this.#schemas,
      poison: this.#poison,
      log,
      now,
    });
    this.#lanes.set(partitionId(at), lane);
    this.#totals.partitions.add(partitionId(at));
    const opened = lane.exclusive(async () => {
      const standing = await sink.open({ ...lane.at, topic_id }, lane.left.signal);
      try {
        lane.begin(await this.#startOffset(lane.at, standing), standing);
      } catch (error) {
        await sink.release(lane.at);
        throw error;
      }
    });
    const patience = new AbortController();
    await Promise.race([opened, wait(OPEN_PATIENCE_MS, patience.signal)])
      .finally(() => patience.abort());
    if (lane.opened) {
      lane.waiting = false;
      return lane.next_offset;
    }
    opened.then(() => this.#resume(lane)).catch((error) => {
      if (!lane.left.signal.aborted) this.#fail(error);
    });
    return (await this.#offsetsOf(at)).first;
  }

  /** What a partition holds, and what the group has committed of it. */
  async #offsetsOf(at: TopicPartition): Promise<OffsetRange & { committed: number | undefined }> {
    const { ranges, committed } = await this.#offsets.of(at.topic);
    const range = ranges[at.partition];
    if (range !== undefined) return { ...range, committed: committed[at.partition] };
    // It learns of added partitions later than the group may deal them.
    throw new RetryableError(`${partitionId(at)} is not known to the broker that was asked yet`);
  }

  async #resume(lane: Lane): Promise<void> {
    const consumer = await this.#consumer.promise;
    if (lane.left.signal.aborted) return;
    lane.waiting = false;
    consumer.seek(lane.at, lane.next_offset);
    consumer.resume([lane.at]);
  }

  /** Where the sink stands, else where the group does, else where the job says. */
  async #startOffset(at: TopicPartition, standing: Standing | undefined): Promise<number> {
    const { log } = this.#deps;
    const { first, end, committed } = await this.#offsetsOf(at);
    const wanted = standing?.next_offset ?? committed;
    if (standing !== undefined && standing.next_offset > first && committed === undefined) {
      log.warn("output_is_ahead", {
        partition: partitionId(at),
        group: this.#group_id,
        next_offset: wanted,
        cure:
          "nothing, where this job wrote it; for a copy of its own a group needs an output of its own",
      });
    }
    log.info("partition_opened", {
      partition: partitionId(at),
      next_offset: wanted,
      by: standing !== undefined ? "sink" : wanted !== undefined ? "group" : "auto_offset_reset",
      first,
      end,
    });
    if (wanted === undefined) return this.#job.kafka.auto_offset_reset === "earliest" ? first : end;
    if (wanted < first) throw passedByRetention(at, wanted, first);
    if (wanted > end) await this.#awaitEnd(at, wanted);
    return wanted;
  }

  /** A new leader may show an older end for a moment; a topic that lost its end never comes back. */
  async #awaitEnd(at: TopicPartition, wanted: number): Promise<void> {
    const { now } = this.#deps;
    const deadline = now() + END_PATIENCE_MS;
    for (;;) {
      const { end } = await this.#offsetsOf(at);
      if (wanted <= end || this.#stop.aborted) return;
      if (now() > deadline) throw behindEnd(at, wanted, end);
      await wait(POLL_MS, this.#stop);
    }
  }

  async #outOfRange(at: TopicPartition, asked: number, first: number, end: number) {
    if (this.#lanes.get(partitionId(at))?.waiting ?? true) return first;
    const error = asked < first ? passedByRetention(at, asked, first) : behindEnd(at, asked, end);
    this.#fail(error);
    throw error;
  }

  async #batch(batch: InBatch): Promise<void> {
    const lane = this.#lanes.get(partitionId(batch));
    if (lane === undefined || this.#draining || this.#stop.aborted) return;
    try {
      if (lane.waiting) return await this.#ignore(lane, batch);
      await lane.exclusive(() => this.#write(lane, batch));
    } catch (error) {
      this.#fail(error);
    }
  }

  async #ignore(lane: Lane, batch: InBatch): Promise<void> {
    lane.ignore(batch);
    const consumer = await this.#consumer.promise;
    if (lane.waiting) consumer.pause([lane.at]);
  }

  async #write(lane: Lane, batch: InBatch): Promise<void> {
    if (lane.left.signal.aborted) return;
    if (lane.isAstray(batch)) {
      return (await this.#consumer.promise).seek(lane.at, lane.next_offset);
    }
    const { metrics } = this.#deps;
    const end = this.#targets?.get(partitionId(lane.at))?.end ?? Infinity;
    const taken = await lane.take(batch, end);
    this.#totals.records += taken.records;
    this.#totals.bytes += taken.bytes;
    this.#totals.repetitions += taken.repetitions;
    metrics.records.add(taken.records);
    metrics.bytes.add(taken.bytes);
    metrics.batch_records.observe(taken.records);
    if (taken.repetitions > 0) metrics.repetitions_dropped.add(taken.repetitions);
    this.#measureLag(lane);
    if (lane.next_offset >= end && !lane.finished) {
      lane.finished = true;
      this.#nudge.abort();
      (await this.#consumer.promise).pause([lane.at]);
    }
    if (lane.accepted_bytes < this.#job.flush_bytes / this.#lanes.size) return;
    await this.#flush(lane);
    await this.#commit([lane]);
  }

  async #revoked(partitions: readonly TopicPartition[]): Promise<void> {
    const lanes = partitions.flatMap((at) => this.#lanes.get(partitionId(at)) ?? []);
    if (lanes.length === 0) return;
    this.#deps.log.info("partitions_revoked", { partitions: partitions.map(partitionId) });
    for (const lane of lanes) lane.left.abort(new Error("the partition was revoked"));
    const given = await Promise.allSettled(lanes.map((lane) => this.#release(lane)));
    for (const lane of lanes) {
      if (this.#lanes.get(partitionId(lane.at)) === lane) this.#lanes.delete(partitionId(lane.at));
    }
    const failure = given.find((result) => result.status === "rejected");
    if (failure !== undefined) this.#fail(failure.reason);
  }

  /** Makes what a lane accepted durable, tells the group, and gives the place in the sink up. */
  async #release(lane: Lane): Promise<void> {
    const { metrics } = this.#deps;
    await lane.exclusive(async () => {
      try {
        await this.#flush(lane);
        await this.#commit([lane]);
      } finally {
        const { topic, partition } = lane.at;
        metrics.lag_records.drop({ topic, partition: String(partition) });
        await lane.release();
      }
    });
  }

  // Durable, then committed -------------------------------------------------------------------------

  async #flushAll(): Promise<void> {
    const { metrics } = this.#deps;
    const lanes = [...this.#lanes.values()].filter((lane) => lane.opened);
    await Promise.all(lanes.map((lane) => lane.exclusive(() => this.#flush(lane))));
    await this.#commit(lanes);
    if (lanes.every((lane) => (lane.durable_offset ?? 0) >= lane.end_offset)) {
      metrics.lag_seconds.set(0);
    }
  }

  async #flush(lane: Lane): Promise<void> {
    const flushed = await lane.flush();
    if (flushed !== undefined) this.#measure(lane, flushed);
  }

  /** Tells the group what is durable. Where this fails the sink's own standing makes up for it. */
  #commit(lanes: readonly Lane[]): Promise<void> {
    this.#committing = this.#committing.then(() => this.#commitNow(lanes));
    return this.#committing;
  }

  async #commitNow(lanes: readonly Lane[]): Promise<void> {
    const news = lanes.flatMap(({ at, durable_offset, committed_offset }) =>
      durable_offset === undefined || durable_offset === committed_offset
        ? []
        : [{ ...at, next_offset: durable_offset }]
    );
    if (news.length === 0) return;
    try {
      await (await this.#consumer.promise).commit(news);
    } catch (error) {
      this.#deps.log.warn("commit_failed", { error, partitions: news.map(partitionId) });
      return;
    }
    for (const { topic, partition, next_offset } of news) {
      const lane = lanes.find(({ at }) => at.topic === topic && at.partition === partition)!;
      lane.committed_offset = next_offset;
    }
  }

  #measure(lane: Lane, { changes, waited_ms, newest_ts_us }: Flushed): void {
    const { metrics, now } = this.#deps;
    countChanges(changes, this.#totals.changes, metrics);
    metrics.flush_seconds.observe(waited_ms / 1000);
    metrics.last_acknowledged_timestamp.set(now() / 1000);
    if (newest_ts_us !== undefined) metrics.lag_seconds.set(ageSeconds(newest_ts_us, now()));
    this.#measureLag(lane);
  }

  #measureLag(lane: Lane): void {
    const { topic, partition } = lane.at;
    const lag = Math.max(0, lane.end_offset - (lane.durable_offset ?? 0));
    this.#deps.metrics.lag_records.set(lag, { topic, partition: String(partition) });
  }

  // The end of a batch ------------------------------------------------------------------------------

  /** Own partitions by what was committed of them, those of other members by what they committed. */
  async #isDone(targets: ReadonlyMap<string, BatchEnd>): Promise<boolean> {
    for (const lane of this.#lanes.values()) {
      const target = targets.get(partitionId(lane.at));
      if (target === undefined || target.end <= target.first) continue;
      if (lane.waiting) return false;
      if (lane.next_offset < target.end && !await this.#endsInMarkers(lane, target)) return false;
      if ((lane.committed_offset ?? 0) < target.end) return false;
    }
    const theirs = [...targets.values()].filter((target) => !this.#lanes.has(partitionId(target)));
    return theirs.length === 0 || await groupIsDone(this.#admin, this.#group_id, theirs);
  }

  async #endsInMarkers(lane: Lane, target: BatchEnd): Promise<boolean> {
    const from = lane.next_offset;
    const moves = this.#seen.get(lane) !== from;
    this.#seen.set(lane, from);
    if (moves || !await onlyMarkersLeft(this.#admin, target, from)) return false;
    await lane.exclusive(async () => {
      if (lane.opened && lane.next_offset === from) await lane.skipTo(target.end);
    });
    return true;
  }
}

function passedByRetention(at: TopicPartition, wanted: number, first: number): HistoryLostError {
  return new HistoryLostError(
    `${partitionId(at)}: offset ${wanted} comes next, and the topic begins at ${first}:` +
      ` retention has deleted ${first - wanted} records that were not read`,
    {
      cure:
        "give the topic a longer retention.ms, capture the tables again, and begin with an empty" +
        " target and another group_id",
    },
  );
}

function behindEnd(at: TopicPartition, wanted: number, end: number): HistoryLostError {
  return new HistoryLostError(
    `${partitionId(at)}: offset ${wanted} comes next, and the topic ends at ${end}:` +
      " it was recreated, or lost records that all its replicas once held",
    { cure: "begin with an empty target and another group_id" },
  );
}
