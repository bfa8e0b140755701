/** Captures and consumers of both databases behind the links of a scenario, and what they made of it. */
import { isDeepStrictEqual } from "node:util";
import type { LinkName } from "../../../compose/native/netem.ts";
import type { Backend } from "../../../netem/backend.ts";
import type { Scenario as Conditions } from "../../../netem/scenario.ts";
import { follow, timetable } from "../../../netem/timetable.ts";
import { databases, type TestDatabase } from "../../databases.ts";
import { Scenario } from "../../scenario.ts";
import type { WorkerProcess } from "../../worker_process.ts";
import type { NetemServers } from "./servers.ts";

/** How long is written on when the last link has come back. */
const AFTERWARDS_MS = 3_000;
/** And without cuts: two sessions and more, so that whoever misses its heartbeats is expelled. */
const STEADY_MS = 100_000;

/** So that a busy disk is no part of what is tested. */
const TRANSACTIONS_PER_SECOND = 5;

/** What a run is told. */
export interface HoldOptions {
  readonly scenario: Conditions;
  readonly backend: Backend;
  /** Changes of each database. */
  readonly changes: number;
  /** Consumers of each group. */
  readonly consumers: number;
  readonly tell: (line: string) => void;
}

/** What became of one database's changes. */
export interface Held {
  readonly database: string;
  readonly changes: number;
  /** From the last change that was made until the group had all. */
  readonly drained_seconds: number;
  /** Members that the brokers expelled. */
  readonly false_deaths: number;
  /** How often the group began anew after all its members had their partitions. */
  readonly rebalances: number;
  /** How often a consumer lost its partitions before it was stopped. */
  readonly revocations: number;
  /** Whether the topic has each change once and in order, and the files fold to the table. */
  readonly verified: boolean;
  /** What was found instead. */
  readonly differences: string;
  /** Where the workers' logs are, if anything is wrong. */
  readonly logs: string;
}

/** Whether nothing was lost or altered, and nobody was expelled or lost its partitions. */
export function isWhole(held: Held): boolean {
  return held.verified && held.false_deaths + held.rebalances + held.revocations === 0;
}

/** Lets both databases' changes through the conditions, cuts included, side by side. */
export async function hold(servers: NetemServers, options: HoldOptions): Promise<Held[]> {
  const { scenario, backend, tell } = options;
  const flows = databases(servers.stack).map((db) => new Flow(servers, db, options));
  try {
    await backend.apply(scenario, new Set<LinkName>());
    await Promise.all(flows.map((flow) => flow.start()));
    const signal = new AbortController().signal;
    const [, ...held] = await Promise.all([
      follow(scenario, backend, { tell, signal }),
      ...flows.map((flow) => flow.finish()),
    ]);
    if (!held.every(isWhole)) servers.keepLogs();
    return held;
  } catch (error) {
    servers.keepLogs();
    throw error;
  } finally {
    await backend.clear();
    await Promise.all(flows.map((flow) => flow[Symbol.asyncDispose]()));
  }
}

/** The job of a scenario's capture, with its brokers and its database behind the links. */
export function captureBehind(servers: NetemServers, db: TestDatabase, scenario: Scenario) {
  const { kafka, source, ...job } = scenario.captureJob();
  const { port } = servers.way(`capture_to_database-${db.name === "MySQL" ? "mysql" : "pg"}`);
  const brokers = servers.brokers("capture_to_brokers");
  return {
    ...job as { name: string; job: string },
    kafka: { ...kafka as object, brokers },
    source: { ...source as object, port },
  };
}

/** One database's way into files. */
class Flow implements AsyncDisposable {
  readonly #servers: NetemServers;
  readonly #db: TestDatabase;
  readonly #options: HoldOptions;
  readonly #scenario: Scenario;
  readonly #workers: WorkerProcess[] = [];

  constructor(servers: NetemServers, db: TestDatabase, options: HoldOptions) {
    this.#servers = servers;
    this.#db = db;
    this.#options = options;
    this.#scenario = new Scenario(db, { format: "json", mode: "stream", stack: servers.stack });
  }

