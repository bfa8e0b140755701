/** What becomes of changes that are larger than their topic takes: the job's `on_oversize`. */
import { describe } from "../errors.ts";
import type { Stamp } from "../formats/format.ts";
import type { Acknowledged, Admin, InRecord, OutRecord, Producer } from "../kafka/port.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";
import { type OversizeJob, oversizeTopic } from "./capture_options.ts";
import type { LoadBatch } from "./load.ts";
import { topicLike } from "./poison.ts";

/** Keys are for people and queries: one of a table without a key is the whole row. */
const KEY_BYTES = 64 << 10;

/** What setting aside needs. */
export interface OversizeDeps {
  readonly admin: Admin;
  readonly producer: Producer;
  /** Reads the position of what is set aside. */
  readonly stamp: (record: InRecord) => Stamp | undefined;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "poison_records">;
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number;
}

/** Sets changes aside in one session. */
export class Oversize {
  readonly #job: OversizeJob;
  readonly #topic: string;
  readonly #deps: OversizeDeps;
  #made = false;

  constructor(job: OversizeJob, deps: OversizeDeps) {
    this.#job = job;
    this.#topic = oversizeTopic(job);
    this.#deps = deps;
  }

  /**
   * Refers to the changes that were refused for their size, and answers what is still to be sent: all
   * that stood after them. In this order a reference is there before anything after its change is,
   * so a successor cannot pass over the change without one; it may write a second.
   */
  async setAside(
    batches: readonly LoadBatch[],
    acknowledged: readonly Acknowledged[],
  ): Promise<{ readonly rest: LoadBatch[]; readonly count: number }> {
    const rest: LoadBatch[] = [];
    let count = 0;
    for (const [at, batch] of batches.entries()) {
      const { too_large } = acknowledged[at]!;
      if (too_large === undefined) continue;
      const { index, error } = too_large;
      await this.#refer(batch, batch.records.at(index)!, error);
      count++;
      const records = batch.records.slice(index + 1);
      if (records.length > 0) rest.push({ ...batch, records });
    }
    return { rest, count };
  }

  async #refer(
    { topic, partition }: LoadBatch,
    record: InRecord,
    error: Error,
  ): Promise<void> {
    const { admin, producer, stamp, log, metrics, now } = this.#deps;
    const { key, timestamp_ms, size: bytes } = record;
    const position = stamp(record)?.position;
    const place = { topic, partition, position, bytes, error: describe(error) };
    if (!this.#made) await admin.createTopics([await topicLike(admin, topic, this.#topic)]);
    this.#made = true;
    const failed_ms = now();
    const reference: OutRecord = {
      key: short(key),
      value: JSON.stringify({ job: this.#job.name, ...place, timestamp_ms, failed_ms }),
      timestamp_ms: failed_ms,
    };
    await producer.send([{ topic: this.#topic, partition: 0, records: [reference] }]);
    log.error("change_oversize", { ...place, dead_letter_topic: this.#topic });
    metrics.poison_records.add(1, { reason: "oversize", on_error: "dead_letter" });
  }
}

function short(key: Uint8Array | null): Uint8Array | null {
  return key !== null && key.length > KEY_BYTES ? null : key;
}
