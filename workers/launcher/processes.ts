/** Workers as processes: what one may touch, and what becomes of it, is nothing to the others. */
import { fileURLToPath } from "node:url";
import { denoFlags, type Permissions } from "../../shared/jobs/permissions.ts";
import { EXIT_DONE } from "../cli/main.ts";
import { jobKind } from "../jobs.ts";
import { askingGrants, type BrokersAnswer, type JobFile, variablesOf } from "./grants.ts";
import type { Started, Workers } from "./workers.ts";

export const processes: Workers = {
  place: "in a process of its own",
  prepare: cacheModules,
  askBrokers,
  start,
};

function start(file: JobFile, permissions: Permissions, passed: readonly string[]): Started {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...workerArguments(file, permissions), ...passed],
    clearEnv: true,
    env: workerEnvironment(permissions),
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
    // Out of the terminal's group: Ctrl-C comes once, through the launcher, and not twice.
    detached: true,
  }).spawn();
  const kill = (signal: Deno.Signal) => {
    try {
      child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended
    }
  };
  return {
    pid: child.pid,
    ended: child.status.then(({ code }) => code),
    stop: kill,
    kill: () => kill("SIGKILL"),
  };
}

/** Arguments of `deno` that run the job's worker with these permissions and nothing more. */
export function workerArguments(file: JobFile, permissions: Permissions): string[] {
  const { worker, v8_flags = [] } = jobKind(file.loaded.kind);
  return [
    "run",
    // Modules come before, by `cacheModules`: a worker downloads nothing.
    "--cached-only",
    ...denoFlags(permissions),
    ...v8_flags.length > 0 ? [`--v8-flags=${v8_flags.join(",")}`] : [],
    workerFile(worker),
    file.path,
  ];
}

/** Has Deno fetch what the workers import, where that has not been done before. */
export async function cacheModules(files: readonly JobFile[]): Promise<void> {
  const modules = new Set(files.map((file) => jobKind(file.loaded.kind).worker));
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--quiet", ...[...modules].map(workerFile)],
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("The modules of the workers cannot be fetched; see above.");
}

async function askBrokers(file: JobFile): Promise<BrokersAnswer> {
  const command = new Deno.Command(Deno.execPath(), askingCommand(file));
  const { code, stdout, stderr } = await command.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (code === EXIT_DONE) return JSON.parse(text(stdout)) as BrokersAnswer;
  return { error: text(stderr), refused: false };
}

/** How the process that asks the brokers is started. */
export function askingCommand(file: JobFile): Deno.CommandOptions {
  const permissions = askingGrants(file);
  return {
    args: ["run", ...denoFlags(permissions), workerFile("launcher/brokers.ts"), file.path],
    clearEnv: true,
    env: workerEnvironment(permissions),
    stdin: "null",
  };
}

function workerFile(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
}

/** Names of the environment by which Deno itself finds its modules, and the authorities that it trusts. */
const DENO_NAMES = [
  "DENO_DIR",
  "HOME",
  "XDG_CACHE_HOME",
  "DENO_CERT",
  "DENO_TLS_CA_STORE",
  "NODE_EXTRA_CA_CERTS",
  "SSL_CERT_DIR",
  "SSL_CERT_FILE",
];

/** The environment of a worker: what its job names, and what Deno itself reads. */
export function workerEnvironment(permissions: Permissions): Record<string, string> {
  return {
    // Deno asks its maker for a newer version otherwise: a connection that no job names.
    DENO_NO_UPDATE_CHECK: "1",
    ...variablesOf([...DENO_NAMES, ...permissions.env]),
  };
}
