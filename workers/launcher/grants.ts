/** From a job to the command line of its worker. */
import { ConfigError, RetryableError } from "../../shared/errors.ts";
import { type Permissions, permissionsOf } from "../../shared/jobs/permissions.ts";
import type { AnyJob } from "../../shared/jobs/reader.ts";
import { jobKind, type jobKinds } from "../jobs.ts";
import type { Workers } from "./workers.ts";

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

/** What is granted to find out what the brokers advertise: those that the job lists are asked. */
export function askingGrants(file: JobFile): Permissions {
  const { brokers, read } = jobKind(file.loaded.kind).needs(file.loaded.job);
  return {
    net: brokers.map((grant) => grant.value),
    read: [file.path, ...file.loaded.files, ...read.map((grant) => grant.value)],
    write: [],
    env: file.loaded.environment,
  };
}

/** Those of these variables that the environment has. */
export function variablesOf(names: readonly string[]): Record<string, string> {
  const found = names.map((name) => [name, Deno.env.get(name)] as const);
  return Object.fromEntries(
    found.filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** What `brokers.ts` answers, as JSON: addresses, or why there are none and whether the job is to blame. */
export type BrokersAnswer = { readonly addresses: string[] } | {
  readonly error: string;
  readonly refused: boolean;
};

/**
 * Asks the bootstrap brokers which addresses they advertise, in a worker of its own: a Kafka client
 * here would hold its memory as long as the workers run. Throws, with its words, ConfigError
 * for what the job must mend and RetryableError for brokers that do not answer.
 */
export async function askBrokers(file: JobFile, workers: Workers): Promise<string[]> {
  const { brokers } = jobKind(file.loaded.kind).needs(file.loaded.job);
  if (brokers.length === 0) return [];
  const answer = await workers.askBrokers(file);
  if ("addresses" in answer) return answer.addresses;
  if (answer.refused) throw new ConfigError(`${file.path}: ${answer.error}`);
  throw new RetryableError(
    `${file.loaded.where(["kafka", "brokers"])} kafka.brokers: none of ${
      brokers.map((broker) => broker.value).join(", ")
    } told the cluster's addresses: ${answer.error}`,
    { cure: "start the brokers, or correct the addresses" },
  );
}
