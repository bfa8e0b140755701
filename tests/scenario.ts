/** One table of one database on its way to CSV files, each step a process of its own. */
import assert from "node:assert/strict";
import pg from "pg";
import type { Change } from "../shared/change.ts";
import type { FormatName } from "../shared/formats/mod.ts";
import { formats } from "../shared/formats/mod.ts";
import { openKafka } from "../shared/kafka/mod.ts";
import { kafkaOptions } from "../shared/kafka/options.ts";
import type { Admin } from "../shared/kafka/port.ts";
import { SchemaReader } from "../shared/pipeline/schemas.ts";
import { writers } from "../shared/seed/mod.ts";
import { seedOptions } from "../shared/seed/options.ts";
import type { SeedSummary } from "../shared/seed/seed.ts";
import type { VerifyResult } from "../shared/verify/result.ts";
import type { TestDatabase } from "./databases.ts";
import { SILENT } from "./silent.ts";
import { type TestStack, testStack } from "./stack.ts";
import { WorkerProcess } from "./worker_process.ts";

/** What differs between scenarios. */
export interface ScenarioOptions {
  readonly format: FormatName;
  readonly mode: "stream" | "batch";
  readonly replica_identity?: "default" | "full";
  /** @default "never" */
  readonly snapshot?: "initial" | "never";
  /** Servers of the test's own. @default those of LIST_SYNC_STACK */
  readonly stack?: TestStack;
  /** Added to `source` of the capture's job. */
  readonly source?: Readonly<Record<string, unknown>>;
  /** Added to `kafka` of both workers' jobs. */
  readonly kafka?: Readonly<Record<string, unknown>>;
}

/** Changes made, by operation. */
interface Made {
  c: number;
  u: number;
  d: number;
}

/** A scenario with names and a folder of its own. */
export class Scenario {
  readonly name = `e2e_${crypto.randomUUID().slice(0, 8)}`;
  /** Jobs and logs of the workers; among the stack's logs, which are kept when a test fails. */
  readonly folder: string;
  readonly output: string;
  readonly topic: string;
  readonly made: Made = { c: 0, u: 0, d: 0 };
  readonly #db: TestDatabase;
  readonly #options: ScenarioOptions;
  readonly #stack: TestStack;

  constructor(db: TestDatabase, options: ScenarioOptions) {
    this.#db = db;
    this.#options = options;
    this.#stack = options.stack ?? testStack();
    this.folder = `${this.#stack.dir}/logs/${this.name}`;
    this.output = `${this.#stack.dir}/${this.name}`;
    Deno.mkdirSync(this.folder);
    const schema = db.database.kind === "mysql" ? db.database.database : "public";
    this.topic = `${this.name}.${schema}.${this.name}`;
  }

  /** Makes the table, empty, and the publication: with the least grants the capture may not. */
  async createTable(): Promise<void> {
    const writer = await writers[this.#db.database.kind](seedOptions.parse(this.#seedPart()));
    await writer.create();
    await writer.close();
    await this.publish();
  }

  /** Makes the publication of the scenario's table, which is there. */
  async publish(): Promise<void> {
    const { host, port, database, user, password, kind } = this.#db.database;
    if (kind === "mysql") return;
    const owner = new pg.Client({ host, port, database, user, password });
    await owner.connect();
    await owner.query(`CREATE PUBLICATION list_sync_${this.name} FOR TABLE public.${this.name}`);
    await owner.end();
  }

  #seedPart() {
    return {
      database: this.#db.database,
      table: this.#db.qualified(this.name),
      replica_identity: this.#options.replica_identity ?? "default",
    };
  }

  #kafka() {
    return { brokers: this.#stack.kafka.brokers, ...this.#options.kafka };
  }

  /** The capture's job. */
  captureJob(): { name: string; job: string } & Record<string, unknown> {
    const { host, port, database, user, password } = this.#db.reader;
    const source = this.#db.database.kind === "mysql"
      ? { host, port, user, password, tables: [`${database}.${this.name}`] }
      : { host, port, database, user, password, tables: [`public.${this.name}`] };
    return {
      job: this.#db.capture,
      name: this.name,
      source: {
        snapshot: this.#options.snapshot ?? "never",
        ...source,
        ...this.#options.source,
      },
      kafka: this.#kafka(),
      format: this.#options.format,
      mode: this.#options.mode,
    };
  }

  /** Starts the capture; `worker` may be a script that breaks it on purpose. */
  capture(worker?: string, env?: Record<string, string>): WorkerProcess {
    return this.start(this.captureJob(), worker, env);
  }

  /** Starts the worker of a job, or another script with it. */
  start(
    job: { name: string; job: string } & Record<string, unknown>,
    worker: string = job.job,
    env?: Record<string, string>,
  ): WorkerProcess {
    return new WorkerProcess(this.folder, worker, job, ["--json"], env);
  }

