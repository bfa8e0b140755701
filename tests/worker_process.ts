/** A worker as a process of its own, as users run it, with its log at hand. */
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { type JobKind, jobKind } from "../workers/jobs.ts";

/** A line of the worker's log. */
export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly [field: string]: unknown;
}

/** How long to wait for something that must come; a loaded machine takes seconds, a fault for ever. */
const DEADLINE_MS = 120_000;

/** The kernel keeps the peak: only the time since the last look can be missed. */
const MEMORY_INTERVAL_MS = 100;

const SIGKILL = 9;

/** A started worker. */
export class WorkerProcess {
  readonly pid: number;
  readonly name: string;
  readonly log_file: string;
  readonly #child: Deno.ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #watchers = new Set<() => void>();
  readonly #reading: Promise<void>;
  readonly #memory: ReturnType<typeof setInterval>;
  #stdout = "";
  /** The most memory that the process held, in bytes (VmHWM), as last looked at. */
  peak_bytes = 0;
  #code: number | undefined;

  /** Writes `job` into `folder` and starts `workers/<worker>.ts` with it. */
  constructor(
    folder: string,
    worker: string,
    job: { name: string; job: string },
    args: string[] = [],
    /** Added to the environment. */
    env: Record<string, string> = {},
  ) {
    this.name = `${worker} ${job.name}`;
    const base = `${folder}/${basename(worker, ".ts")}-${crypto.randomUUID().slice(0, 8)}`;
    this.log_file = `${base}.log`;
    Deno.writeTextFileSync(`${base}.yaml`, JSON.stringify(job, null, 2));
    const script = worker.endsWith(".ts")
      ? worker
      : fileURLToPath(new URL(`../workers/${worker}.ts`, import.meta.url));
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "-A", ...v8Flags(job.job), script, ...args, `${base}.yaml`],
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.pid = this.#child.pid;
    this.#memory = setInterval(() => this.#lookAtMemory(), MEMORY_INTERVAL_MS);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    const log = Deno.openSync(this.log_file, { write: true, create: true });
    const collect = async () => {
      for await (const text of this.#child.stdout.pipeThrough(new TextDecoderStream())) {
        this.#stdout += text;
      }
    };
    const follow = async () => {
      let rest = "";
      for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
        log.writeSync(new TextEncoder().encode(text));
        const lines = (rest + text).split("\n");
        rest = lines.pop()!;
        for (const line of lines) if (line.startsWith("{")) this.#lines.push(JSON.parse(line));
        this.#wake();
      }
    };
    const [status] = await Promise.all([this.#child.status, collect(), follow()]);
    clearInterval(this.#memory);
    log.close();
    this.#code = status.code;
    this.#wake();
  }

  #lookAtMemory(): void {
    try {
      const status = Deno.readTextFileSync(`/proc/${this.pid}/status`);
      const found = /^VmHWM:\s+(\d+) kB$/m.exec(status);
      if (found !== null) this.peak_bytes = Number(found[1]) * 1024;
    } catch {
      // The process has just ended: what was seen last stands.
    }
  }

  #wake(): void {
    for (const wake of this.#watchers) wake();
  }

  /** The first log line of this event, now or later. */
  async event(event: string): Promise<LogLine> {
    return await this.until(
      `logs ${event}`,
      () => this.#lines.find((line) => line.event === event),
    );
  }

  /** The log lines of this event so far. */
  lines(event: string): LogLine[] {
    return this.#lines.filter((line) => line.event === event);
  }

  /** Waits until `look` finds something; fails when the worker ends or the deadline passes first. */
  async until<T>(what: string, look: () => T | undefined): Promise<T> {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      const found = look();
      if (found !== undefined) return found;
      if (this.#code !== undefined) throw this.#failure(`ended (${this.#code}) before it ${what}`);
      if (Date.now() > deadline) throw this.#failure(`never ${what}`);
      await new Promise<void>((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.#watchers.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, 1000);
        this.#watchers.add(wake);
      });
    }
  }

  /** Throws when the process has ended by itself. */
  refuseEnded(): void {
    if (this.#code !== undefined) throw this.#failure(`ended with ${this.#code} too early`);
  }

  /** Waits for the end; fails with the log's last lines when the exit code is another one. */
  async ended(code = 0): Promise<string> {
    await this.#reading;
    if (this.#code !== code) throw this.#failure(`ended with ${this.#code}, expected ${code}`);
    return this.#stdout;
  }

  /** What it printed on stdout, as JSON. */
  async result<T>(): Promise<T> {
    const text = await this.ended();
    try {
      return JSON.parse(text) as T;
    } catch {
      throw this.#failure(`printed no JSON object but ${JSON.stringify(text.slice(0, 200))}`);
    }
  }

  /** Asks it to stop, and waits until it has drained. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.ended(143);
  }

  /** Waits until it has ended by itself with this exit code; without one, by SIGKILL. */
  async died(expected = 128 + SIGKILL): Promise<void> {
    const code = await this.until("ended", () => this.#code);
    if (code !== expected) throw this.#failure(`ended with ${code}, expected ${expected}`);
  }

  /** Kills it as a power cut would. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#reading;
  }

  /** For the end of a test, whatever became of it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#code === undefined) await this.kill();
  }

  #failure(what: string): Error {
    const last = this.#lines.slice(-8).map((line) => JSON.stringify(line)).join("\n");
    return new Error(`${this.name} ${what}. Log: ${this.log_file}\n${last}`);
  }
}

/** The V8 options that the launcher would give. */
function v8Flags(kind: string): string[] {
  const { v8_flags = [] } = jobKind(kind as JobKind);
  return v8_flags.length === 0 ? [] : [`--v8-flags=${v8_flags.join(",")}`];
}
