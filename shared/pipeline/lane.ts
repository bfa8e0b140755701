/** One partition on its way from Kafka to the sink: read, decoded, repetitions dropped, written. */
import { type Change, OPS } from "../change.ts";
import { describe, placed, RecordError } from "../errors.ts";
import type { Format, Glance } from "../formats/format.ts";
import type { InBatch, InRecord, TopicPartition } from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Durable, Sink, SinkPartition, Standing } from "../sinks/sink.ts";
import { POSITION_LENGTH } from "../position.ts";
import { noChanges, type OpCounts } from "./counts.ts";
import { copyOf, type DeadLetter, type Reason, type Replay, replayOf } from "./dead_letter.ts";
import { otherFormat } from "./foreign.ts";
import { noteStamp } from "./notes.ts";
import type { Poison } from "./poison.ts";
import { Repetitions } from "./repetitions.ts";
import { type SchemaReader, UnknownSchemaError } from "./schemas.ts";
import { behind, NOTHING, type SetAside, withoutRecord, withRecord } from "./set_aside.ts";

/**
 * A fetch of one partition may hold tens of thousands of compressed records. Decoded they take ten
 * times the memory, so the sink gets them some at a time; this many still make long writes.
 */
const CHUNK_CHANGES = 500;

/** Dead letters are sent before a flush, and when so many bytes of them wait. */
const HELD_LETTER_BYTES = 1 << 20;

/** What the last glance told, of any lane: nothing is awaited before it is used, and one record's memory is kept. */
const told: Glance = {
  op: "c",
  source: { connector: "mysql", name: "", version: "" },
  memory: new Uint8Array(),
  position_at: 0,
  ts_us: 0,
};

/** What a lane works with. */
export interface LaneContext {
  readonly sink: Sink;
  readonly format: Format;
  readonly schemas: SchemaReader;
  /** What becomes of records that cannot be applied. */
  readonly poison: Pick<Poison, "on_error" | "limit" | "job" | "group_id" | "handle">;
  readonly log: Log;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Some of a batch's records, read and not yet written. */
class Chunk {
  readonly changes: Change[] = [];
  /** Changes that are counted and not read, and when the last of them was committed. */
  readonly counted = noChanges();
  counted_ts_us: number | undefined;
  readonly letters: DeadLetter[] = [];
  readonly repetitions: Repetitions;
  set_aside: SetAside;
  /** The same before the last change: it is still so when that one is refused. */
  set_aside_before: SetAside;
  records = 0;
  bytes = 0;
  repeated = 0;
  /** Index in the batch of the record that comes next. */
  to: number;
  /** Its offset, or the batch's end. */
  next_offset: number;
  /** Why that record cannot be passed. */
  failure: { readonly error: unknown } | undefined;

  constructor(from: number, { next_offset, positions, set_aside = NOTHING }: Standing) {
    this.to = from;
    this.next_offset = next_offset;
    this.repetitions = new Repetitions(positions);
    this.set_aside = this.set_aside_before = set_aside;
  }

  /** The sink's standing once this is written. */
  standing(): Standing {
    const { next_offset, repetitions, set_aside } = this;
    return { next_offset, positions: repetitions.positions(), set_aside };
  }
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

/** A replay that a target without memory does not take: it waits again. */
class ForgottenError extends RecordError {
  constructor() {
    super(
      "the target does not know what it lacks, so it cannot tell this replay from a repetition",
      {
        cure:
          "replay letters before the consumer is restarted, or use a sink that keeps its standing",
      },
    );
  }
}

/** One partition's state; calls that change it are made through `exclusive`. */
export class Lane {
  readonly at: TopicPartition;
  readonly #topic_id: string;
  readonly #context: LaneContext;
  #positions: ReadonlyMap<string, string> = new Map();
  #set_aside: SetAside = NOTHING;
  /** Of records from here on it is known whether they were set aside. */
  #remembered_from = 0;
  /** Written past, and not handled yet: before that nothing after them may become durable. */
  #letters: DeadLetter[] = [];
  #letter_bytes = 0;
  /** The batch for which definitions were read anew. */
  #refreshed_for: InBatch | undefined;
  #queue: Promise<unknown> = Promise.resolve();
  #pending = noChanges();
  #accepted_since_ms: number | undefined;
  #newest_ts_us: number | undefined;

