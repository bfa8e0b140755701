/** The demo: servers up, changes written, captured, consumed and compared, servers down. */
import { join } from "node:path";
import { CHECKOUT } from "../../compose/native/paths.ts";
import { environment } from "../../compose/native/stack.ts";
import type { SeedSummary } from "../../shared/seed/seed.ts";
import type { VerifyResult } from "../../shared/verify/result.ts";
import { ProgressBoard } from "../cli/progress.ts";
import { StackDisplay } from "../cli/stack_progress.ts";
import { readJob } from "../runtime/environment.ts";
import type { JobOf } from "../jobs.ts";
import { leaveDatabase, prepareDatabase } from "./databases.ts";
import { freePorts, isUp } from "./meter.ts";
import { DemoProcess, type DemoProcesses } from "./process.ts";
import { type DemoReport, type SourceFigures, sourceReport } from "./report.ts";
import { bringUp, lockDemo, type Servers } from "./servers.ts";
import { type DemoSource, type SourceName, SOURCES, tableRows } from "./sources.ts";
import { SourceFlow } from "./flow.ts";
import { until } from "./until.ts";

/** What a demo is asked for. */
export interface DemoOptions {
  /** Changes for each source. */
  readonly rows: number;
  readonly sources: readonly SourceName[];
  /** Name of the stack. */
  readonly name: string;
  readonly port_offset: number | undefined;
  /** Leaves the servers up. */
  readonly keep: boolean;
}

/** A worker that takes so long to connect is told to be stuck. */
const READY_PATIENCE_MS = 60_000;

/**
 * Runs the demo and answers what came of it. When `signal` aborts it stops its workers, takes down
 * what it started, and throws the signal's reason. `say` takes lines for people.
 */
