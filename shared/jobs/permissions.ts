/** The least that a worker must be allowed, derived from its job. */
import type { Path } from "./document.ts";

/** One thing to allow, and the part of the job that asks for it. */
export interface Grant {
  /** `host:port`, or a path of the file system. */
  readonly value: string;
  readonly path: Path;
}

/** What a job asks for. Reading the job file itself and listening for metrics are added for every job. */
export interface Needs {
  /** Servers to connect to, Kafka left out. */
  readonly net: readonly Grant[];
  /** Kafka's bootstrap brokers; what they advertise is added when they are asked. */
  readonly brokers: readonly Grant[];
  readonly read: readonly Grant[];
  readonly write: readonly Grant[];
}

/** A job that needs nothing. */
export const NO_NEEDS: Needs = { net: [], brokers: [], read: [], write: [] };

/** All that is allowed to one worker, each list sorted and without repetitions. */
export interface Permissions {
  readonly net: readonly string[];
  readonly read: readonly string[];
  readonly write: readonly string[];
  /** Names of environment variables that the worker sees. */
  readonly env: readonly string[];
}

/** `host:port` as `--allow-net` wants it: an IPv6 address in brackets. */
export function address(host: string, port: number): string {
  return host.includes(":") && !host.startsWith("[") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Host and port of `host:port`, as `address` writes it. */
export function endpoint(at: string): { readonly host: string; readonly port: number } {
  const colon = at.lastIndexOf(":");
  return {
    host: at.slice(0, colon).replace(/^\[(.*)\]$/, "$1"),
    port: Number(at.slice(colon + 1)),
  };
}

/** What `permissions` is made from. */
export interface Granting {
  readonly needs: Needs;
  /** Path of the job file. */
  readonly job_file: string;
  /** Files that the job refers to. */
  readonly files: readonly string[];
  /** Environment variables that the job refers to. */
  readonly environment: readonly string[];
  readonly metrics?: { readonly host: string; readonly port: number };
  /** `host:port` of the brokers as advertised. */
  readonly advertised: readonly string[];
}

/** The permissions of a worker. */
export function permissionsOf(granting: Granting): Permissions {
  const { needs, metrics } = granting;
  const values = (grants: readonly Grant[]) => grants.map((grant) => grant.value);
  return {
    net: unique([
      ...values(needs.net),
      ...values(needs.brokers),
      ...granting.advertised,
      ...metrics ? [address(metrics.host, metrics.port)] : [],
    ]),
    read: unique([granting.job_file, ...granting.files, ...values(needs.read)]),
    write: unique(values(needs.write)),
    env: unique(granting.environment),
  };
}

/** The flags of `deno run` that allow just this; a list without entries allows nothing. */
export function denoFlags({ net, read, write }: Permissions): string[] {
  const flag = (name: string, values: readonly string[]) =>
    values.length === 0 ? [] : [`--allow-${name}=${values.map(escapeComma).join(",")}`];
  return [
    "--no-prompt",
    ...flag("net", net),
    ...flag("read", read),
    ...flag("write", write),
    // Client libraries list the whole environment when they are imported, which names one by one
    // would refuse: the environment itself is cut down to the job's names instead.
    "--allow-env",
  ];
}

function unique(values: readonly string[]): string[] {
  return [...new Set(values)].sort();
}

/** A comma parts values, two stand for one in a path. */
function escapeComma(value: string): string {
  return value.replaceAll(",", ",,");
}
