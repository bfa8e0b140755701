/**
 * A consumer of kafkajs in a group. kafkajs tells of a rebalance and joins the next generation at
 * once; here its join is refused, through the assignor that every join asks first, until the
 * handlers have given up what they hold. So no two members own one partition while both are alive.
 */
import kafkajs, {
  type Consumer as LibraryConsumer,
  type EachBatchPayload,
  type IHeaders,
  type KafkaMessage,
  type PartitionAssigner,
} from "kafkajs";
import { Buffer } from "node:buffer";
import { RetryableError } from "../../errors.ts";
import type { Log } from "../../observe/log.ts";
import {
  ASSIGNMENT_PROTOCOL,
  byTopic,
  dealPartitions,
  heartbeatMs,
  METADATA_MS,
} from "../assignment.ts";
import type { Settings } from "../options.ts";
import {
  type Consumer,
  type ConsumerOptions,
  type InBatch,
  type InRecord,
  partitionId,
  type TopicPartition,
} from "../port.ts";
import { brokerFault } from "../faults.ts";
import { closedError, retrying } from "../retry.ts";
import { KafkajsAdmin } from "./admin.ts";
import { library, libraryFault, RETRY } from "./library.ts";

const { AssignerProtocol } = kafkajs;

/** Most bytes of one fetch over all partitions. */
const RESPONSE_BYTES = 16 << 20;
/** More partitions than this are handled in turns. */
const MOST_AT_ONCE = 64;

/** What is known of a partition while it is assigned. */
interface Holding {
  readonly at: TopicPartition;
  /** Where the next batch must begin; undefined while that is being found out. */
  expected: number | undefined;
  paused: boolean;
  /** The handler at work, or the last one. */
  handling: Promise<void>;
}

/** The consumer of the `kafkajs` client. */
export class KafkajsConsumer implements Consumer {
  readonly #settings: Settings;
  readonly #options: ConsumerOptions;
  readonly #log: Log;
  readonly #admin: KafkajsAdmin;
  readonly #stop = new AbortController();
  readonly #heartbeat_ms: number;
  #consumer!: LibraryConsumer;
  /** The assignment that the handlers know of; empty between two. */
  #holdings = new Map<string, Holding>();
  #assigning: Promise<void> = Promise.resolve();
  /** The newest assignment, until it is placed. */
  #assigned: readonly TopicPartition[] = [];
  #releasing: Promise<void> | undefined;
  #heartbeat: (() => Promise<void>) | undefined;
  #failed = false;
  /** kafkajs has given up and begins anew: until it has joined, calls about partitions throw. */
  #crashed = false;
  #starting: Promise<void> = Promise.resolve();

  private constructor(settings: Settings, log: Log, options: ConsumerOptions, admin: KafkajsAdmin) {
    this.#settings = settings;
    this.#log = log;
    this.#options = options;
    this.#admin = admin;
    this.#heartbeat_ms = heartbeatMs(options.session_timeout_ms);
  }

  /** Connects; the group is joined as soon as the caller has the consumer in its hands. */
  static async open(
    settings: Settings,
    log: Log,
    options: ConsumerOptions,
  ): Promise<KafkajsConsumer> {
    const admin = await KafkajsAdmin.open(settings, log);
    const self = new KafkajsConsumer(settings, log, options, admin);
    try {
      await self.#demandGroup();
      await self.#connect();
    } catch (error) {
      await admin.close();
      throw libraryFault(error, "Opening a consumer", settings);
    }
    self.#starting = new Promise((resolve) => setTimeout(resolve, 0)).then(() => self.#start());
    return self;
  }

  async commit(
    offsets: readonly (TopicPartition & { readonly next_offset: number })[],
  ): Promise<void> {
    if (offsets.length === 0) return;
    try {
      await this.#consumer.commitOffsets(
        offsets.map(({ topic, partition, next_offset }) => ({
          topic,
          partition,
          offset: String(next_offset),
        })),
      );
    } catch (error) {
      const what = `Committing to group ${this.#options.group_id}`;
      const fault = libraryFault(error, what, this.#settings);
      throw new RetryableError(fault.message, {
        cure: "nothing: the consumer joins the group's next generation by itself",
        cause: error,
      });
    }
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const holding of this.#find(partitions)) holding.paused = true;
    this.#hold(partitions);
  }