  /** Offset of the next record to take. */
  next_offset = 0;
  /** Where the partition ended when it was last fetched. */
  end_offset = 0;
  /**
   * Offset before which nothing waits to be made durable; undefined: not begun. Where a target has said
   * nothing it is where the lane began: committed, a group that began at the end goes on from there.
   */
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
  /** Offset after the last record that came while waiting. */
  ignored_to = 0;
  /** Ends the waiting. */
  readonly left = new AbortController();

  constructor(at: SinkPartition, context: LaneContext) {
    this.at = { topic: at.topic, partition: at.partition };
    this.#topic_id = at.topic_id;
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
    this.durable_offset = standing?.next_offset ?? offset;
    this.#positions = standing?.positions ?? new Map();
    this.#set_aside = standing?.set_aside ?? NOTHING;
    this.#remembered_from = standing === undefined ? offset : 0;
    this.opened = true;
  }

  /** Lets a batch that comes while waiting go. */
  ignore(batch: InBatch): void {
    const last = batch.records.at(-1);
    if (last !== undefined) this.ignored_to = Math.max(this.ignored_to, last.offset + 1);
  }

  /**
   * Whether the batch follows ignored ones that have to come again, or stands before all that is wanted:
   * it was fetched before the seek, or the seek came too early to be heard.
   */
  isAstray({ records }: InBatch): boolean {
    const [first, last] = [records[0], records.at(-1)];
    if (first === undefined || last === undefined) return false;
    const isAhead = this.next_offset < this.ignored_to && first.offset >= this.ignored_to;
    return isAhead || last.offset < this.next_offset;
  }

  /**
   * Decodes a batch up to offset `end` and writes what is new. Records that cannot be applied are
   * passed where the job says so. Throws RecordError naming the place of one that cannot be passed;
   * everything before it is written then.
   */
  async take(batch: InBatch, end: number): Promise<Taken> {
    const taken = { records: 0, bytes: 0, repetitions: 0 };
    this.end_offset = batch.end_offset;
    let size = CHUNK_CHANGES;
    let from = 0;
    do {
      const chunk = await this.#read(batch, from, end, size);
      try {
        await this.#write(chunk.changes, chunk.standing());
        this.#count(chunk);
      } catch (error) {
        if (!(error instanceof RecordError) || this.#context.poison.on_error === "fail") {
          throw this.#placed(error);
        }
        if (size > 1) {
          size = 1; // once more, to learn which one it is
          continue;
        }
        chunk.changes.pop();
        chunk.set_aside = chunk.set_aside_before;
        const failure = this.#setAside(chunk, batch.records[chunk.to - 1]!, "sink", error);
        if (failure !== undefined) throw failure.error;
        await this.#write([], chunk.standing());
      }
      from = chunk.to;
      taken.records += chunk.records;
      taken.bytes += chunk.bytes;
      taken.repetitions += chunk.repeated;
      this.accepted_bytes += chunk.bytes;
      await this.#keep(chunk.letters);
      if (chunk.failure !== undefined) throw chunk.failure.error;
    } while (from < batch.records.length);
    return taken;
  }

  /** Moves past records that no consumer delivers. */
  skipTo(offset: number): Promise<void> {
    return this.#write([], this.#standing(offset));
  }

  /** Gives the place in the sink up: what waits in `exclusive` after this finds nothing to do. */
  async release(): Promise<void> {
    if (!this.opened) return;
    this.opened = false;
    await this.#context.sink.release(this.at);
  }

  /** Makes everything accepted durable; undefined: nothing was new. */
  async flush(): Promise<Flushed | undefined> {
    const { sink, now } = this.#context;
    if (!this.opened) return undefined;
    await this.#handleLetters();
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
    this.#set_aside = standing.set_aside ?? NOTHING;
    this.#accepted_since_ms ??= this.#context.now();
    for (const change of changes) this.#pending[change.op]++;
    this.#newest_ts_us = changes.at(-1)?.transaction.ts_us ?? this.#newest_ts_us;
  }

