/**
 * Reading with the fetch request (key 1, version 11), bytes in and out, for both libraries: their
 * own fetches build objects that cost more than the network, and hide control records' offsets.
 * Format: https://kafka.apache.org/protocol#The_Messages_Fetch
 */
import { Buffer } from "node:buffer";
import { BytePool } from "../wire/byte_pool.ts";
import { readRecordBatches } from "../wire/record_batch.ts";
import { decompress } from "./codecs.ts";
import type { InBatch, TopicPartition } from "./port.ts";

/** Number of the request. */
export const FETCH_KEY = 1;
/** The last version before compact encoding; brokers from 2.3 to 4.x answer it. */
export const FETCH_VERSION = 11;

/** Reads past open transactions: all that list-sync writes is outside of them. */
const READ_UNCOMMITTED = 0;

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

/** A round trip of so many milliseconds is worth as many bytes again. */
const FAR_MS = 100;
/** Bounds what fetches take of memory. */
const MOST_TIMES = 8;

/**
 * Bytes to ask of a partition at once. Far from the brokers `fetch_bytes` take less time than the way
 * there and back, in which nothing comes: at 800 ms and 20 Mbit/s they used a fifth of the line.
 */
export function fetchBytes(fetch_bytes: number, round_trip_ms: number): number {
  return fetch_bytes * Math.min(MOST_TIMES, Math.max(1, Math.round(round_trip_ms / FAR_MS)));
}

/** The body of the request. */
export function encodeFetch(wanted: readonly Wanted[], limits: FetchLimits): Buffer {
  const topics = Map.groupBy(wanted, ({ topic }) => topic);
  const parts: Buffer[] = [];
  const head = Buffer.alloc(29);
  head.writeInt32BE(-1, 0); // replica id: a client
  head.writeInt32BE(limits.wait_ms, 4);
  head.writeInt32BE(1, 8); // min bytes
  head.writeInt32BE(limits.max_bytes, 12);
  head.writeInt8(READ_UNCOMMITTED, 16);
  head.writeInt32BE(0, 17); // session id
  head.writeInt32BE(-1, 21); // session epoch: none
  head.writeInt32BE(topics.size, 25);
  parts.push(head);
  for (const [topic, partitions] of topics) {
    parts.push(text(topic), int32(partitions.length));
    for (const { partition, offset, max_bytes, leader_epoch = -1 } of partitions) {
      const entry = Buffer.alloc(28);
      entry.writeInt32BE(partition, 0);
      entry.writeInt32BE(leader_epoch, 4);
      entry.writeBigInt64BE(BigInt(offset), 8);
      entry.writeBigInt64BE(-1n, 16); // log start offset: followers only
      entry.writeInt32BE(max_bytes, 24);
      parts.push(entry);
    }
  }
  parts.push(int32(0), text("")); // forgotten topics, rack
  return Buffer.concat(parts);
}

/** Reads the body of the response; the records stay views into `body`. */
export function decodeFetch(body: Buffer): { error_code: number; partitions: Fetched[] } {
  const error_code = body.readInt16BE(4);
  const partitions: Fetched[] = [];
  let at = 10; // throttle time, error code, session id
  const int = () => {
    at += 4;
    return body.readInt32BE(at - 4);
  };
  const topics = int();
  for (let i = 0; i < topics; i++) {
    const length = body.readInt16BE(at);
    const topic = body.toString("utf8", at + 2, at + 2 + length);
    at += 2 + length;
    const count = int();
    for (let j = 0; j < count; j++) {
      const partition = int();
      const partition_error = body.readInt16BE(at);
      const end_offset = Number(body.readBigInt64BE(at + 2));
      at += 26; // error code, high watermark, last stable offset, log start offset
      const aborted = Math.max(0, int());
      at += aborted * 16 + 4; // aborted transactions, preferred read replica
      const size = Math.max(0, int());
      partitions.push({
        topic,
        partition,
        error_code: partition_error,
        end_offset,
        bytes: body.subarray(at, at + size),
      });
      at += size;
    }
  }
  return { error_code, partitions };
}

/** Decompressed bytes after which a batch is handed over: some thousand row changes. */
const BATCH_BYTES = 1 << 20;

/** A batch of each of a few partitions. */
const POOL_BYTES = 4 << 20;
const pool = new BytePool(POOL_BYTES);

/** What `takeBatch` takes. */
export interface Taken {
  readonly batch: InBatch;
  /** What is left; undefined: nothing. */
  readonly left: Fetched | undefined;
  /** Memory of the batch that `giveBack` may give back when nobody reads its records any more. */
  readonly payloads: readonly Uint8Array[];
}

/** The next records of `fetched` from offset `from` on. */
export function takeBatch(fetched: Fetched, from: number): Taken {
  const { records, next_offset, rest, payloads } = readRecordBatches(
    fetched.bytes,
    from,
    (id, bytes) => decompress(id, bytes, pool.take),
    BATCH_BYTES,
  );
  const { topic, partition, end_offset } = fetched;
  return {
    batch: { topic, partition, records, next_offset, end_offset },
    left: rest.length === 0 ? undefined : { ...fetched, bytes: rest },
    payloads,
  };
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

/** All records of `fetched` from offset `from` up to `to` (exclusive), batch by batch. */
export function* batchesOf(fetched: Fetched, from: number, to: number): Generator<InBatch> {
  let rest: Fetched | undefined = fetched;
  for (let next = from; rest !== undefined && next < to;) {
    const { batch, left }: Taken = takeBatch(rest, next);
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

function int32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeInt32BE(value);
  return buffer;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(2);
  length.writeInt16BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
