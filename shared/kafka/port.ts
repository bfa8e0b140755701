/** All that list-sync asks of a Kafka client. One file per client implements it. */
import type { RecordError } from "../errors.ts";

/** One partition of a topic. */
export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/** `topic-partition` as one string, for maps. */
export function partitionId(at: TopicPartition): string {
  return `${at.topic}/${at.partition}`;
}

/** Text is written as UTF-8. */
export type Bytes = string | Uint8Array;

/** A record on its way to Kafka. */
export interface OutRecord {
  readonly key: Bytes | null;
  readonly value: Bytes | null;
  /** Milliseconds since the Unix epoch. */
  readonly timestamp_ms: number;
  readonly headers?: readonly (readonly [name: string, value: Bytes])[];
}

/** Records in order: an array of them, or packed (`wire/packed_records.ts`). */
export interface OutRecords {
  readonly length: number;
  at(index: number): OutRecord | undefined;
}

/** Records for one partition. */
export interface OutBatch extends TopicPartition {
  readonly records: OutRecords;
}

/** A batch that all in-sync replicas hold. */
export interface Acknowledged extends TopicPartition {
  /** Offset just after the last record of the batch that is written; -1: none is. */
  readonly next_offset: number;
  /**
   * The record at `index` is larger than the topic takes. Neither it nor what stands after it for its
   * partition is written. Only for who asked to be told.
   */
  readonly too_large?: { readonly index: number; readonly error: RecordError };
}

/**
 * Writes batches. One send at a time: `send` may be called again only after the last one ended.
 * It repeats passing faults itself (same sequence numbers, so nothing is doubled); when it rejects,
 * the producer is spent: close it, open another, and read the tails to learn what was written.
 */
export interface Producer {
  /**
   * Resolves when every in-sync replica holds all records of all batches (acks=all).
   * Throws FencedError when another producer took over, RetryableError when the producer is spent,
   * RecordError for a record that the broker refuses for its size (unless `tells_too_large`),
   * HistoryLostError for a topic that
   * is seen to be another one under the same name.
   */
  send(batches: readonly OutBatch[]): Promise<Acknowledged[]>;
  /**
   * Does what it can of a later send of these records while another is in flight, so that they leave
   * at once when their turn comes. They must not change any more.
   */
  prepare(batches: readonly OutBatch[]): void;
  /**
   * Reminds the brokers of the producer's transactional id, between two sends: of one that was unused for
   * `transactional.id.expiration.ms` (7 days by default) they know nothing any more, and a successor under
   * it would shut nobody out. Waits for brokers that do not answer. Throws RetryableError when they have
   * forgotten it, FencedError when this producer was shut out.
   */
  keepFence(): Promise<void>;
  close(): Promise<void>;
}

/** What a producer needs to open. */
export interface ProducerOptions {
  /** Names the producer across restarts, so that a successor can fence it. */
  readonly transactional_id: string;
  /**
   * Partitions on which older producers are shut out before the first send: ids given here besides
   * the producer's own are fenced too. Without the capability `fences` this does nothing.
   */
  readonly fence: {
    readonly partitions: readonly TopicPartition[];
    readonly ids: readonly string[];
  };
  /** A record that is too large is told with what is acknowledged, and the producer goes on. */
  readonly tells_too_large?: boolean;
}

/** A record as read. Offsets are numbers: 2^53 records are out of reach of any partition. */
export interface InRecord {
  readonly offset: number;
  /** Bytes of key and value. */
  readonly size: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly timestamp_ms: number;
  readonly headers: readonly (readonly [name: string, value: Uint8Array])[];
  /**
   * Where the value stands, for a record out of a batch: reading it there costs less than the view
   * `value`. A length of -1 is null.
   */
  readonly memory?: Uint8Array;
  readonly value_at?: number;
  readonly value_length?: number;
}

/** Records of one partition, in order, control records left out. */
export interface InBatch extends TopicPartition {
  readonly records: readonly InRecord[];
  /** Where the next batch begins: after the last record, control records included. */
  readonly next_offset: number;
  /** Where the partition ended when this was fetched. */
  readonly end_offset: number;
}

/** What a partition holds: from offset `first` to the one before `end`. */
export interface OffsetRange {
  readonly first: number;
  readonly end: number;
}