  /** Counts what the sink has not looked at. */
  #count({ counted, counted_ts_us }: Chunk): void {
    for (const op of OPS) this.#pending[op] += counted[op];
    this.#newest_ts_us = counted_ts_us ?? this.#newest_ts_us;
  }

  #standing(next_offset: number): Standing {
    return { next_offset, positions: this.#positions, set_aside: this.#set_aside };
  }

  /** Reads records from index `from` on, until `size` changes are to be written. */
  async #read(batch: InBatch, from: number, end: number, size: number): Promise<Chunk> {
    const { records } = batch;
    const chunk = new Chunk(from, this.#standing(this.next_offset));
    for (; chunk.to < records.length && chunk.changes.length < size; chunk.to++) {
      const record = records[chunk.to]!;
      if (record.offset < this.next_offset) continue; // fetched before a seek
      if (record.offset >= end) {
        chunk.to = records.length;
        break;
      }
      if (!this.#glance(chunk, record)) {
        let error = this.#readRecord(chunk, record);
        // Definitions stand before their rows: one look a batch finds all that there are.
        if (error instanceof UnknownSchemaError && this.#refreshed_for !== batch) {
          this.#refreshed_for = batch;
          await this.#context.schemas.refresh();
          error = this.#readRecord(chunk, record);
        }
        if (error !== undefined) chunk.failure = await this.#pass(chunk, record, error);
        if (chunk.failure !== undefined) {
          chunk.next_offset = record.offset;
          return chunk;
        }
      }
      chunk.records++;
      chunk.bytes += record.size;
      chunk.next_offset = record.offset + 1;
    }
    if (chunk.to < records.length) return chunk;
    chunk.next_offset = Math.max(chunk.next_offset, Math.min(batch.next_offset, end));
    return chunk;
  }

  /** Counts the change of a record where the sink does not look at its rows; false: it must be read. */
  #glance(chunk: Chunk, record: InRecord): boolean {
    const { format, schemas, sink: { reads_rows = true } } = this.#context;
    if (reads_rows || record.headers.length > 0 || chunk.set_aside.size > 0) return false;
    if (format.glance === undefined || !format.glance(record, schemas.lookup, told)) return false;
    if (chunk.repetitions.isNewAt(told.source, told.memory, told.position_at)) {
      chunk.counted[told.op]++;
      chunk.counted_ts_us = told.ts_us;
    } else chunk.repeated++;
    return true;
  }

