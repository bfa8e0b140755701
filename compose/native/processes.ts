/** Server processes that outlive the command which starts them, known by pid and start time. */

import { ConfigError, RetryableError } from "../../shared/errors.ts";

/** A process that this stack started. The start time tells it from a later process with the same pid. */
export interface ServerProcess {
  pid: number;
  /** Clock ticks since boot at which the process started: field 22 of /proc/PID/stat (proc(5)). */
  start_ticks: number;
}

/** How one command ended: exit code and all of its output, both streams together. */
export interface Finished {
  code: number;
  output: string;
}

/** Runs a command to its end, with stdin closed. Never throws on a bad exit code. */
export async function run(
  command: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  const child = new Deno.Command(command, {
    args,
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    ...(options.env === undefined ? {} : { env: options.env }),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  const { code, stdout, stderr } = await child.output();
  const text = new TextDecoder();
  return { code, output: text.decode(stdout) + text.decode(stderr) };
}

/**
 * Runs a command and returns its output. Throws with the last lines of it when the exit code is not
 * 0; with `cure` as a fault that may pass.
 */
export async function runOrFail(
  what: string,
  command: string,
  args: string[],
  options: { cwd?: string; env?: Record<string, string>; cure?: string } = {},
): Promise<string> {
  const { code, output } = await run(command, args, options);
  if (code === 0) return output;
  const message = `${what} failed: ${command} ended with code ${code}.\n${lastLines(output, 15)}`;
  throw options.cure === undefined
    ? new Error(message)
    : new RetryableError(message, { cure: options.cure });
}

/**
 * Starts a server in a session of its own, with all output appended to `log`, and returns at once.
 * The shell prints the pid of its child, which `setsid` keeps: a background child of a script leads
 * no process group, so `setsid` need not fork.
 */
export async function startDetached(
  command: string[],
  options: { log: string; cwd: string; env?: Record<string, string> },
): Promise<ServerProcess> {
  const script = 'log="$1"; shift; setsid "$@" </dev/null >>"$log" 2>&1 & echo $!';
  const pid = Number(
    await runOrFail(`Start of ${command[0]}`, "/bin/sh", [
      "-c",
      script,
      "sh",
      options.log,
      ...command,
    ], { cwd: options.cwd, ...(options.env === undefined ? {} : { env: options.env }) }),
  );
  return { pid, start_ticks: startTicks(pid) ?? 0 };
}

/** Start time of a process in clock ticks since boot, or undefined when there is none or only its zombie. */
export function startTicks(pid: number): number | undefined {
  const ticks = statFields(pid)?.[19];
  return ticks === undefined ? undefined : Number(ticks);
}

/** The process that started this one, or undefined when there is none or only its zombie. */
export function parentOf(pid: number): number | undefined {
  const parent = statFields(pid)?.[1];
  return parent === undefined ? undefined : Number(parent);
}

/** The fields of /proc/PID/stat from the third on (proc(5)); undefined for a zombie and for nobody. */
function statFields(pid: number): string[] | undefined {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    // The command name stands in parentheses and may itself hold spaces and parentheses.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields;
  } catch {
    return undefined;
  }
}

/** True while this very process runs; a later process with the same pid does not count. */
export function isAlive(process: ServerProcess): boolean {
  return startTicks(process.pid) === process.start_ticks;
}

/** The processes, but this one, that run with this variable in their environment. */
export function processesWith(name: string, value: string): ServerProcess[] {
  const found: ServerProcess[] = [];
  for (const { name: entry } of Deno.readDirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === Deno.pid) continue;
    try {
      const variables = Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0");
      const start_ticks = startTicks(pid);
      if (start_ticks === undefined || !variables.includes(`${name}=${value}`)) continue;
      found.push({ pid, start_ticks });
    } catch {
      // It has just ended, or is another user's.
    }
  }
  return found;
}

/**
 * Ends a process: `signal` first, SIGKILL when it still runs after `patience_ms`.
 * Returns how it went; "gone" means that there was nothing to end.
 */
export async function stop(
  process: ServerProcess,
  signal: Deno.Signal,
  patience_ms: number,
): Promise<"stopped" | "killed" | "gone"> {
  if (!isAlive(process)) return "gone";
  Deno.kill(process.pid, signal);
  if (await ended(process, patience_ms)) return "stopped";
  Deno.kill(process.pid, "SIGKILL");
  if (await ended(process, 10_000)) return "killed";
  throw new Error(`Process ${process.pid} does not end, not even on SIGKILL.`);
}

async function ended(process: ServerProcess, patience_ms: number): Promise<boolean> {
  return await waitUntil(() => !isAlive(process), patience_ms, 25);
}

/** Asks again every `every_ms` until the condition holds; false when `patience_ms` have passed. */
export async function waitUntil(
  condition: () => boolean | Promise<boolean>,
  patience_ms: number,
  every_ms: number,
): Promise<boolean> {
  const deadline = performance.now() + patience_ms;
  while (!(await condition())) {
    if (performance.now() > deadline) return false;
    await new Promise((resolve) => setTimeout(resolve, every_ms));
  }
  return true;
}

/** The last `count` lines of a text. */
export function lastLines(text: string, count: number): string {
  return text.trimEnd().split("\n").slice(-count).join("\n");
}

/** The last `count` lines of a log file; a sentence when it cannot be read. */
export async function tailOf(path: string, count: number): Promise<string> {
  try {
    return lastLines(await Deno.readTextFile(path), count);
  } catch {
    return `(${path} does not exist)`;
  }
}

/** Absolute path of a command on PATH, or undefined. */
export function which(command: string): string | undefined {
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${folder}/${command}`;
    try {
      const { isFile, mode } = Deno.statSync(path);
      if (isFile && ((mode ?? 0) & 0o111) !== 0) return path;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}

/** Throws with the package to install when a command that the stack builds on is missing. */
export function demand(command: string, debianPackage: string): string {
  const path = which(command);
  if (path !== undefined) return path;
  throw new ConfigError(`The command ${command} is not on PATH.`, {
    cure:
      `on Debian: apt-get install ${debianPackage}; elsewhere use \`deno task stack up --docker\``,
  });
}