  /** The job of a consumer of the scenario's group. */
  consumeJob(consumer_id = "1"): { name: string; job: string } & Record<string, unknown> {
    return {
      job: "consume-csv",
      name: this.name,
      // The group waits so long for a consumer that was killed.
      kafka: { ...this.#kafka(), session_timeout_ms: 6_000 },
      topics: [this.topic],
      consumer_id,
      format: this.#options.format,
      mode: this.#options.mode,
      flush_interval_ms: 200,
      sink: { output: this.output },
    };
  }

  /** Starts a consumer of the scenario's group. */
  consume(
    consumer_id = "1",
    worker = "consume-csv",
    env?: Record<string, string>,
  ): WorkerProcess {
    return this.start(this.consumeJob(consumer_id), worker, env);
  }

  /** Makes `rows` changes and adds them to `made` when the worker ends. */
  async seed(rows: number): Promise<void> {
    await using worker = this.startSeed(rows);
    this.count(await worker.result<SeedSummary>());
  }

  startSeed(rows: number, more: Record<string, unknown> = {}): WorkerProcess {
    const job = { job: "seed", name: this.name, rows, ...more, ...this.#seedPart() };
    return new WorkerProcess(this.folder, "seed", job, ["--json"]);
  }

  count({ inserted, updated, deleted }: SeedSummary): void {
    this.made.c += inserted;
    this.made.u += updated;
    this.made.d += deleted;
  }

  /** Compares the files with the table. `more`: added to the job. */
  async verify(more: Record<string, unknown> = {}): Promise<VerifyResult> {
    const job = {
      job: "verify",
      name: this.name,
      database: this.#db.reader,
      table: this.#db.qualified(this.name),
      topic: this.topic,
      files: { output: this.output },
      ...more,
    };
    await using worker = new WorkerProcess(this.folder, "verify", job, ["--json"]);
    return await worker.result<VerifyResult>();
  }

  /** All changes that were made are in the topic exactly once, each partition's positions growing. */
  async checkTopic(): Promise<void> {
    const found = await this.readTopic();
    assert.deepStrictEqual(found, { ...this.made, disorder: [] }, `topic ${this.topic}: c, u, d`);
  }

  /** The topic's changes by operation, and where positions do not grow. */
  async readTopic() {
    const found = { c: 0, u: 0, d: 0, disorder: [] as string[] };
    const last: string[] = [];
    for await (const { partition, offset, change: { op, position } } of this.changes()) {
      if (position <= (last[partition] ?? "")) {
        found.disorder.push(`${partition}@${offset} ${position}`);
      }
      last[partition] = position;
      found[op as keyof Made]++;
    }
    return found;
  }

  /** All changes of the topic as they stand in it, partition by partition. */
  async *changes(): AsyncGenerator<{ partition: number; offset: number; change: Change }> {
    const { format } = await formats[this.#options.format]();
    const kafka = await openKafka(kafkaOptions.parse(this.#kafka()), SILENT);
    const admin = await kafka.admin();
    try {
      const schemas = new SchemaReader(admin);
      await schemas.refresh();
      for (const [partition, { first, end }] of (await admin.offsets(this.topic)).entries()) {
        for await (const batch of admin.read({ topic: this.topic, partition }, first, end)) {
          for (const record of batch.records) {
            const change = format.decode(record, schemas.lookup);
            yield { partition, offset: record.offset, change };
          }
        }
      }
    } finally {
      await admin.close();
    }
  }

  /** Waits until the topic holds `records` records, whatever offsets say of markers between them. */
  async written(records: number, capture: WorkerProcess): Promise<void> {
    await this.#asking(async (admin) => {
      const ends = await admin.offsets(this.topic).catch(() => []);
      const total = ends.reduce((sum, { end }) => sum + end, 0);
      return total >= records ? undefined : `${this.topic} holds ${total} of ${records} records`;
    }, [capture]);
  }

  /** Waits until the group has committed `records` records. */
  async read(records: number, consumer: WorkerProcess): Promise<void> {
    await this.#asking(async (admin) => {
      const committed = await admin.committed(this.name, this.topic).catch(() => []);
      const total = committed.reduce<number>((sum, offset) => sum + (offset ?? 0), 0);
      return total >= records ? undefined : `${this.name} committed ${total} of ${records} records`;
    }, [consumer]);
  }

  /** Waits until the group has committed all that the topic holds. */
  async consumed(consumers: readonly WorkerProcess[]): Promise<void> {
    const made = this.made.c + this.made.u + this.made.d;
    await this.#asking(async (admin) => {
      const ends = await admin.offsets(this.topic).catch(() => []);
      const committed = await admin.committed(this.name, this.topic).catch(() => []);
      const total = ends.reduce((sum, { end }) => sum + end, 0);
      const isDone = total >= made &&
        ends.every(({ end }, at) => end === 0 || committed[at] === end);
      if (isDone) return undefined;
      return `the group ${this.name} stands at ${committed.join(", ")} of ${
        ends.map(({ end }) => end).join(", ")
      }; ${made} changes were made`;
    }, consumers);
  }

  /** Waits until nothing has come to the topic for `quiet_ms`. */
  async settled(capture: WorkerProcess, quiet_ms: number): Promise<void> {
    let last = "";
    let since = performance.now();
    await this.#asking(async (admin) => {
      const ends = (await admin.offsets(this.topic)).map(({ end }) => end).join(", ");
      if (ends !== last) [last, since] = [ends, performance.now()];
      const isQuiet = performance.now() - since > quiet_ms;
      return isQuiet ? undefined : `${this.topic} still grows: ${ends}`;
    }, [capture]);
  }

  /** Asks until `missing` finds nothing missing any more; fails at the deadline with what it said last. */
  async #asking(
    missing: (admin: Admin) => Promise<string | undefined>,
    workers: readonly WorkerProcess[],
  ): Promise<void> {
    const kafka = await openKafka(kafkaOptions.parse(this.#kafka()), SILENT);
    const admin = await kafka.admin();
    const deadline = Date.now() + DEADLINE_MS;
    try {
      for (;;) {
        const what = await missing(admin);
        if (what === undefined) return;
        for (const worker of workers) worker.refuseEnded();
        if (Date.now() > deadline) {
          throw new Error(`${what}. Logs: ${workers.map(({ log_file }) => log_file).join(", ")}`);
        }
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    } finally {
      await admin.close();
    }
  }
}

/** How long to wait for something that must come. */
const DEADLINE_MS = 120_000;