  resume(partitions: readonly TopicPartition[]): void {
    const held = this.#find(partitions);
    for (const holding of held) holding.paused = false;
    this.#resume(held.filter(({ expected }) => expected !== undefined));
  }

  seek(at: TopicPartition, offset: number): void {
    for (const holding of this.#find([at])) {
      holding.expected = offset;
      if (!this.#crashed) this.#consumer.seek({ ...at, offset: String(offset) });
    }
  }

  async close(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(closedError("consumer"));
    await this.#starting;
    await this.#release("closed");
    await this.#consumer.disconnect().catch(() => {});
    await this.#admin.close();
  }

  /** kafkajs tells a group that this user may not enter as one whose coordinator is away. */
  async #demandGroup(): Promise<void> {
    const { group_id } = this.#options;
    const held = await this.#admin.rights("group", group_id);
    if (!held?.has("Read")) {
      throw brokerFault("GROUP_AUTHORIZATION_FAILED", `Entering group ${group_id}`);
    }
  }

  async #connect(): Promise<void> {
    const kafka = await library(this.#settings, this.#log);
    const { group_id, session_timeout_ms, fetch_bytes } = this.#options;
    const consumer = kafka.consumer({
      groupId: group_id,
      sessionTimeout: session_timeout_ms,
      rebalanceTimeout: this.#settings.rebalance_timeout_ms,
      heartbeatInterval: this.#heartbeat_ms,
      metadataMaxAge: METADATA_MS,
      maxBytesPerPartition: fetch_bytes,
      maxBytes: RESPONSE_BYTES,
      maxWaitTimeInMs: this.#settings.fetch_wait_ms,
      readUncommitted: true,
      allowAutoTopicCreation: false,
      partitionAssigners: [this.#assigner],
      retry: {
        ...RETRY,
        restartOnFailure: async () => !this.#stop.signal.aborted,
      },
    });
    this.#consumer = consumer;
    consumer.on(
      consumer.events.GROUP_JOIN,
      ({ payload }) => this.#joined(payload.memberAssignment),
    );
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      if (payload.batchSize === 0) this.#skipped(payload);
    });
    consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
      this.#crashed = true;
      if (restart) this.#release("lost");
      else this.#fail(libraryFault(error, "Consuming", this.#settings));
    });
    await consumer.connect();
  }

  async #start(): Promise<void> {
    const { topics, group_id } = this.#options;
    const { signal } = this.#stop;
    try {
      await retrying({ log: this.#log, what: `join group ${group_id}`, signal }, async () => {
        try {
          // Where a partition begins is always said by a seek; this is where kafkajs goes when
          // an offset is gone: to where the jump shows at once.
          await this.#consumer.subscribe({ topics: [...topics], fromBeginning: true });
        } catch (error) {
          throw libraryFault(error, `Subscribing to ${topics.join(", ")}`, this.#settings);
        }
      });
      await this.#consumer.run({
        autoCommit: false,
        eachBatchAutoResolve: false,
        partitionsConsumedConcurrently: MOST_AT_ONCE,
        eachBatch: (payload) => this.#batch(payload),
      });
    } catch (error) {
      if (!signal.aborted) this.#fail(libraryFault(error, "Consuming", this.#settings));
    }
  }

  /** The gate: asked for the protocol at every join, it refuses while partitions are held. */
  readonly #assigner: PartitionAssigner = ({ cluster }) => ({
    name: ASSIGNMENT_PROTOCOL,
    version: 0,
    protocol: ({ topics }) => {
      if (this.#holdings.size > 0 || this.#releasing !== undefined) {
        this.#release("rebalance");
        throw Object.assign(new Error("partitions are still being handed over"), {
          type: "REBALANCE_IN_PROGRESS", // which kafkajs tries again after a while
          retriable: true, // and begins anew when that was in vain
        });
      }
      return {
        name: ASSIGNMENT_PROTOCOL,
        metadata: AssignerProtocol.MemberMetadata.encode({
          version: 0,
          topics: [...topics],
          userData: Buffer.alloc(0),
        }),
      };
    },
    assign: async ({ members }) => {
      const subscribers = members.map(({ memberId, memberMetadata }) => ({
        member_id: memberId,
        topics: AssignerProtocol.MemberMetadata.decode(memberMetadata)!.topics,
      }));
      const topics = [...new Set(subscribers.flatMap(({ topics }) => topics))];
      await cluster.addMultipleTargetTopics(topics);
      const counts = new Map(
        topics.map((topic) => [topic, cluster.findTopicPartitionMetadata(topic).length]),
      );
      return [...dealPartitions(subscribers, counts)].map(([memberId, partitions]) => ({
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({
          version: 0,
          assignment: Object.fromEntries(byTopic(partitions)),
          userData: Buffer.alloc(0),
        }),
      }));
    },
  });

  /**
   * Runs before kafkajs fetches anything of the new assignment: all is paused until it is placed.
   * After a fault each of kafkajs's fetchers joins by itself, past the gate together; so one
   * assignment may come upon another, which is given up before.
   */
  #joined(assignment: Readonly<Record<string, number[]>>): void {
    const partitions = Object.entries(assignment)
      .flatMap(([topic, all]) => all.map((partition) => ({ topic, partition })));
    this.#crashed = false;
    this.#hold(partitions);
    this.#assigned = partitions;
    if (this.#holdings.size === 0 && this.#releasing === undefined) this.#place();
    else this.#release("rebalance").then(() => this.#place());
  }

  /** Takes the newest assignment. */
  #place(): void {
    const partitions = this.#assigned;
    this.#assigned = [];
    if (partitions.length === 0 || this.#stop.signal.aborted) return;
    this.#holdings = new Map(partitions.map((at) => [partitionId(at), {
      at,
      expected: undefined,
      paused: false,
      handling: Promise.resolve(),
    }]));
    const { group_id } = this.#options;
    const names = [...this.#holdings.keys()];
    this.#log.debug("assignment_begun", { group_id, partitions: names });
    this.#assigning = this.#assign(partitions).catch((error) => {
      if (!this.#stop.signal.aborted) this.#fail(error);
    });
  }

  async #assign(partitions: readonly TopicPartition[]): Promise<void> {
    const { handlers, group_id, auto_offset_reset } = this.#options;
    const answers = await handlers.assigned(partitions);
    const { ranges, committed } = await retrying({
      log: this.#log,
      what: `begin to read for group ${group_id}`,
      signal: this.#stop.signal,
    }, () => this.#offsets([...new Set(partitions.map(({ topic }) => topic))]));
    const placed: Holding[] = [];
    for (const [index, at] of partitions.entries()) {
      const { first, end } = ranges.get(at.topic)![at.partition]!;
      const reset = auto_offset_reset === "earliest" ? first : end;
      const asked = answers[index] ?? committed.get(at.topic)![at.partition] ?? reset;
      const gone = asked < first || asked > end;
      const start = gone ? await handlers.outOfRange(at, asked, first, end) : asked;
      const holding = this.#holdings.get(partitionId(at));
      if (holding === undefined || this.#releasing !== undefined) return;
      this.seek(at, start);
      placed.push(holding);
    }
    this.#resume(placed);
  }

  /** What the topics hold, and what the group has committed in them. */
  async #offsets(topics: readonly string[]) {
    const ranges = new Map<string, Awaited<ReturnType<KafkajsAdmin["offsets"]>>>();
    const committed = new Map<string, readonly (number | undefined)[]>();
    for (const topic of topics) {
      ranges.set(topic, await this.#admin.offsets(topic));
      committed.set(topic, await this.#admin.committed(this.#options.group_id, topic));
    }
    return { ranges, committed };
  }

  #resume(holdings: readonly Holding[]): void {
    if (this.#failed || this.#releasing !== undefined) return;
    const free = holdings.filter(({ paused }) => !paused).map(({ at }) => at);
    if (free.length > 0) this.#consumer.resume(grouped(free));
  }

  async #batch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, isStale, resolveOffset } = payload;
    this.#heartbeat = heartbeat;
    const holding = this.#open(batch);
    if (holding === undefined) return;
    // Not in the library's types, and the only trace of a jump that it makes when an offset is gone.
    const { fetchedOffset } = batch as unknown as { fetchedOffset: string };
    if (Number(fetchedOffset) !== holding.expected) return await this.#goOnElsewhere(holding);
    const read: InBatch = {
      topic: batch.topic,
      partition: batch.partition,
      records: batch.messages.map(toRecord),
      next_offset: Number(batch.lastOffset()) + 1,
      end_offset: Number(batch.highWatermark),
    };
    const beating = setInterval(() => heartbeat().catch(() => {}), this.#heartbeat_ms);
    try {
      await this.#hand(holding, read);
    } finally {
      clearInterval(beating);
    }
    if (this.#failed || isStale()) return;
    holding.expected = read.next_offset;
    resolveOffset(batch.lastOffset());
  }

  /** A batch of nothing but control records, which kafkajs passes over by itself. */
  #skipped(payload: TopicPartition & { lastOffset: string; highWatermark: string }): void {
    const holding = this.#open(payload);
    if (holding?.expected === undefined) return;
    const next_offset = Number(payload.lastOffset) + 1;
    holding.expected = next_offset;
    this.#hand(holding, {
      topic: payload.topic,
      partition: payload.partition,
      records: [],
      next_offset,
      end_offset: Number(payload.highWatermark),
    });
  }

  /** Hands a batch over when the last one of the partition is done; resolves when this one is. */
  async #hand(holding: Holding, batch: InBatch): Promise<void> {
    const before = holding.handling;
    holding.handling = before.then(async () => {
      if (this.#failed || this.#releasing !== undefined && batch.records.length === 0) return;
      await this.#options.handlers.batch(batch);
    }).catch((error) => this.#fail(error));
    await holding.handling;
  }

  /** The partition if its batches may be handed over now. */
  #open(at: TopicPartition): Holding | undefined {
    if (this.#failed || this.#releasing !== undefined) return undefined;
    const holding = this.#holdings.get(partitionId(at));
    return holding === undefined || holding.paused ? undefined : holding;
  }

  /** Seeks the expected offset again, or where that is gone what the owner says. */
  async #goOnElsewhere(holding: Holding): Promise<void> {
    const { at, expected } = holding;
    if (expected === undefined) return;
    const { first, end } = (await this.#admin.offsets(at.topic))[at.partition]!;
    if (expected >= first && expected <= end) {
      this.seek(at, expected); // fetched from elsewhere for another reason: an older seek
      return;
    }
    try {
      this.seek(at, await this.#options.handlers.outOfRange(at, expected, first, end));
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Gives up all that is held: the handlers at work end, then `revoked` resolves. */
  #release(reason: string): Promise<void> {
    this.#releasing ??= this.#revoke(reason).finally(() => this.#releasing = undefined);
    return this.#releasing;
  }

  async #revoke(reason: string): Promise<void> {
    const partitions = [...this.#holdings.values()].map(({ at }) => at);
    if (partitions.length === 0) return;
    this.#hold(partitions);
    // While it waits for us kafkajs sends none, and the session must not end before the handing over.
    const beating = setInterval(() => this.#heartbeat?.().catch(() => {}), this.#heartbeat_ms);
    try {
      await this.#assigning;
      await Promise.all([...this.#holdings.values()].map(({ handling }) => handling));
      await this.#options.handlers.revoked(partitions);
    } catch (error) {
      this.#fail(error);
    } finally {
      clearInterval(beating);
      this.#holdings = new Map();
      const { group_id } = this.#options;
      this.#log.info("assignment_ended", { group_id, reason });
    }
  }

  /** Lets kafkajs hand over nothing more of the partitions. */
  #hold(partitions: readonly TopicPartition[]): void {
    if (partitions.length > 0 && !this.#crashed) this.#consumer.pause(grouped(partitions));
  }

  #find(partitions: readonly TopicPartition[]): Holding[] {
    return partitions.map((at) => this.#holdings.get(partitionId(at)))
      .filter((holding) => holding !== undefined);
  }

  #fail(error: unknown): void {
    if (this.#failed) return;
    this.#failed = true;
    const all = [...this.#holdings.values()].map(({ at }) => at);
    this.#hold(all);
    this.#options.handlers.failed(error);
  }
}

function grouped(partitions: readonly TopicPartition[]): { topic: string; partitions: number[] }[] {
  return [...byTopic(partitions)].map(([topic, partitions]) => ({ topic, partitions }));
}

function toRecord({ offset, key, value, timestamp, headers }: KafkaMessage): InRecord {
  return {
    offset: Number(offset),
    size: (key?.length ?? 0) + (value?.length ?? 0),
    key,
    value,
    timestamp_ms: Number(timestamp),
    headers: headers === undefined ? NO_HEADERS : toHeaders(headers),
  };
}

const NO_HEADERS: InRecord["headers"] = [];

/** kafkajs keeps headers by name: of several with one name the order among others is lost. */
function toHeaders(headers: IHeaders): InRecord["headers"] {
  return Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value) => [name, Buffer.from(value as Buffer)] as const)
  );
}