/** What a consumer tells its owner; the calls for one partition never overlap. */
export interface ConsumerHandlers {
  /**
   * Partitions came. The answer says, per partition, from which offset to read;
   * undefined: the group's committed offset, else `auto_offset_reset`.
   */
  assigned(partitions: readonly TopicPartition[]): Promise<readonly (number | undefined)[]>;
  /** Partitions go. What is not yet durable must be made so, or given up, before it resolves. */
  revoked(partitions: readonly TopicPartition[]): Promise<void>;
  /**
   * The next batch of a partition; no further one of that partition comes until it resolves. The
   * bytes of its records are good until then: their memory is given back. Partitions take turns, so
   * it must not wait for another one's batch.
   */
  batch(batch: InBatch): Promise<void>;
  /** The consumer cannot go on by itself: the error says why. */
  failed(error: unknown): void;
  /** The asked offset is gone (retention) or the topic was made anew; the answer: read on from there, or throw. */
  outOfRange(at: TopicPartition, asked: number, first: number, end: number): Promise<number>;
}

/** What a consumer needs to start. */
export interface ConsumerOptions {
  readonly group_id: string;
  /** Topic names. */
  readonly topics: readonly string[];
  readonly auto_offset_reset: "earliest" | "latest";
  readonly session_timeout_ms: number;
  /** Upper bound of the bytes that a fetch of one partition brings. */
  readonly fetch_bytes: number;
  readonly handlers: ConsumerHandlers;
}

/** A member of a consumer group. */
export interface Consumer {
  /** Commits, per partition, the offset of the next record to read. */
  commit(offsets: readonly (TopicPartition & { readonly next_offset: number })[]): Promise<void>;
  pause(partitions: readonly TopicPartition[]): void;
  resume(partitions: readonly TopicPartition[]): void;
  seek(at: TopicPartition, offset: number): void;
  /** Leaves the group after `revoked` has resolved for all that was assigned. */
  close(): Promise<void>;
}

/** A topic as the brokers describe it. */
export interface TopicInfo {
  readonly name: string;
  /** The brokers' own id: a topic made anew under the same name has another. */
  readonly id: string;
  readonly partitions: number;
  readonly replication_factor: number;
}

/** What a topic is made with. */
export interface NewTopic {
  readonly name: string;
  readonly partitions: number;
  readonly replication_factor: number;
  /** Topic configuration: `cleanup.policy`, `min.insync.replicas` ... */
  readonly config: Readonly<Record<string, string>>;
}

/** An operation of Kafka's ACLs, as `kafka-acls.sh` spells it. */
export type Operation = "Read" | "Write" | "Create" | "Describe" | "DescribeConfigs";

/** What ACLs are about. */
export type Resource = "topic" | "group" | "transactional-id";

/** Everything but producing and consuming in a group. */
export interface Admin {
  /** `host:port` of every broker as advertised. */
  brokers(): Promise<string[]>;
  /** All topics of the cluster whose name `match` accepts. */
  topics(match: (name: string) => boolean): Promise<TopicInfo[]>;
  /** A topic's effective configuration: `min.insync.replicas`, `max.message.bytes`, `cleanup.policy`, `retention.ms` ... */
  topicConfig(topic: string): Promise<ReadonlyMap<string, string>>;
  /** Makes the topics that do not exist, and waits until their leaders answer for them. */
  createTopics(topics: readonly NewTopic[]): Promise<void>;
  /** Whether this user may make a topic of this name; makes none. */
  mayCreate(topic: string): Promise<boolean>;
  deleteTopics(names: readonly string[]): Promise<void>;
  /**
   * What this user may do with a resource; nothing at all: it may not even see it. Undefined: there
   * is none, and it may know that. Of a transactional id only `Describe` can be asked.
   */
  rights(resource: Resource, name: string): Promise<ReadonlySet<Operation> | undefined>;
  /** Per partition (by index) the first offset that can be read and the end offset (high watermark). */
  offsets(topic: string): Promise<OffsetRange[]>;
  /** Offsets committed by a group, per partition; undefined where it has none. */
  committed(group_id: string, topic: string): Promise<(number | undefined)[]>;
  deleteGroups(group_ids: readonly string[]): Promise<void>;
  /** Reads one partition from `from` up to `to` (exclusive) without a group, bounded batch by batch. */
  read(at: TopicPartition, from: number, to: number): AsyncIterable<InBatch>;
  close(): Promise<void>;
}

/** What a client can do beyond the common part. */
export interface Capabilities {
  /** Producers of a killed process are shut out before the tails are read. */
  readonly fences: boolean;
  /** A partition whose batches are larger than `fetch_bytes` is served however busy the others are. */
  readonly fair_fetches: boolean;
}

/** A client behind the port. */
export interface KafkaClient {
  readonly capabilities: Capabilities;
  admin(): Promise<Admin>;
  producer(options: ProducerOptions): Promise<Producer>;
  consumer(options: ConsumerOptions): Promise<Consumer>;
}
