/** How every worker begins and ends: arguments, job, log, metrics, health, signals, exit code. */
import { aborted } from "../../shared/backoff.ts";
import { ConfigError, describe, isExplained } from "../../shared/errors.ts";
import { type Path, pathText } from "../../shared/jobs/document.ts";
import type { Grant, Needs } from "../../shared/jobs/permissions.ts";
import {
  createHealth,
  type Health,
  type HealthServer,
  serveHealth,
} from "../../shared/observe/health.ts";
import { createLog, type Log } from "../../shared/observe/log.ts";
import { type Metrics, NO_METRICS } from "../../shared/observe/metrics.ts";
import { type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_CONFIG, EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import type { ProgressBoard } from "../cli/progress.ts";
import { writeToStderr } from "../cli/stderr.ts";
import { readJob } from "./environment.ts";
import { type JobKind, jobKind, type JobOf } from "../jobs.ts";
import { logFormat, workerSpec } from "./command_line.ts";
import { EXIT_STOPPED, host, type StopSignal } from "../cli/host.ts";
import { readOverrides } from "./overrides.ts";
import { VERSION } from "./version.ts";

/** What a worker's own code is given. */
export interface WorkerContext<Kind extends JobKind> {
  readonly job: JobOf<Kind>;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Not ready until the worker says `health.ready("start")`. */
  readonly health: Health;
  /** Aborts at a signal to stop: drain and return. */
  readonly signal: AbortSignal;
  /** The time, milliseconds since the Unix epoch. */
  readonly now: () => number;
  readonly version: string;
  /** Progress on the terminal, above which log lines then stand; undefined: there is none. */
  readonly board: (() => ProgressBoard) | undefined;
  /** `--json`: results go to stdout as one JSON object. */
  readonly json: boolean;
  /** Where in the job file a value stands: `jobs/orders.yaml:12:3`. */
  readonly where: (path: Path) => string;
  /** Whether the process may connect to `host:port`. */
  readonly mayConnect: (address: string) => boolean;
}

/**
 * Runs a worker of one kind with the job named on the command line, and ends its process or thread. `work`
 * answers the exit code; when it returns 0 after a signal, or throws the signal's reason, the code says which
 * signal it was. Other errors that it throws are logged; a ConfigError gives exit code 2, any other 1. When a drain takes longer than
 * `shutdown_timeout_ms`, and at a second signal, the worker ends at once with 1.
 */
export function runWorker<Kind extends JobKind>(
  kind: Kind,
  work: (context: WorkerContext<Kind>) => Promise<number>,
): Promise<never> {
  return run(async () => {
    const parsed = parseCommand(workerSpec(kind), host().args);
    if (parsed === "help") return EXIT_DONE;
    const loaded = load(kind, parsed.positionals[0]!, parsed.options);
    const { job, where } = loaded;
    const terminal = new Terminal(host().has_terminal ? await boardMaker() : undefined);
    const log = createLog({
      job: job.name,
      format: logFormat(parsed.options.log),
      level: job.observe.log_level,
      write: terminal.write,
      now: Date.now,
      secrets: loaded.secrets,
    });
    const metrics = job.observe.metrics_port === undefined ? NO_METRICS : await countedMetrics();
    const health = createHealth();
    const signal = stopAtSignals(log, job.shutdown_timeout_ms);
    tellStrayErrors(log);

    let server: HealthServer | undefined;
    try {
      requireGrants(jobKind(kind).needs(job), where);
      server = listen(job.observe, metrics, health, log, where);
      log.info("started", { kind, version: VERSION, pid: Deno.pid });
      if (jobKind(kind).checked_at_start) {
        const { checkAtStart } = await import("./inspect.ts");
        const checked = checkAtStart(kind, job as JobOf<Kind>, { log, now: Date.now, mayConnect });
        await Promise.race([checked, aborted(signal)]); // who is only looked at need not be waited for
      }
      const code = signal.aborted ? EXIT_DONE : await untilStopped(signal, work, {
        job: job as JobOf<Kind>,
        log,
        metrics,
        health,
        signal,
        now: Date.now,
        version: VERSION,
        board: terminal.board,
        json: parsed.options.json === true,
        where,
        mayConnect,
      });
      const ended = code === EXIT_DONE && signal.aborted
        ? EXIT_STOPPED[signal.reason as StopSignal]
        : code;
      log.info("ended", { exit_code: ended });
      return ended;
    } catch (error) {
      const name = error instanceof Error ? error.name : "other";
      log.error("failed", { error, kind: name, stack: stackOf(error) });
      return error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILED;
    } finally {
      terminal.close();
      await server?.close();
    }
  });
}

/** What `work` answers; 0 where it throws the reason of `signal`. */
async function untilStopped<Context>(
  signal: AbortSignal,
  work: (context: Context) => Promise<number>,
  context: Context,
): Promise<number> {
  try {
    return await work(context);
  } catch (error) {
    if (signal.aborted && error === signal.reason) return EXIT_DONE;
    throw error;
  }
}

// Libraries that many workers do without: they are loaded where they are used.

async function countedMetrics(): Promise<Metrics> {
  return (await import("../../shared/observe/prometheus.ts")).createMetrics();
}

async function boardMaker(): Promise<() => ProgressBoard> {
  const { ProgressBoard } = await import("../cli/progress.ts");
  return () => new ProgressBoard();
}

/** Log lines, and bars below them once a worker has some to draw. */
class Terminal {
  /** Makes the board at the first call; undefined: there is no terminal. */
  readonly board: (() => ProgressBoard) | undefined;
  #board: ProgressBoard | undefined;

  constructor(make: (() => ProgressBoard) | undefined) {
    this.board = make && (() => this.#board ??= make());
  }

  readonly write = (line: string): void => {
    if (this.#board === undefined) writeToStderr(line);
    else this.#board.say(line.trimEnd());
  };

  close(): void {
    this.#board?.close();
    this.#board = undefined;
  }
}

function load(kind: JobKind, path: string, options: Record<string, OptionValue>) {
  const loaded = readJob(path, readOverrides(kind, options));
  if (loaded.kind === kind) return loaded;
  const { command } = jobKind(loaded.kind);
  throw new ConfigError(
    `${loaded.where(["job"])} job: this worker runs ${kind}; found ${loaded.kind}.`,
    { cure: `deno task ${command} ${path}` },
  );
}

function stopAtSignals(log: Log, shutdown_timeout_ms: number): AbortSignal {
  const controller = new AbortController();
  const endNow = (event: string, fields: Record<string, unknown>) => {
    log.error(event, fields);
    host().exit(EXIT_FAILED);
  };
  host().onStop((signal) => {
    if (controller.signal.aborted) return endNow("stopped_by_second_signal", { signal });
    log.info("stopping", { signal, shutdown_timeout_ms });
    controller.abort(signal);
    const timer = setTimeout(
      () => endNow("shutdown_timeout", { shutdown_timeout_ms }),
      shutdown_timeout_ms,
    );
    Deno.unrefTimer(timer);
  });
  return controller.signal;
}

/** Errors that nobody awaits, in libraries too, end the worker with a log line of its form. */
function tellStrayErrors(log: Log): void {
  globalThis.addEventListener("unhandledrejection", (event) => {
    event.preventDefault();
    log.error("failed", { error: event.reason, stack: stackOf(event.reason) });
    host().exit(EXIT_FAILED);
  });
  globalThis.addEventListener("error", (event) => {
    event.preventDefault();
    log.error("failed", { error: event.error, stack: stackOf(event.error) });
    host().exit(EXIT_FAILED);
  });
}

/** The stack of an error that nobody foresaw. */
function stackOf(error: unknown): string[] | undefined {
  if (isExplained(error) || !(error instanceof Error)) return undefined;
  return error.stack?.split("\n").slice(1, 9).map((line) => line.trim());
}

function mayConnect(address: string): boolean {
  return Deno.permissions.querySync({ name: "net", host: address }).state === "granted";
}

/**
 * Compares what the job needs with what the process may do, before anything is tried: a client
 * library tells a refusal as a failed connection.
 */
function requireGrants(needs: Needs, where: (path: Path) => string): void {
  const refuse = (what: string, grant: Grant, flag: string) => {
    throw new ConfigError(
      `${where(grant.path)} ${pathText(grant.path)}: this process may not ${what} ${grant.value}.`,
      { cure: `start it by \`deno task\`, or add ${flag}=${grant.value} to \`deno run\`` },
    );
  };
  for (const grant of [...needs.net, ...needs.brokers]) {
    if (!mayConnect(grant.value)) refuse("connect to", grant, "--allow-net");
  }
  for (const grant of needs.read) {
    const { state } = Deno.permissions.querySync({ name: "read", path: grant.value });
    if (state !== "granted") refuse("read", grant, "--allow-read");
  }
  for (const grant of needs.write) {
    const { state } = Deno.permissions.querySync({ name: "write", path: grant.value });
    if (state !== "granted") refuse("write", grant, "--allow-write");
  }
}

function listen(
  observe: { metrics_host: string; metrics_port?: number },
  metrics: Metrics,
  health: Health,
  log: Log,
  where: (path: Path) => string,
): HealthServer | undefined {
  const { metrics_host: host, metrics_port: port } = observe;
  if (port === undefined) return undefined;
  try {
    const server = serveHealth({ host, port, metrics, health });
    log.info("listening", { host, port: server.port });
    return server;
  } catch (error) {
    throw new ConfigError(`${where(["observe", "metrics_port"])} ${describe(error)}`);
  }
}
