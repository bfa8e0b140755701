/** What is known of a stack: addresses, accounts, versions and processes, in one file of mode 0600. */

import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { ConfigError } from "../../shared/errors.ts";
import { stackFolder } from "./paths.ts";
import type { ServerProcess } from "./processes.ts";

/** What a stack holds where nothing else is said. */
export const USUAL_PARTS = ["kafka", "pg", "mysql"] as const;
/** What a stack can hold. */
export const PARTS = [...USUAL_PARTS, "mariadb"] as const;
export type Part = (typeof PARTS)[number];
/** The parts that there are containers of. */
export type ContainerPart = (typeof USUAL_PARTS)[number];

export interface Account {
  user: string;
  password: string;
}

/**
 * The accounts of a database: `admin` may do everything, `replicator` reads what it captures,
 * `writer` owns and changes the tables.
 */
export interface Accounts {
  admin: Account;
  replicator: Account;
  writer: Account;
}

export interface DatabaseInfo {
  host: string;
  port: number;
  database: string;
  users: Accounts;
  /** Path of the authority's certificate; absent: the server speaks no TLS. */
  ca?: string;
}

/** Users of secured brokers: `admin` may do everything, the others what their role needs. */
export interface BrokerAccounts {
  admin: Account;
  capture: Account;
  consume: Account;
}

export interface KafkaInfo {
  brokers: string[];
  cluster_id: string;
  /** Path of the authority's certificate; absent: the brokers speak no TLS and know no users. */
  ca?: string;
  users?: BrokerAccounts;
}

export interface ServerInfo extends ServerProcess {
  /** Name that people see, such as `kafka-1`. */
  name: string;
  part: Part;
  ports: number[];
  log: string;
}

/** A stack as its state file says it. */
export interface StackInfo {
  name: string;
  /** `native`: processes of this machine; `docker`: containers. */
  engine: "native" | "docker";
  /** Folder with the data, the logs and this file. */
  dir: string;
  /** Added to every default port. */
  port_offset: number;
  versions: Record<string, string>;
  servers: ServerInfo[];
  /** The servers demand TLS and rights. */
  secure?: boolean;
  kafka?: KafkaInfo;
  pg?: DatabaseInfo;
  mysql?: DatabaseInfo;
  mariadb?: DatabaseInfo;
}

/** The database that the stack makes on both servers. */
export const DATABASE = "shop";

/** A random password: 18 bytes are 144 bits, and 24 characters safe in every file. */
function account(user: string): Account {
  return { user, password: randomBytes(18).toString("base64url") };
}

function newAccounts(): Accounts {
  return { admin: account("admin"), replicator: account("list_sync"), writer: account("writer") };
}

/** New users for secured brokers. */
export function newBrokerAccounts(): BrokerAccounts {
  return { admin: account("admin"), capture: account("capture"), consume: account("consume") };
}

/** The stack's database on a server of this machine, with new accounts; `ca` where it demands TLS. */
export function newDatabase(port: number, ca?: string): DatabaseInfo {
  const at = { host: "127.0.0.1", port, database: DATABASE, users: newAccounts() };
  return ca === undefined ? at : { ...at, ca };
}

/** Path of a stack's state file. */
export function statePath(name: string): string {
  return join(stackFolder(name), "stack.json");
}

/** Refuses names that cannot be one folder and one Docker project. */
export function checkName(name: string): void {
  if (/^[a-z0-9][a-z0-9_-]{0,40}$/.test(name)) return;
  throw new ConfigError(
    `Stack name ${
      JSON.stringify(name)
    }: allowed are lower-case letters, digits, - and _, at most 41.`,
    { cure: "choose a name such as `default` or `test-1`" },
  );
}

/** Reads a stack's state; undefined when there is no such stack. */
export async function readState(name: string): Promise<StackInfo | undefined> {
  checkName(name);
  try {
    return JSON.parse(await Deno.readTextFile(statePath(name))) as StackInfo;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Writes a stack's state whole: into a new file first, which then takes the old one's place. */
export async function writeState(info: StackInfo): Promise<void> {
  const path = statePath(info.name);
  await Deno.mkdir(info.dir, { recursive: true });
  await Deno.writeTextFile(`${path}.new`, `${JSON.stringify(info, null, 2)}\n`, { mode: 0o600 });
  await Deno.rename(`${path}.new`, path);
}
