/** A run: both databases are captured into files, faults strike one after another, then is judged. */
import { Random } from "../../../shared/seed/random.ts";
import { databases } from "../../databases.ts";
import { type FaultName, faults } from "../mod.ts";
import { clean, type Verdict } from "./judgement.ts";
import { Pipeline, type PipelineOptions } from "./pipeline.ts";
import type { Servers } from "./servers.ts";

/** What a run is told. */
export interface RunOptions {
  /** The faults, in the order in which they strike. */
  readonly names: readonly FaultName[];
  /** How often the faults that kill at random moments kill, over both databases. */
  readonly kills: number;
  readonly seed: number;
  /** How long what is frozen stays so, milliseconds. */
  readonly freeze_ms: number;
  /** Rows of the transaction that is to be huge. */
  readonly huge_rows: number;
  /** Time after which the workers give a broker up; a freeze must last longer. */
  readonly request_timeout_ms: number;
  /** Client library of the workers. @default "builtin" */
  readonly client?: string;
  /** Told when a fault begins, and when all flows again. */
  readonly tell: (line: string) => void;
}

/** What came of a run. */
export interface RunResult extends Verdict {
  readonly faults: readonly FaultName[];
  /** Processes that were killed. */
  kills: number;
  /** Committed changes; each was looked for in its topic and in the files. */
  changes: number;
}

/** A run as faults see it. */
export class Run {
  readonly servers: Servers;
  readonly pipelines: readonly Pipeline[];
  readonly options: RunOptions;
  /** What its pipelines are made with. */
  readonly pipelineOptions: PipelineOptions;
  readonly random: Random;
  /** Processes that were killed so far. */
  kills = 0;

  constructor(
    servers: Servers,
    pipelines: readonly Pipeline[],
    options: RunOptions,
    pipelineOptions: PipelineOptions,
  ) {
    this.servers = servers;
    this.pipelines = pipelines;
    this.options = options;
    this.pipelineOptions = pipelineOptions;
    this.random = new Random(options.seed);
  }

  /** Does something to every pipeline, side by side. */
  async each(work: (pipeline: Pipeline) => Promise<void>): Promise<void> {
    await Promise.all(this.pipelines.map(work));
  }

  /** Kills a capture as a power cut would, and starts it again, or what `start` starts in its place. */
  async killCapture(pipeline: Pipeline, start = () => pipeline.scenario.capture()): Promise<void> {
    await pipeline.capture.kill();
    pipeline.capture = start();
    this.kills++;
  }

  /** The same for a consumer. */
  async killConsumer(pipeline: Pipeline, start = () => pipeline.scenario.consume()): Promise<void> {
    await pipeline.consumer.kill();
    pipeline.consumer = start();
    this.kills++;
  }

  /** Kills servers as a power cut would. */
  async killServers(...names: readonly string[]): Promise<void> {
    await this.servers.kill(...names);
    this.kills += names.length;
  }
}

/** Changes a second of each writer: enough for full batches, little enough for two cores. */
const RATE = 400;

/** Lets the faults strike, and judges. Throws when a fault leaves the pipelines unable to go on. */
export async function runFaults(servers: Servers, options: RunOptions): Promise<RunResult> {
  const { names, seed, request_timeout_ms, client, tell } = options;
  const kafka = { request_timeout_ms, ...client === undefined ? {} : { client } };
  const pipelineOptions = { rate: RATE, seed, kafka };
  const pipelines: Pipeline[] = [];
  try {
    for (const db of databases(servers.stack)) {
      pipelines.push(await Pipeline.start(db, servers, pipelineOptions));
    }
    const run = new Run(servers, pipelines, options, pipelineOptions);
    for (const name of names) {
      const { fault } = await faults[name]();
      tell(`${name}: ${fault.does}`);
      const began = performance.now();
      await fault.strike(run);
      await run.each((pipeline) => pipeline.flows());
      tell(`${name}: all flows again after ${Math.round(performance.now() - began)} ms`);
    }
    await run.each((pipeline) => pipeline.settle());
    return { faults: names, kills: run.kills, ...await judgeAll(pipelines) };
  } catch (error) {
    servers.keepLogs();
    throw error;
  } finally {
    await Promise.all(pipelines.map((pipeline) => pipeline[Symbol.asyncDispose]()));
  }
}

async function judgeAll(pipelines: readonly Pipeline[]): Promise<Verdict & { changes: number }> {
  const total = { ...clean(), changes: 0 };
  for (const pipeline of pipelines) {
    const verdict = await pipeline.judge();
    total.changes += pipeline.writer.ledger.changes;
    total.lost += verdict.lost;
    total.repeated += verdict.repeated;
    total.altered += verdict.altered;
    total.examples.push(...verdict.examples);
  }
  return total;
}