export async function demo(
  options: DemoOptions,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<DemoReport> {
  const unlock = lockDemo(options.name);
  try {
    return await lockedDemo(options, signal, say);
  } finally {
    unlock();
  }
}

async function lockedDemo(
  options: DemoOptions,
  signal: AbortSignal,
  say: (text: string) => void,
): Promise<DemoReport> {
  const clock = new StepClock();
  const servers = await bringUp({
    name: options.name,
    parts: ["kafka", ...options.sources],
    port_offset: options.port_offset,
    progress: new StackDisplay().tell,
    say,
  });
  clock.end("stack");
  const run = new Run(options, servers, signal, clock);
  let wipe = true;
  try {
    const report = await run.run();
    wipe = report.verified;
    return report;
  } catch (error) {
    wipe = signal.aborted;
    throw error;
  } finally {
    await run.stop();
    if (options.keep || servers.found_running) {
      for (const source of options.sources) await leaveDatabase(source, servers.info);
      say(`The servers stay up; end them by: deno task stack down --wipe --name ${options.name}`);
    } else {
      await servers.end({ wipe });
      if (!wipe) say(`Files and logs stay in ${servers.info.dir} until the next demo.`);
    }
  }
}

/** Seconds of the steps, each from the end of the one before. */
class StepClock {
  readonly #begin = performance.now();
  readonly #seconds = new Map<string, number>();
  #last = this.#begin;

  end(step: string): void {
    const now = performance.now();
    this.#seconds.set(step, (now - this.#last) / 1000);
    this.#last = now;
  }

  seconds(): DemoReport["seconds"] {
    const of = (step: string) => this.#seconds.get(step) ?? 0;
    return {
      stack: of("stack"),
      prepare: of("prepare"),
      changes: of("changes"),
      verify: of("verify"),
      total: (performance.now() - this.#begin) / 1000,
    };
  }
}

/** One run on servers that are up. */
class Run {
  readonly #options: DemoOptions;
  readonly #servers: Servers;
  readonly #signal: AbortSignal;
  readonly #clock: StepClock;
  readonly #board = new ProgressBoard();
  readonly #workers: DemoProcess[] = [];
  readonly #processes: DemoProcesses;

  constructor(options: DemoOptions, servers: Servers, signal: AbortSignal, clock: StepClock) {
    this.#options = options;
    this.#servers = servers;
    this.#signal = signal;
    this.#clock = clock;
    const { dir, kafka } = servers.info;
    this.#processes = { brokers: kafka!.brokers, logs: join(dir, "logs") };
  }

  async run(): Promise<DemoReport> {
    const { rows, sources } = this.#options;
    this.#setUp();
    const flows = await Promise.all(sources.map((name) => this.#start(name)));
    this.#clock.end("prepare");
    const figures = await Promise.all(flows.map((flow) => this.#flow(flow)));
    this.#clock.end("changes");
    const results = await this.#verify(sources);
    this.#clock.end("verify");
    const reports = sources.map((name, at) => {
      const source: SourceFigures = { ...figures[at]!, results: results[at]! };
      return [name, sourceReport(source)] as const;
    });
    return {
      rows,
      sources: Object.fromEntries(reports),
      seconds: this.#clock.seconds(),
      verified: reports.every(([, report]) => report.verified),
    };
  }

  /** Ends all workers that still run, and the bars. */
  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.stop()));
    this.#board.close();
  }

  /** What the demo's jobs ask for: a folder, and names in the environment. A name of its own keeps runs apart on one stack. */
  #setUp(): void {
    const sources: readonly DemoSource[] = this.#options.sources.map((name) => SOURCES[name]);
    const names = sources.flatMap((source) => [
      source.capture_port,
      source.consume_port,
      ...source.tables.map((table) => table.seed_port),
    ]);
    const ports = freePorts(names.length);
    const output = join(this.#servers.info.dir, "out");
    // The consumers may write in the folder, not make it.
    Deno.mkdirSync(output, { recursive: true });
    const variables = {
      ...environment(this.#servers.info),
      ...Object.fromEntries(names.map((name, at) => [name, String(ports[at])])),
      DEMO_NAME: `demo-${Math.floor(Date.now() / 1000).toString(36)}`,
      DEMO_OUTPUT: output,
    };
    for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  }

  /** Makes the tables, starts capture and consumer, and waits until both are up. */
  async #start(name: SourceName): Promise<SourceFlow> {
    const source: DemoSource = SOURCES[name];
    const seeds = source.tables.map((table) => job<"seed">(table.seed_job));
    const capture_name = job<"capture-pg">(source.capture_job).name;
    await prepareDatabase(name, this.#servers.info, seeds, capture_name);
    this.#signal.throwIfAborted();
    const flow = new SourceFlow(source, this.#options.rows, this.#board, {
      capture: this.#worker(source.capture_job),
      consume: this.#worker(source.consume_job),
    });
    await until(
      `${source.title}: capture and consumer are up`,
      async () => {
        await flow.check();
        // The consumer is ready when its topics exist: the first change makes them.
        return await isUp(flow.capture_port, "ready") && await isUp(flow.consume_port, "live");
      },
      { signal: this.#signal, patience_ms: READY_PATIENCE_MS },
    );
    return flow;
  }

  /** Writes the changes, and follows them until all are in the files; then ends the workers. */
  async #flow(flow: SourceFlow): Promise<Omit<SourceFigures, "results">> {
    const rows = tableRows(flow.source.tables, this.#options.rows);
    const seeds = flow.source.tables.map((table, at) =>
      this.#worker(table.seed_job, [`--rows=${rows[at]}`])
    );
    await flow.arrival(seeds, this.#signal);
    const summaries = await Promise.all(seeds.map((seed) => seed.result<SeedSummary>()));
    return await flow.drain(summaries);
  }

  /** Compares all tables with their files, side by side. */
  async #verify(sources: readonly SourceName[]): Promise<SourceFigures["results"][]> {
    const tables = sources.map((name): DemoSource => SOURCES[name]).map((source) => source.tables);
    const progress = this.#board.begin("compare tables", tables.flat().length);
    let done = 0;
    return await Promise.all(tables.map((list) =>
      Promise.all(list.map(async (table) => {
        const worker = this.#worker(table.verify_job);
        const result = await worker.result<VerifyResult & { seconds: number }>([0, 1]);
        this.#signal.throwIfAborted();
        progress.update(++done);
        if (done === tables.flat().length) progress.end();
        return result;
      }))
    ));
  }

  #worker(path: string, args: readonly string[] = []): DemoProcess {
    this.#signal.throwIfAborted();
    const worker = new DemoProcess(join(CHECKOUT, path), args, this.#processes);
    this.#workers.push(worker);
    return worker;
  }
}

function job<Kind extends "seed" | "capture-pg">(path: string): JobOf<Kind> {
  return readJob(join(CHECKOUT, path)).job as JobOf<Kind>;
}
