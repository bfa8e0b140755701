/** The topics that both sides of a row write or read. */
import { openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { Admin } from "../shared/kafka/port.ts";
import { SILENT } from "../tests/silent.ts";
import { testStack } from "../tests/stack.ts";
import type { Measured } from "./bench.ts";
import { arrivalRate, type Arrivals } from "./statistics.ts";

export const PARTITIONS = 3;

/** Seldom, because the brokers are at work: the records' own times say when the last one came. */
const LOOK_MS = 500;
/** Longer than the slowest side takes for a million. */
const PATIENCE_MS = 600_000;

/** A client of the stack's brokers as the workers have it. */
export function stackKafka() {
  return openKafka(kafkaOptions.parse({ brokers: testStack().kafka.brokers }), SILENT);
}

/** A topic of this name, made as a capture makes it, but with the brokers' own time in its records. */
export class BenchTopic {
  readonly name: string;
  readonly #admin: Admin;

  private constructor(name: string, admin: Admin) {
    this.name = name;
    this.#admin = admin;
  }

  static async make(name: string): Promise<BenchTopic> {
    const admin = await (await stackKafka()).admin();
    const config = { "min.insync.replicas": "2", "message.timestamp.type": "LogAppendTime" };
    await admin.createTopics([{ name, partitions: PARTITIONS, replication_factor: 3, config }]);
    return new BenchTopic(name, admin);
  }

  /** End offset of each partition. */
  async ends(): Promise<number[]> {
    return (await this.#admin.offsets(this.name)).map(({ end }) => end);
  }

  /**
   * What a process did that was started at `started_ms` and wrote the `records` after `from`. Throws
   * when there are fewer.
   */
  async measure(
    from: readonly number[],
    process: { records: number; started_ms: number; peak_bytes: number },
  ): Promise<Measured> {
    const { records, last_ms, per_second } = arrivalRate(await this.#arrivals(from));
    if (records < process.records) {
      throw new Error(`${this.name} holds ${records} of ${process.records} records`);
    }
    const wall_seconds = (last_ms - process.started_ms) / 1000;
    return { figures: { per_second, wall_seconds }, peak_bytes: process.peak_bytes };
  }

  /** Waits until the partitions hold `records` more than `from` says. */
  async until(records: number, from: readonly number[], refuseEnded: () => void): Promise<void> {
    const deadline = performance.now() + PATIENCE_MS;
    for (let there = 0; there < records;) {
      refuseEnded();
      if (performance.now() > deadline) {
        throw new Error(
          `${this.name} holds ${there} of ${records} records after ${PATIENCE_MS} ms`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
      there = sum(await this.ends()) - sum(from);
    }
  }

  /** When the records after `from` came, by the brokers' clock. */
  async #arrivals(from: readonly number[]): Promise<Arrivals> {
    const moments = new Map<number, number>();
    for (const [partition, end] of (await this.ends()).entries()) {
      const at = { topic: this.name, partition };
      for await (const { records } of this.#admin.read(at, from[partition]!, end)) {
        for (const { timestamp_ms } of records) {
          moments.set(timestamp_ms, (moments.get(timestamp_ms) ?? 0) + 1);
        }
      }
    }
    return moments;
  }

  /** Deletes it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#admin.deleteTopics([this.name]);
    await this.#admin.close();
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
