/** A fetcher of many partitions, on brokers in memory. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import type { Cluster } from "../../../shared/kafka/builtin/cluster.ts";
import { Fetcher } from "../../../shared/kafka/builtin/fetcher.ts";
import type { FetchLimits, Wanted } from "../../../shared/kafka/fetch.ts";
import type { InBatch } from "../../../shared/kafka/port.ts";
import { crc32c } from "../../../shared/wire/crc32c.ts";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import { RecordBatchWriter } from "../../../shared/wire/record_batch.ts";
import { until } from "../../until.ts";

const TOPIC = "orders";
const BROKERS = 3;
const VALUE_BYTES = 512 << 10;
const FETCH_BYTES = VALUE_BYTES + 1024;
/** As the fetcher has it. */
const MOST_AT_WORK = 8;
const RESPONSE_BYTES = 16 << 20;

/** A record batch of one large record. */
const stored = (() => {
  const writer = new RecordBatchWriter({ crc32c, compression_id: 0, compress: (bytes) => bytes });
  const record = { key: null, value: new Uint8Array(VALUE_BYTES), timestamp_ms: 0 };
  const batch = writer.write(PackedRecords.of([record]), 0, FETCH_BYTES);
  writer.stamp(batch, { producer_id: 0n, producer_epoch: 0, base_sequence: 0 });
  return batch.bytes;
})();

/** A fetcher of partitions with `end` records each, and what became of them. */
class Lab {
  readonly partitions: { topic: string; partition: number }[];
  readonly fetcher: Fetcher;
  /** Records that brokers gave, and the offsets that were handed over of each partition. */
  fetched = 0;
  readonly handed: number[][];
  at_work = 0;
  readonly #end: number;

  constructor(partitions: number, end: number, work: () => Promise<unknown>) {
    this.#end = end;
    this.partitions = Array.from({ length: partitions }, (_, partition) => ({
      topic: TOPIC,
      partition,
    }));
    this.handed = this.partitions.map(() => []);
    const batch = async ({ partition, records }: InBatch) => {
      this.at_work++;
      this.handed[partition]!.push(...records.map(({ offset }) => offset));
      await work();
      this.at_work--;
    };
    const failed = (error: unknown) => {
      throw error;
    };
    const outOfRange = () => Promise.reject(new Error("no offset is gone"));
    this.fetcher = new Fetcher(this.#cluster(), { batch, failed, outOfRange }, FETCH_BYTES);
  }

  start(): Promise<void> {
    return this.fetcher.start(this.partitions, this.partitions.map(() => 0));
  }

  /** Bytes that were fetched and not handed over. */
  get held_bytes(): number {
    return (this.fetched - this.handed.flat().length) * stored.length;
  }

  #cluster(): Cluster {
    return {
      signal: new AbortController().signal,
      round_trip_ms: 1,
      forget() {},
      settings: { fetch_wait_ms: 1 },
      leader: async ({ partition }: Wanted) => partition % BROKERS,
      leaderEpoch: async () => 0,
      topic: async () => ({ id: "id" }),
      call: async (
        _lane: unknown,
        _leader: number,
        _request: unknown,
        { wanted, limits }: { wanted: readonly Wanted[]; limits: FetchLimits },
      ) => {
        await turn();
        return { error_code: 0, partitions: this.#answer(wanted, limits) };
      },
    } as unknown as Cluster;
  }

  #answer(wanted: readonly Wanted[], { max_bytes }: FetchLimits) {
    const most = Math.max(1, Math.floor(max_bytes / stored.length));
    const brought = wanted.filter(({ offset }) => offset < this.#end).slice(0, most);
    const answer = Buffer.allocUnsafeSlow(brought.length * stored.length);
    this.fetched += brought.length;
    return brought.map(({ topic, partition, offset }, index) => {
      const bytes = answer.subarray(index * stored.length, (index + 1) * stored.length);
      bytes.set(stored);
      bytes.writeBigInt64BE(BigInt(offset));
      return { topic, partition, error_code: 0, end_offset: this.#end, bytes };
    });
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

Deno.test("however many partitions there are, a few batches are at work and a bounded lot is held", async () => {
  const most = { at_work: 0, held_bytes: 0 };
  const lab: Lab = new Lab(120, 3, async () => {
    most.at_work = Math.max(most.at_work, lab.at_work);
    await turn();
    most.held_bytes = Math.max(most.held_bytes, lab.held_bytes);
  });
  await lab.start();
  await until("all is handed over", () => lab.handed.flat().length === 360 && lab.at_work === 0);
  await lab.fetcher.stop();
  assert.deepEqual(lab.handed, lab.partitions.map(() => [0, 1, 2]));
  assert.equal(most.at_work, MOST_AT_WORK);
  assert.ok(most.held_bytes <= 2 * RESPONSE_BYTES, `${most.held_bytes} bytes were held`);
});

Deno.test("a partition that is paused or sought while its batch waits gets what it should, and keeps nobody from being fetched", async () => {
  const gate = Promise.withResolvers<void>();
  const lab = new Lab(60, 2, () => gate.promise);
  await lab.start();
  await until("much is held", () => lab.held_bytes >= RESPONSE_BYTES);
  assert.equal(lab.at_work, MOST_AT_WORK);
  const [sought, ...paused] = lab.partitions.filter((_, at) => lab.handed[at]!.length === 0);
  lab.fetcher.pause(paused);
  lab.fetcher.seek(sought!, 1);
  gate.resolve();
  const total = 2 * MOST_AT_WORK + 1;
  await until("the others are through", () => lab.handed.flat().length === total);
  assert.deepEqual(lab.handed[sought!.partition], [1]);
  assert.ok(paused.every(({ partition }) => lab.handed[partition]!.length === 0));
  lab.fetcher.resume(paused);
  await until("all is handed over", () => lab.handed.flat().length === 2 * 60 - 1);
  assert.ok(paused.every(({ partition }) => lab.handed[partition]!.join() === "0,1"));
  await lab.fetcher.stop();
});

Deno.test("a batch that waits for its turn is not handed over any more once the fetcher stops", async () => {
  const gate = Promise.withResolvers<void>();
  const lab = new Lab(20, 1, () => gate.promise);
  await lab.start();
  await until("all is fetched", () => lab.fetched === 20 && lab.at_work === MOST_AT_WORK);
  const stopped = lab.fetcher.stop();
  gate.resolve();
  await stopped;
  assert.deepEqual([lab.handed.flat().length, lab.at_work], [MOST_AT_WORK, 0]);
});
