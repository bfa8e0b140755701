/** What a target must do. One file per technology implements it. */
import type { ZodType } from "zod";
import type { Change } from "../change.ts";
import type { TopicPartition } from "../kafka/port.ts";
import type { Health } from "../observe/health.ts";
import type { Log } from "../observe/log.ts";

/** What a sink knows of a partition from its own durable state. */
export interface Standing {
  /** Offset of the next record to write. */
  readonly next_offset: number;
  /** The last position written, by source (`connector/name`). */
  readonly positions: ReadonlyMap<string, string>;
  /** Offsets of dead letters that may be replayed, with digests of their keys. @default none */
  readonly set_aside?: ReadonlyMap<number, string>;
}

/** Changes of one partition in order, repetitions already removed. */
export interface SinkBatch {
  readonly changes: readonly Change[];
  /** What the sink's standing is once this batch is durable. */
  readonly standing: Standing;
}

/** Proof that everything below `next_offset` survives a power cut: only `flush` makes one. */
export interface Durable extends TopicPartition {
  readonly durable: true;
  readonly next_offset: number;
}

/** A partition that a sink is to write. */
export interface SinkPartition extends TopicPartition {
  /** The brokers' id of the topic: another one means another history. */
  readonly topic_id: string;
}

/** A target of changes. Calls for one partition never overlap. */
export interface Sink {
  /** A change that comes late does no harm: whoever reads the target orders rows by position. */
  readonly any_order?: boolean;
  /** Whether the sink looks at the rows of changes; false spares reading them. @default true */
  readonly reads_rows?: boolean;
  /**
   * Takes the partition (waiting while another process holds it) and says where the sink stands;
   * undefined: it has never seen it. Throws HistoryLostError when the topic is another one.
   */
  open(partition: SinkPartition, signal: AbortSignal): Promise<Standing | undefined>;
  /**
   * Accepts a batch: it is not durable before the next `flush`. Its changes are views of what came,
   * good until this resolves; `plainChange` makes one that may be kept. Throws RecordError, and has
   * accepted nothing of the batch then, when one of its rows cannot be represented truthfully.
   */
  write(at: TopicPartition, batch: SinkBatch): Promise<void>;
  /** Makes everything accepted durable, data and standing together; undefined: nothing was new. */
  flush(at: TopicPartition): Promise<Durable | undefined>;
  /** Gives the partition up, so that another process may open it; what is not flushed is undone. */
  release(at: TopicPartition): Promise<void>;
  close(): Promise<void>;
}

/** What every sink is made with besides its options. */
export interface SinkContext {
  /** The job's name for this consumer among those of its group. */
  readonly consumer_id: string;
  readonly log: Log;
  readonly health: Health;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** What a sink's module exports as `sink`: the schema of its options, and how it is made. */
export interface SinkModule<Options> {
  readonly options: ZodType<Options>;
  create(options: Options, context: SinkContext): Sink;
}
