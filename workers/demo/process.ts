/** A worker that the demo started as the launcher does: a process with just its job's permissions. */
import { basename, join } from "node:path";
import { tailOf } from "../../compose/native/processes.ts";
import { readJob } from "../runtime/environment.ts";
import { grantsOf } from "../launcher/grants.ts";
import { workerArguments, workerEnvironment } from "../launcher/processes.ts";

/** What is shown of the log of a worker that failed. */
const LOG_LINES = 8;
/** Above the workers' own `shutdown_timeout_ms`, after which they end by themselves. */
const STOP_PATIENCE_MS = 12_000;

/** What the demo's workers have in common. */
export interface DemoProcesses {
  /** Addresses that the brokers advertise. */
  readonly brokers: readonly string[];
  /** Folder for the workers' logs. */
  readonly logs: string;
}

/** A worker in its own process. */
export class DemoProcess {
  readonly #child: Deno.ChildProcess;
  readonly #log: string;
  readonly #job: string;
  readonly #stdout: Promise<string>;
  readonly #logged: Promise<void>;
  #code: number | undefined;

  /** Starts the worker of the job file; its log goes to a file, its result to `result`. */
  constructor(path: string, args: readonly string[], { brokers, logs }: DemoProcesses) {
    const file = { path, loaded: readJob(path) };
    const permissions = grantsOf(file, brokers);
    this.#job = path;
    this.#log = join(logs, `${basename(path, ".yaml")}.log`);
    this.#child = new Deno.Command(Deno.execPath(), {
      args: [...workerArguments(file, permissions), "--json", ...args],
      clearEnv: true,
      env: workerEnvironment(permissions),
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      // Out of the terminal's group: Ctrl-C comes through the demo, in its order.
      detached: true,
    }).spawn();
    this.#stdout = new Response(this.#child.stdout).text();
    const log = Deno.createSync(this.#log);
    this.#logged = this.#child.stderr.pipeTo(log.writable);
    this.#child.status.then(({ code }) => this.#code = code);
  }

  /** Throws with the log's end when the worker has ended by itself with a failure. */
  async check(): Promise<void> {
    if (this.#code !== undefined && this.#code !== 0) throw await this.#failure(this.#code);
  }

  /** Waits for the end and answers the object on stdout. `codes`: the exit codes that are no failure. */
  async result<T>(codes: readonly number[] = [0]): Promise<T> {
    const [{ code }, text] = await Promise.all([this.#child.status, this.#stdout, this.#logged]);
    if (!codes.includes(code) || text === "") throw await this.#failure(code);
    return JSON.parse(text) as T;
  }

  /** Asks it to drain and waits; a worker that does not end in time is killed. */
  async stop(): Promise<void> {
    if (this.#code !== undefined) return;
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_PATIENCE_MS);
    await this.#child.status;
    clearTimeout(timer);
  }

  async #failure(code: number): Promise<Error> {
    await this.#logged;
    const tail = await tailOf(this.#log, LOG_LINES);
    return new Error(
      `The worker of ${this.#job} ended with ${code}. The last lines of ${this.#log}:\n${tail}`,
    );
  }
}
