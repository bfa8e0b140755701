/** Starts one worker per job, each with just the permissions of its job, and ends them together. */
import { ConfigError } from "../../shared/errors.ts";
import { createLog, type Log } from "../../shared/observe/log.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { readJob } from "../runtime/environment.ts";
import {
  askBrokers,
  cacheModules,
  grantsOf,
  type JobFile,
  workerArguments,
  workerEnvironment,
} from "./grants.ts";
import { type JobKind, jobKind, jobKinds, type JobKindSpec } from "../jobs.ts";
import { readOverrides } from "../runtime/overrides.ts";
import { logFormat, workerSpec } from "../runtime/command_line.ts";

/** A worker that is ready to be started. */
interface Prepared {
  readonly path: string;
  readonly name: string;
  readonly command: Deno.Command;
}

/**
 * Runs `deno task NAME JOB…`: reads the jobs, derives their permissions, starts a worker each and
 * waits. When one fails the others get SIGTERM and drain; SIGINT and SIGTERM are passed on, a second
 * one kills. Exit code: 130 or 143 after a clean stop by a signal, else the first worker's that is
 * not 0, else 0.
 */
export function launch(name: JobKindSpec["command"]): Promise<never> {
  return run(async () => {
    const kinds = (Object.keys(jobKinds) as JobKind[])
      .filter((kind) => jobKind(kind).command === name);
    const spec = launchSpec(name, kinds);
    const parsed = parseCommand(spec, Deno.args);
    if (parsed === "help") return EXIT_DONE;
    const { options, positionals } = parsed;
    const log = createLog({
      job: "launcher",
      format: logFormat(options.log),
      write: (line) => Deno.stderr.writeSync(new TextEncoder().encode(line)),
      now: Date.now,
    });
    const overrides = Object.assign({}, ...kinds.map((kind) => readOverrides(kind, options)));
    const files = positionals.map((path) => checkedFile(name, path, overrides));
    const passed = passedOn(spec, options);
    await cacheModules(files);
    const prepared = await Promise.all(files.map((file) => prepare(file, passed, log)));
    return await runTogether(prepared, log);
  });
}

/** The launcher's command line: a worker's, with the fields of all kinds that the command starts. */
function launchSpec(name: string, kinds: readonly JobKind[]): CommandSpec {
  const specs = kinds.map(workerSpec);
  return {
    name,
    summary: `${specs.map((spec) => spec.summary).join(" ")} Several jobs run side by side,\n` +
      "each in a process of its own with just the permissions that it needs.",
    usage: `deno task ${name} [options] JOB…`,
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

/** The options as arguments again. */
function passedOn(spec: CommandSpec, options: Record<string, OptionValue>): string[] {
  return Object.keys(spec.options).flatMap((name) => {
    const value = options[name];
    if (value === undefined || value === spec.options[name]!.default) return [];
    return [value === false ? `--no-${name}` : value === true ? `--${name}` : `--${name}=${value}`];
  });
}

async function prepare(file: JobFile, passed: readonly string[], log: Log): Promise<Prepared> {
  const { path, loaded } = file;
  const name = loaded.job.name;
  const advertised = await askBrokers(file).catch((error) => {
    if (error instanceof ConfigError) throw error;
    // The worker tries again until they answer; it may then connect to the listed ones alone.
    log.warn("brokers_unanswered", { of: name, error });
    return [];
  });
  const permissions = grantsOf(file, advertised);
  log.debug("permissions", { of: name, ...permissions });
  const command = new Deno.Command(Deno.execPath(), {
    args: [...workerArguments(file, permissions), ...passed],
    clearEnv: true,
    env: workerEnvironment(permissions),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    // Out of the terminal's group: Ctrl-C comes once, through the launcher, and not twice.
    detached: true,
  });
  return { path, name, command };
}

/** Starts all, waits for all, answers the exit code. */
async function runTogether(prepared: readonly Prepared[], log: Log): Promise<number> {
  const running = new Set<Deno.ChildProcess>();
  const tell = (signal: Deno.Signal) => {
    for (const child of running) child.kill(signal);
  };
  let stopping = false;
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    Deno.addSignalListener(signal, () => {
      tell(stopping ? "SIGKILL" : signal);
      stopping = true;
    });
  }
  const codes = await Promise.all(prepared.map(async ({ path, name, command }) => {
    const child = command.spawn();
    running.add(child);
    log.info("worker_started", { of: name, file: path, worker_pid: child.pid });
    const { code } = await child.status;
    running.delete(child);
    const isFailure = code !== EXIT_DONE && !stopping;
    log[isFailure ? "error" : "info"]("worker_ended", { of: name, exit_code: code });
    if (isFailure) {
      stopping = true;
      tell("SIGTERM");
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
