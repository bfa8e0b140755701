/** Starts one worker per job, each with just the permissions of its job, and ends them together. */
import { ConfigError } from "../../shared/errors.ts";
import { createLog, type Log } from "../../shared/observe/log.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { host } from "../cli/host.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { writeToStderr } from "../cli/stderr.ts";
import { readJob } from "../runtime/environment.ts";
import { askBrokers, grantsOf, type JobFile } from "./grants.ts";
import { type JobKind, jobKind, jobKinds, type JobKindSpec } from "../jobs.ts";
import { readOverrides } from "../runtime/overrides.ts";
import { logFormat, workerSpec } from "../runtime/command_line.ts";
import type { Started, Workers } from "./workers.ts";

/** A worker that is ready to be started. */
export interface Prepared {
  readonly path: string;
  readonly name: string;
  start(): Started;
}

/**
 * Runs `deno task NAME JOB...`: reads the jobs, derives their permissions, starts a worker each and
 * waits. When one fails the others get SIGTERM and drain; SIGHUP, SIGINT and SIGTERM are passed on, a
 * second one kills. Exit code: `EXIT_STOPPED` after a clean stop by a signal, else the first worker's
 * that is not 0, else 0.
 */
export function launch(name: JobKindSpec["command"], workers: Workers): Promise<never> {
  return run(async () => {
    const kinds = (Object.keys(jobKinds) as JobKind[])
      .filter((kind) => jobKind(kind).command === name);
    const spec = launchSpec(name, kinds, workers.place);
    const parsed = parseCommand(spec, host().args);
    if (parsed === "help") return EXIT_DONE;
    const { options, positionals } = parsed;
    const log = createLog({
      job: "launcher",
      format: logFormat(options.log),
      write: writeToStderr,
      now: Date.now,
    });
    const overrides = Object.assign({}, ...kinds.map((kind) => readOverrides(kind, options)));
    const files = positionals.map((path) => checkedFile(name, path, overrides));
    if (name === "capture") refuseSameSource(files);
    const passed = passedOn(spec, options);
    await workers.prepare(files);
    const advertised = askingOnce(workers, log);
    const prepared = await Promise.all(
      files.map(async (file) => prepare(file, await advertised(file), workers, passed)),
    );
    return await runTogether(prepared, log);
  });
}

/** The launcher's command line: a worker's, with the fields of all kinds that the command starts. */
function launchSpec(name: string, kinds: readonly JobKind[], place: string): CommandSpec {
  const specs = kinds.map(workerSpec);
  return {
    name,
    summary: `${specs.map((spec) => spec.summary).join("\n")}\nSeveral jobs run side by side,\n` +
      `each ${place} with just the permissions that it needs.`,
    usage: `deno task ${name} [options] JOB...`,
    example: specs[0]!.example,
    options: Object.assign({}, ...specs.map((spec) => spec.options)),
    positionals: { name: "JOB", help: "Job files: .yaml or .toml.", min: 1, max: Infinity },
  };
}

function checkedFile(
  name: string,
  path: string,
  overrides: Readonly<Record<string, OptionValue>>,
): JobFile {
  const loaded = readJob(path, overrides);
  const { command } = jobKind(loaded.kind);
  if (command === name) return { path, loaded };
  throw new ConfigError(
    `${loaded.where(["job"])} job: ${loaded.kind} is not started by \`deno task ${name}\`.`,
    { cure: `deno task ${command} ${path}` },
  );
}

/** A source has one capture: of two the second is refused by the first one's slot or lock, at some time. */
function refuseSameSource(files: readonly JobFile[]): void {
  for (const [at, { path, loaded }] of files.entries()) {
    const { kind, job: { name } } = loaded;
    const other = files.slice(0, at).find((earlier) =>
      earlier.loaded.kind === kind && earlier.loaded.job.name === name
    );
    if (other === undefined) continue;
    throw new ConfigError(
      `${loaded.where(["name"])} name: ${JSON.stringify(name)} is the name of ${other.path}, too.`,
      { cure: other.path === path ? "name each job file once" : "give each capture its own name" },
    );
  }
}

/** The options as arguments again. */
function passedOn(spec: CommandSpec, options: Record<string, OptionValue>): string[] {
  return Object.keys(spec.options).flatMap((name) => {
    const value = options[name];
    if (value === undefined || value === spec.options[name]!.default) return [];
    return [value === false ? `--no-${name}` : value === true ? `--${name}` : `--${name}=${value}`];
  });
}

/** Answers what a job's brokers advertise; jobs that reach the same ones in the same way ask once. */
function askingOnce(workers: Workers, log: Log): (file: JobFile) => Promise<string[]> {
  const asked = new Map<string, Promise<string[]>>();
  return (file) => {
    const { name, kafka } = file.loaded.job as { name: string; kafka?: unknown };
    const way = JSON.stringify(kafka ?? null);
    return asked.getOrInsertComputed(way, () =>
      askBrokers(file, workers).catch((error) => {
        if (error instanceof ConfigError) throw error;
        // The worker tries again until they answer; it may then connect to the listed ones alone.
        log.warn("brokers_unanswered", { of: name, error });
        return [];
      }));
  };
}

function prepare(
  file: JobFile,
  advertised: readonly string[],
  workers: Workers,
  passed: readonly string[],
): Prepared {
  const { path, loaded } = file;
  const { name } = loaded.job;
  const permissions = grantsOf(file, advertised);
  return { path, name, start: () => workers.start(file, permissions, passed) };
}

/** Starts all, waits for all, answers the exit code. One that cannot be started has failed. */
export async function runTogether(prepared: readonly Prepared[], log: Log): Promise<number> {
  const running = new Set<Started>();
  let stopping = false;
  host().onStop((signal) => {
    for (const worker of running) stopping ? worker.kill() : worker.stop(signal);
    stopping = true;
  });
  const ended = async ({ path, name, start }: Prepared): Promise<number> => {
    const worker = start();
    running.add(worker);
    log.info("worker_started", { of: name, file: path, worker_pid: worker.pid });
    const code = await worker.ended;
    running.delete(worker);
    return code;
  };
  const codes = await Promise.all(prepared.map(async (one) => {
    const { name } = one;
    const code = await ended(one).catch((error) => {
      log.error("worker_not_started", { of: name, error });
      return EXIT_FAILED;
    });
    const isFailure = code !== EXIT_DONE && !stopping;
    log[isFailure ? "error" : "info"]("worker_ended", { of: name, exit_code: code });
    if (isFailure) {
      stopping = true;
      for (const other of running) other.stop("SIGTERM");
    }
    return { code, isFailure };
  }));
  return exitCode(codes);
}

/** The first failure counts before the clean stops that it caused. */
function exitCode(ended: readonly { code: number; isFailure: boolean }[]): number {
  const failed = ended.find(({ isFailure }) => isFailure) ?? ended.find(({ code }) => code === 1) ??
    ended.find(({ code }) => code !== EXIT_DONE);
  return failed?.code ?? EXIT_DONE;
}