  /** Adds what a record says to the chunk; answers the error that keeps it from that. */
  #readRecord(chunk: Chunk, record: InRecord): unknown {
    if (record.value === null) return undefined; // a tombstone tells compaction, not us
    if (record.headers.length > 0 && noteStamp(record) !== undefined) return undefined;
    const { format, schemas } = this.#context;
    try {
      const change = format.decode(record, schemas.lookup);
      refuseMisshapen(change, record);
      this.#admit(chunk, record, change);
      return undefined;
    } catch (error) {
      return error;
    }
  }

  /** Adds a change to the chunk unless it has come before. */
  #admit(chunk: Chunk, record: InRecord, change: Change): void {
    const { sink, poison, log } = this.#context;
    const replay = record.headers.length === 0 ? undefined : replayOf(record);
    const isNew = chunk.repetitions.isNew(change);
    const isWanted = replay !== undefined && chunk.set_aside.has(replay.offset);
    if (!isNew && !isWanted) {
      if (replay?.group_id === poison.group_id) {
        log.warn("replay_refused", this.#refusal(replay));
        const isForgotten = replay.offset < this.#remembered_from;
        if (isForgotten && poison.on_error === "dead_letter") throw new ForgottenError();
      }
      chunk.repeated++;
      return;
    }
    chunk.changes.push(change);
    chunk.set_aside_before = chunk.set_aside;
    if (isWanted) chunk.set_aside = withoutRecord(chunk.set_aside, replay.offset);
    if (chunk.set_aside.size === 0) return;
    const applied = { op: change.op, key: record.key, offset: replay?.offset ?? record.offset };
    chunk.set_aside = behind(chunk.set_aside, applied, sink.any_order === true);
  }

  #refusal({ offset }: Replay) {
    return {
      ...this.at,
      offset,
      reason:
        "this target has it already, or a newer change of its key, or a truncate, was applied since",
    };
  }

  // Records that cannot be applied ------------------------------------------------------------------

  /** Passes a record that could not be read; one of another format never. */
  async #pass(chunk: Chunk, record: InRecord, error: unknown): Promise<Chunk["failure"]> {
    const { format, poison } = this.#context;
    if (!(error instanceof RecordError)) return { error };
    const isUnknown = error instanceof UnknownSchemaError;
    const other = isUnknown ? undefined : await otherFormat(record, format);
    if (other !== undefined) {
      const found =
        `The record at offset ${record.offset} is a change in format ${other}, and the` +
        ` job's format is ${format.name}`;
      return { error: this.#placed(new RecordError(found, { cure: `set \`format: ${other}\`` })) };
    }
    if (poison.on_error === "fail") return { error: this.#placed(error) };
    const reason = isUnknown ? "schema" : error instanceof ForgottenError ? "sink" : "format";
    return this.#setAside(chunk, record, reason, error);
  }

  /** Makes a letter of a record, or answers why it cannot be passed. */
  #setAside(
    chunk: Chunk,
    record: InRecord,
    reason: Reason,
    error: RecordError,
  ): Chunk["failure"] {
    const { poison, now } = this.#context;
    // A replay that fails again is the same letter.
    const { offset, replays } = replayOf(record) ?? { offset: record.offset, replays: 0 };
    if (poison.on_error === "dead_letter") {
      const set_aside = withRecord(chunk.set_aside, offset, record.key);
      if (set_aside.size > poison.limit) return { error: this.#tooMany(record.offset, error) };
      chunk.set_aside = set_aside;
    }
    chunk.letters.push({
      origin: { ...this.at, topic_id: this.#topic_id, offset },
      reason,
      error: describe(error),
      job: poison.job,
      group_id: poison.group_id,
      failed_ms: now(),
      replays,
      record: copyOf(record),
    });
    return undefined;
  }

  #tooMany(offset: number, cause: RecordError): RecordError {
    const { poison: { limit } } = this.#context;
    const found = `${limit} dead letters wait to be replayed, and the record at offset ${offset}` +
      " would be one more";
    return this.#placed(
      new RecordError(found, {
        cure:
          "look at them with `deno task dead-letters list JOB` and replay them after a fix, or" +
          " raise dead_letter_limit",
        cause,
      }),
    );
  }

  /** Keeps letters until the next flush. */
  async #keep(letters: readonly DeadLetter[]): Promise<void> {
    this.#letters.push(...letters);
    for (const { record: { key, value } } of letters) {
      this.#letter_bytes += (key?.length ?? 0) + (value?.length ?? 0);
    }
    if (this.#letter_bytes >= HELD_LETTER_BYTES) await this.#handleLetters();
  }

  async #handleLetters(): Promise<void> {
    if (this.#letters.length === 0) return;
    await this.#context.poison.handle(this.#letters);
    this.#letters = [];
    this.#letter_bytes = 0;
  }

  #placed<E>(error: E): E | RecordError {
    const { topic, partition } = this.at;
    return placed(`Topic ${topic}, partition ${partition}`, error);
  }
}

/** Throws RecordError for a change that could do harm further on: without its row or its position. */
function refuseMisshapen(change: Change, { offset }: InRecord): void {
  const { op, position } = change;
  const rows = change.text ?? change;
  const isWhole = op === "t" || (op === "d" ? rows.before : rows.after) !== null;
  if (isWhole && position.length === POSITION_LENGTH) return;
  const why = isWhole
    ? `its position is ${JSON.stringify(position.slice(0, 80))}`
    : `its op is ${op}, and it has no row \`${op === "d" ? "before" : "after"}\``;
  throw new RecordError(`The record at offset ${offset} is no change: ${why}`, {
    cure: "find who wrote it: no capture of list-sync does",
  });
}
