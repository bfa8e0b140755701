/** Fetched records, bytes in and batches out, for both clients. */
import { RecordError } from "../errors.ts";
import { BytePool } from "../wire/byte_pool.ts";
import { MalformedBatchError, type ReadBatches, readRecordBatches } from "../wire/record_batch.ts";
import { decompress } from "./codecs.ts";
import { type InBatch, partitionId, type TopicPartition } from "./port.ts";

/** One partition to fetch. */
export interface Wanted extends TopicPartition {
  readonly offset: number;
  readonly max_bytes: number;
  /** As the client knows it: a leader of another epoch refuses. @default -1, any */
  readonly leader_epoch?: number;
}

/** What a fetch brought of one partition. */
export interface Fetched extends TopicPartition {
  readonly error_code: number;
  /** The high watermark. */
  readonly end_offset: number;
  /** Record batches as stored, the last one perhaps cut off. */
  readonly bytes: Uint8Array;
}

/** How long and how much a broker may collect. */
export interface FetchLimits {
  readonly wait_ms: number;
  readonly max_bytes: number;
}

/** Decompressed bytes after which a batch is handed over: some thousand row changes. */
const BATCH_BYTES = 1 << 20;

/** A batch of each of a few partitions. */
const POOL_BYTES = 4 << 20;
const pool = new BytePool(POOL_BYTES);

/** What `takeBatch` takes. */
export interface TakenBatch {
  readonly batch: InBatch;
  /** What is left; undefined: nothing. */
  readonly left: Fetched | undefined;
  /** Memory of the batch that `giveBack` may give back when nobody reads its records any more. */
  readonly payloads: readonly Uint8Array[];
}

/** The next records of `fetched` from offset `from` on. Throws RecordError for damaged ones. */
export function takeBatch(fetched: Fetched, from: number): TakenBatch {
  const { topic, partition, end_offset } = fetched;
  const { records, next_offset, rest, payloads } = readBatches(fetched, from);
  return {
    batch: { topic, partition, records, next_offset, end_offset },
    left: rest.length === 0 ? undefined : { ...fetched, bytes: rest },
    payloads,
  };
}

function readBatches(fetched: Fetched, from: number): ReadBatches {
  const unpack = (id: number, bytes: Uint8Array) => decompress(id, bytes, pool.take);
  try {
    return readRecordBatches(fetched.bytes, from, unpack, BATCH_BYTES);
  } catch (error) {
    if (!(error instanceof MalformedBatchError)) throw error;
    throw new RecordError(`${partitionId(fetched)}: ${error.message}`, {
      cure:
        "start again: if it is damaged on the leader's disk and not on the way, make a replica the " +
        "leader whose copy is whole (kafka-leader-election.sh), and replace that disk",
      cause: error,
    });
  }
}

/**
 * Frees what was decompressed, or keeps it for the next batch, at once: a megabyte a batch would pile up
 * until the garbage is collected. Whoever reads it later gets a TypeError.
 */
export function giveBack(payloads: readonly Uint8Array[]): void {
  for (const payload of payloads) {
    const { buffer, byteLength } = payload;
    if (pool.give(payload)) continue;
    // A small one may be a part of memory that others use, too.
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffer.transfer(0);
  }
}

/** The memory of an answer, which the partitions that it brought something of share. */
export class AnswerMemory {
  readonly #buffer: ArrayBufferLike | undefined;
  #users: number;

  constructor(fetched: readonly Fetched[]) {
    const brought = fetched.filter(({ bytes }) => bytes.length > 0);
    this.#buffer = brought[0]?.bytes.buffer;
    this.#users = brought.length;
  }

  /** Told by each partition when nobody reads its bytes any more; the last one frees the memory, as above. */
  done(): void {
    this.#users--;
    if (this.#users === 0 && this.#buffer instanceof ArrayBuffer) this.#buffer.transfer(0);
  }
}

/** All records of `fetched` from offset `from` up to `to` (exclusive), batch by batch. */
export function* batchesOf(fetched: Fetched, from: number, to: number): Generator<InBatch> {
  let rest: Fetched | undefined = fetched;
  for (let next = from; rest !== undefined && next < to;) {
    const { batch, left }: TakenBatch = takeBatch(rest, next);
    if (batch.next_offset > next) yield below(batch, to);
    next = batch.next_offset;
    rest = left;
  }
}

/** The part of `batch` below offset `to`. */
function below(batch: InBatch, to: number): InBatch {
  if (batch.next_offset <= to) return batch;
  return {
    ...batch,
    records: batch.records.filter(({ offset }) => offset < to),
    next_offset: to,
  };
}
