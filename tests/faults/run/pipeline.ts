/** One database's way to CSV files while faults strike: a writer, a capture and a consumer. */
import { openKafka } from "../../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../../shared/kafka/options.ts";
import type { Admin } from "../../../shared/kafka/port.ts";
import type { TestDatabase } from "../../databases.ts";
import { Scenario } from "../../scenario.ts";
import { SILENT } from "../../silent.ts";
import type { WorkerProcess } from "../../worker_process.ts";
import { fileEvidence, topicEvidence } from "./evidence.ts";
import { judge, type Verdict } from "./judgement.ts";
import { Proxy } from "../../proxy.ts";
import type { Servers } from "./servers.ts";
import { Writer } from "./writer.ts";

/** How long nothing may move before that is a fault of its own. */
const PATIENCE_MS = 120_000;
const POLL_MS = 100;
/** A tenth of the default, so that a dead connection is noticed while a test waits. */
const HEARTBEAT_INTERVAL_MS = 1_000;

/** What a pipeline is made with. */
export interface PipelineOptions {
  /** Changes a second. */
  readonly rate: number;
  readonly seed: number;
  /** Added to `kafka` of the workers' jobs. */
  readonly kafka: Readonly<Record<string, unknown>>;
}

/** A pipeline of its own table, topic, group and folder. */
export class Pipeline implements AsyncDisposable {
  readonly db: TestDatabase;
  readonly scenario: Scenario;
  readonly writer: Writer;
  /** The way from the capture to its database; the writer has one of its own. */
  readonly proxy: Proxy;
  capture: WorkerProcess;
  consumer: WorkerProcess;
  readonly #admin: Admin;
  /** Data records of the topic that were counted so far, and where counting goes on, by partition. */
  #records = 0;
  readonly #counted: number[] = [];

  private constructor(
    db: TestDatabase,
    scenario: Scenario,
    writer: Writer,
    proxy: Proxy,
    admin: Admin,
  ) {
    this.db = db;
    this.scenario = scenario;
    this.writer = writer;
    this.proxy = proxy;
    this.#admin = admin;
    this.capture = scenario.capture();
    this.consumer = scenario.consume();
  }

  /** Makes the table, starts the workers, and lets the writer write when the capture has begun. */
  static async start(
    db: TestDatabase,
    { stack }: Pick<Servers, "stack">,
    { rate, seed, kafka }: PipelineOptions,
  ): Promise<Pipeline> {
    const proxy = await Proxy.start(db.reader.port);
    const source = { port: proxy.port, heartbeat_interval_ms: HEARTBEAT_INTERVAL_MS };
    const scenario = new Scenario(db, { format: "json", mode: "stream", stack, kafka, source });
    const writer = new Writer({
      database: db.database,
      table: db.qualified(scenario.name),
      rate,
      seed,
    });
    await writer.createTables();
    await scenario.publish();
    const options = kafkaOptions.parse({ brokers: stack.kafka.brokers, request_timeout_ms: 5_000 });
    const admin = await (await openKafka(options, SILENT)).admin();
    const pipeline = new Pipeline(db, scenario, writer, proxy, admin);
    try {
      await pipeline.capture.event("capture_started");
      writer.start();
      await pipeline.flows();
    } catch (error) {
      await pipeline[Symbol.asyncDispose]();
      throw error;
    }
    return pipeline;
  }

  /** Waits until all that is committed by now is in the topic and, by the group's word, in the files. */
  async flows(): Promise<void> {
    await this.#arrives(this.writer.ledger.changes + 1);
  }

  /** Waits until so many further changes are committed in the database. */
  async writes(changes: number): Promise<void> {
    const { ledger } = this.writer;
    const wanted = ledger.changes + changes;
    await this.#until(() =>
      Promise.resolve(ledger.changes >= wanted ? true : `${ledger.changes} of ${wanted} written`)
    );
  }

  /** Ends the writer, waits until all is through, and stops the workers. */
  async settle(): Promise<void> {
    await this.writer.stop();
    await this.#arrives(this.writer.ledger.changes);
    await this.consumer.stop();
    await this.capture.stop();
  }

  /** Judges topic and files by what the writer has committed, and lets `verify` compare files and table. */
  async judge(): Promise<Verdict> {
    const { db: { name }, scenario, writer: { ledger } } = this;
    const topic = judge(`${name} topic`, ledger, await topicEvidence(scenario), false);
    const files = judge(`${name} files`, ledger, fileEvidence(scenario), true);
    const { verified, difference_count, differences } = await scenario.verify();
    return {
      lost: topic.lost + files.lost,
      repeated: topic.repeated + files.repeated,
      altered: topic.altered + files.altered + (verified ? 0 : Math.max(1, difference_count)),
      examples: [
        ...topic.examples,
        ...files.examples,
        ...differences.map((difference) => `${name} verify: ${JSON.stringify(difference)}`),
      ],
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled([
      this.writer.stop(),
      this.capture[Symbol.asyncDispose](),
      this.consumer[Symbol.asyncDispose](),
      this.#admin.close(),
      this.proxy.stop(),
    ]);
  }

  /** Waits until the topic holds so many changes, and the group has committed what it held then. */
  async #arrives(changes: number): Promise<void> {
    const ends = await this.#until(async () => {
      const ends = await this.#count();
      const what = `${this.scenario.topic} holds ${this.#records} of ${changes} changes`;
      return this.#records >= changes ? ends : what;
    });
    await this.#until(async () => {
      const committed = await this.#admin.committed(this.scenario.name, this.scenario.topic);
      const isRead = ends.every((end, at) => end === 0 || (committed[at] ?? 0) >= end);
      return isRead ? ends : `the group stands at ${committed} of ${ends}`;
    });
  }

  /** Counts the records that came to the topic since the last count; answers the ends. */
  async #count(): Promise<number[]> {
    const { topic } = this.scenario;
    const ends = (await this.#admin.offsets(topic)).map(({ end }) => end);
    for (const [partition, end] of ends.entries()) {
      let count = 0;
      const from = this.#counted[partition] ?? 0;
      for await (const { records } of this.#admin.read({ topic, partition }, from, end)) {
        count += records.length;
      }
      this.#counted[partition] = end;
      this.#records += count;
    }
    return ends;
  }

  /** Asks until the answer is no sentence about what is missing; throws when that no longer changes. */
  async #until<T>(look: () => Promise<T | string>): Promise<T> {
    let last = "";
    let moved = performance.now();
    for (;;) {
      const found = await look().catch((error: Error) => error.message);
      if (typeof found !== "string") return found;
      if (found !== last) [last, moved] = [found, performance.now()];
      this.writer.refuseFailed();
      this.capture.refuseEnded();
      this.consumer.refuseEnded();
      if (performance.now() - moved > PATIENCE_MS) {
        throw new Error(
          `${this.db.name}: nothing has moved for ${PATIENCE_MS / 1000} s: ${found}.` +
            ` Logs: ${this.scenario.folder}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }
}
