/** From a job to the command line of its worker. */
import { fileURLToPath } from "node:url";
import { ConfigError, RetryableError } from "../../shared/errors.ts";
import { denoFlags, type Permissions, permissionsOf } from "../../shared/jobs/permissions.ts";
import type { AnyJob } from "../../shared/jobs/reader.ts";
import { EXIT_CONFIG } from "../cli/main.ts";
import { jobKind, type jobKinds } from "../jobs.ts";

/** A job and the file that it was read from. */
export interface JobFile {
  readonly path: string;
  readonly loaded: AnyJob<typeof jobKinds>;
}

/** The least permissions of a job, given what its brokers advertise. */
export function grantsOf({ path, loaded }: JobFile, advertised: readonly string[]): Permissions {
  const { observe } = loaded.job;
  return permissionsOf({
    needs: jobKind(loaded.kind).needs(loaded.job),
    job_file: path,
    files: loaded.files,
    environment: loaded.environment,
    metrics: observe.metrics_port === undefined
      ? undefined
      : { host: observe.metrics_host, port: observe.metrics_port },
    advertised,
  });
}

function workerFile(name: string): string {
  return fileURLToPath(new URL(`../${name}`, import.meta.url));
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

/**
 * Asks the bootstrap brokers which addresses they advertise, in a process of its own: a Kafka client
 * in this one would hold its memory as long as the workers run. Throws, with its words, ConfigError
 * for what the job must mend and RetryableError for brokers that do not answer.
 */
export async function askBrokers(file: JobFile): Promise<string[]> {
  const { brokers, read } = jobKind(file.loaded.kind).needs(file.loaded.job);
  if (brokers.length === 0) return [];
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      // Names that are not known yet are what it is sent to find out.
      "--allow-net",
      ...denoFlags({
        net: [],
        read: [file.path, ...file.loaded.files, ...read.map((grant) => grant.value)],
        write: [],
        env: [],
      }),
      fileURLToPath(new URL("brokers.ts", import.meta.url)),
      file.path,
    ],
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes).trim();
  if (code === 0) return JSON.parse(text(stdout)) as string[];
  if (code === EXIT_CONFIG) throw new ConfigError(`${file.path}: ${text(stderr)}`);
  throw new RetryableError(
    `${file.loaded.where(["kafka", "brokers"])} kafka.brokers: none of ${
      brokers.map((broker) => broker.value).join(", ")
    } told the cluster's addresses: ${text(stderr)}`,
    { cure: "start the brokers, or mend the addresses" },
  );
}

/** Has Deno fetch what the workers import, where that has not been done before. */
export async function cacheModules(files: readonly JobFile[]): Promise<void> {
  const modules = new Set(files.map((file) => jobKind(file.loaded.kind).worker));
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "cache",
      "--quiet",
      ...[...modules].map(workerFile),
    ],
    stdin: "null",
  }).spawn().status;
  if (!success) throw new Error("The modules of the workers cannot be fetched; see above.");
}

/** Names of the environment that Deno itself reads to find its module cache. */
const DENO_NAMES = ["DENO_DIR", "HOME", "XDG_CACHE_HOME"];

/** The environment of a worker: what its job names, and where Deno keeps modules. */
export function workerEnvironment(permissions: Permissions): Record<string, string> {
  const names = [...DENO_NAMES, ...permissions.env];
  const found = names.map((name) => [name, Deno.env.get(name)] as const);
  return {
    // Deno asks its maker for a newer version otherwise: a connection that no job names.
    DENO_NO_UPDATE_CHECK: "1",
    ...Object.fromEntries(
      found.filter((entry): entry is [string, string] => entry[1] !== undefined),
    ),
  };
}
