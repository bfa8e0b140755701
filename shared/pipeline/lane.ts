/** One partition on its way from Kafka to the sink: read, decoded, repetitions dropped, written. */
import type { Change, Op } from "../change.ts";
import { RecordError } from "../errors.ts";
import type { Format } from "../formats/format.ts";
import type { InBatch, InRecord, TopicPartition } from "../kafka/port.ts";
import type { Durable, Sink, Standing } from "../sinks/sink.ts";
import { Repetitions } from "./repetitions.ts";
import { type SchemaReader, UnknownSchemaError } from "./schemas.ts";

/**
 * A fetch of one partition may hold tens of thousands of compressed records. Decoded they take ten
 * times the memory, so the sink gets them some at a time; this many still make long writes.
 */
const CHUNK_CHANGES = 500;

/** How many changes of each kind. */
export type OpCounts = Record<Op, number>;

/** A count of none. */
export function noChanges(): OpCounts {
  return { c: 0, u: 0, d: 0, r: 0, t: 0 };
}

/** What a lane works with. */
export interface LaneContext {
  readonly sink: Sink;
  readonly format: Format;
  readonly schemas: SchemaReader;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** What came of a batch. */
export interface Taken {
  readonly records: number;
  readonly bytes: number;
  readonly repetitions: number;
}

/** What a flush made durable. */
export interface Flushed {
  readonly durable: Durable;
  readonly changes: OpCounts;
  /** Time since the first of them was accepted, milliseconds. */
  readonly waited_ms: number;
  /** Commit time in the source of the newest of them, microseconds; undefined: there was none. */
  readonly newest_ts_us: number | undefined;
}

/** One partition's state; calls that change it are made through `exclusive`. */
export class Lane {
  readonly at: TopicPartition;
  readonly #context: LaneContext;
  #positions: ReadonlyMap<string, string> = new Map();
  #queue: Promise<unknown> = Promise.resolve();
  #pending = noChanges();
  #accepted_since_ms: number | undefined;
  #newest_ts_us: number | undefined;

  /** Offset of the next record to take. */
  next_offset = 0;
  /** Where the partition ended when it was last fetched. */
  end_offset = 0;
  /** Offset up to which the sink has everything; undefined: it has said nothing. */
  durable_offset: number | undefined;
  /** What the group was last told. */
  committed_offset: number | undefined;
  /** A batch has read all that it wants of the partition. */
  finished = false;
  /** Bytes of records accepted since the last flush. */
  accepted_bytes = 0;
  /** The partition's place in the sink is ours. */
  opened = false;
  /** Batches that come are not taken: another process still holds the place. */
  waiting = true;
  /** Offset behind the last record that came while waiting. */
  ignored_to = 0;
  /** Ends the waiting. */
  readonly left = new AbortController();

  constructor(at: TopicPartition, context: LaneContext) {
    this.at = { topic: at.topic, partition: at.partition };
    this.#context = context;
  }

  /** Does `work` when all earlier work on this lane has ended, whatever came of it. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }

  /** Begins at `offset` with what the sink knows. */
  begin(offset: number, standing: Standing | undefined): void {
    this.next_offset = offset;
    this.durable_offset = standing?.next_offset;
    this.#positions = standing?.positions ?? new Map();
    this.opened = true;
  }

  /** Lets a batch that comes while waiting go. */
  ignore(batch: InBatch): void {
    const last = batch.records.at(-1);
    if (last !== undefined) this.ignored_to = Math.max(this.ignored_to, last.offset + 1);
  }

  /** Whether the batch follows ignored ones that have to come again: it was fetched before the seek. */
  isAhead(batch: InBatch): boolean {
    const first = batch.records[0];
    return this.next_offset < this.ignored_to && first !== undefined &&
      first.offset >= this.ignored_to;
  }

  /**
   * Decodes a batch up to offset `end` and writes what is new. Throws RecordError naming the place
   * of a record that cannot be read; everything before it is written then.
   */
  async take(batch: InBatch, end: number): Promise<Taken> {
    const repetitions = new Repetitions(this.#positions);
    let changes: Change[] = [];
    let next_offset = Math.max(this.next_offset, Math.min(batch.next_offset, end));
    let bytes = 0, records = 0, repeated = 0;
    let failure: { error: unknown } | undefined;
    for (const record of batch.records) {
      if (record.offset < this.next_offset) continue; // fetched before a seek
      if (record.offset >= end) break;
      bytes += record.size;
      records++;
      if (record.value === null) continue; // a tombstone tells compaction, not us
      let change: Change;
      try {
        change = this.#decode(record) ?? await this.#decodeAnew(record);
      } catch (error) {
        next_offset = record.offset;
        failure = { error: this.#placed(error) };
        break;
      }
      if (repetitions.isNew(change)) changes.push(change);
      else repeated++;
      if (changes.length < CHUNK_CHANGES) continue;
      const positions = repetitions.positions();
      await this.#write(changes, { next_offset: record.offset + 1, positions });
      changes = [];
    }
    await this.#write(changes, { next_offset, positions: repetitions.positions() });
    this.end_offset = batch.end_offset;
    this.accepted_bytes += bytes;
    if (failure !== undefined) throw failure.error;
    return { records, bytes, repetitions: repeated };
  }

  /** Moves behind records that no consumer delivers. */
  skipTo(offset: number): Promise<void> {
    return this.#write([], { next_offset: offset, positions: this.#positions });
  }

  /** Gives the place in the sink up: what waits in `exclusive` behind this finds nothing to do. */
  async release(): Promise<void> {
    if (!this.opened) return;
    this.opened = false;
    await this.#context.sink.release(this.at);
  }

  /** Makes everything accepted durable; undefined: nothing was new. */
  async flush(): Promise<Flushed | undefined> {
    const { sink, now } = this.#context;
    if (!this.opened) return undefined;
    const durable = await sink.flush(this.at);
    if (durable === undefined) return undefined;
    this.durable_offset = durable.next_offset;
    const flushed: Flushed = {
      durable,
      changes: this.#pending,
      waited_ms: now() - (this.#accepted_since_ms ?? now()),
      newest_ts_us: this.#newest_ts_us,
    };
    this.#pending = noChanges();
    this.#accepted_since_ms = this.#newest_ts_us = undefined;
    this.accepted_bytes = 0;
    return flushed;
  }

  async #write(changes: readonly Change[], standing: Standing): Promise<void> {
    if (changes.length === 0 && standing.next_offset === this.next_offset) return;
    await this.#context.sink.write(this.at, { changes, standing });
    this.next_offset = standing.next_offset;
    this.#positions = standing.positions;
    this.#accepted_since_ms ??= this.#context.now();
    for (const change of changes) this.#pending[change.op]++;
    this.#newest_ts_us = changes.at(-1)?.transaction.ts_us ?? this.#newest_ts_us;
  }

  /** The change, or undefined when the definition of its table has to be read first. */
  #decode(record: InRecord): Change | undefined {
    try {
      return this.#context.format.decode(record, this.#context.schemas.lookup);
    } catch (error) {
      if (error instanceof UnknownSchemaError) return undefined;
      throw error;
    }
  }

  async #decodeAnew(record: InRecord): Promise<Change> {
    const { format, schemas } = this.#context;
    await schemas.refresh();
    return format.decode(record, schemas.lookup);
  }

  #placed(error: unknown): unknown {
    if (!(error instanceof RecordError)) return error;
    const { topic, partition } = this.at;
    return new RecordError(`Topic ${topic}, partition ${partition}: ${error.message}`, {
      cure: error.cure,
      cause: error.cause,
    });
  }
}