  /** Starts the workers; resolves when all that they need is theirs. */
  async start(): Promise<void> {
    await this.#scenario.createTable();
    const capture = this.#started(captureBehind(this.#servers, this.#db, this.#scenario));
    await capture.event("capture_started");
    await this.#scenario.seed(this.#options.consumers * 100); // so that there is a topic
    await this.#scenario.written(1, capture);
    for (let number = 1; number <= this.#options.consumers; number++) {
      const consumer = this.#startConsumer(String(number));
      await consumer.until("is given partitions", () => assignments(consumer)[0]);
    }
    await Promise.all(
      this.#consumers().map((consumer) =>
        consumer.until("has a part of them", () => {
          const last = assignments(consumer).at(-1) as { partitions: string[] } | undefined;
          return last !== undefined &&
              last.partitions.length <= Math.ceil(3 / this.#consumers().length)
            ? last
            : undefined;
        })
      ),
    );
  }

  /** Writes while the scenario lasts, waits until all is through, and judges. */
  async finish(): Promise<Held> {
    const { scenario, changes } = this.#options;
    const before = this.#groupEvents();
    const assigned = this.#assigned();
    const last_cut_ms = timetable(scenario).at(-1)!.at_ms;
    const lasts_ms = last_cut_ms > 0 ? last_cut_ms + AFTERWARDS_MS : STEADY_MS;
    const rate = Math.ceil(changes / (lasts_ms / 1000));
    const batch = Math.ceil(rate / TRANSACTIONS_PER_SECOND);
    await using seed = this.#scenario.startSeed(changes, { rate, batch, seed: 7 });
    this.#scenario.count(await seed.result());
    const began = performance.now();
    await this.#scenario.consumed(this.#consumers());
    const drained_seconds = (performance.now() - began) / 1000;
    const after = this.#groupEvents();
    const revocations = this.#assigned() - assigned;
    for (const worker of this.#workers.toReversed()) await worker.stop();
    const differences = await this.#judge();
    return {
      database: this.#db.name,
      changes,
      drained_seconds,
      false_deaths: after.deaths - before.deaths,
      rebalances: after.generation - before.generation,
      revocations,
      verified: differences === "",
      differences,
      logs: this.#scenario.folder,
    };
  }

  async #judge(): Promise<string> {
    const found = await this.#scenario.readTopic();
    const wanted = { ...this.#scenario.made, disorder: [] };
    const result = await this.#scenario.verify();
    if (isDeepStrictEqual(found, wanted) && result.verified && result.repetitions === 0) return "";
    return JSON.stringify({ found, wanted, result });
  }

  /** With the defaults of its timeouts. */
  #startConsumer(id: string): WorkerProcess {
    const brokers = this.#servers.brokers("consumer_to_brokers");
    return this.#started({ ...this.#scenario.consumeJob(id), kafka: { brokers } });
  }

  #started(job: { name: string; job: string } & Record<string, unknown>): WorkerProcess {
    const worker = this.#scenario.start(job);
    this.#workers.push(worker);
    return worker;
  }

  #consumers(): WorkerProcess[] {
    return this.#workers.slice(1);
  }

  #assigned(): number {
    return this.#consumers().reduce((sum, consumer) => sum + assignments(consumer).length, 0);
  }

  /** The group's generation and its dead members, by the words of the brokers' logs. */
  #groupEvents(): { generation: number; deaths: number } {
    const logs = [1, 2, 3].map((node) =>
      Deno.readTextFileSync(`${this.#servers.stack.dir}/logs/kafka-${node}.log`)
    ).join("\n");
    const group = this.#scenario.name;
    const generations = [...logs.matchAll(
      new RegExp(`Stabilized group ${group} generation (\\d+)`, "g"),
    )].map(([, generation]) => Number(generation));
    const deaths = logs.match(new RegExp(`in group ${group} has failed, removing it`, "g"));
    if (generations.length === 0) throw new Error(`No broker's log names the group ${group}`);
    return { generation: Math.max(...generations), deaths: deaths?.length ?? 0 };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.#workers) await worker[Symbol.asyncDispose]();
  }
}

/** What the consumer's log says of partitions that it was given. */
function assignments(consumer: WorkerProcess): readonly Readonly<Record<string, unknown>>[] {
  return consumer.lines("partitions_assigned");
}
