/** What differs between MySQL and MariaDB as sources: the log and the protocol are one for the most part. */
import type { Finding, ResumePoint } from "../source.ts";
import type { MysqlSession } from "./connection.ts";
import type { Resume } from "./history.ts";
import type { CaptureIdentity } from "./identity.ts";
import type { LogEnd, ServerFacts } from "./server.ts";

/** Transactions that have been read: a set of GTIDs, or the last one of each domain. */
export interface Gtids {
  readonly empty: boolean;
  copy(): Gtids;
  /** The GTID of transaction `number` of a source. */
  name(source: string, number: number): string;
  add(source: string, number: number): Gtids;
  union(other: Gtids): Gtids;
  /** Whether everything in `other` has been read. */
  contains(other: Gtids): boolean;
  /** What is here and not in `other`. */
  without(other: Gtids): Gtids;
  /** The server's own text form; equal ones have equal text. */
  toString(): string;
}

/** A question to a connection; answers its rows. */
export type Ask = (sql: string) => Promise<readonly (readonly unknown[])[]>;

/** How a server tells the place in the log that a consistent snapshot sees. */
export interface SnapshotPlace {
  /** What the open transaction of a connection sees, as `file:offset`. Connections are asked in turn. */
  readonly seen: (ask: Ask) => Promise<string>;
  /** That place with the transactions before it. */
  readonly endAt: (session: MysqlSession, place: string) => Promise<LogEnd>;
}

/** Asks one setting; answers what was found. */
export type SettingCheck = (value: string, facts: ServerFacts) => Finding;

/** One of the two servers. */
export interface Flavour {
  readonly connector: "mysql" | "mariadb";
  readonly product: "MySQL" | "MariaDB";
  /** The oldest version whose log tells enough. */
  readonly first_version: readonly [major: number, minor: number];
  /** What stands in a resume point for the server itself, and is the variable of that name. */
  readonly server_key: "server_uuid" | "server_id";
  /** What of the version's text is this server's alone. */
  readonly is: (version: string) => boolean;
  /** Whether transactions have GTIDs. */
  readonly hasGtids: (variables: ReadonlyMap<string, string>) => boolean;
  readonly parseGtids: (text: string) => Gtids;
  readonly logEnd: (session: MysqlSession, version: string) => Promise<LogEnd | undefined>;
  /** Whether a dump begins after a set of GTIDs where there are any, instead of at a place. */
  readonly starts_by_gtids: boolean;
  /** Throws HistoryLostError unless the server's GTIDs go on from the stored ones. */
  readonly checkGtids: (session: MysqlSession, end: LogEnd, resume: Resume) => Promise<void>;
  /** Statements before a dump. */
  readonly dumpSettings: (identity: CaptureIdentity, heartbeat_ns: number) => readonly string[];
  /** Flags of the request for a dump. */
  readonly dump_flags: number;
  /** Whether a transaction that begins now sees everything up to `resume`. */
  readonly sees: (session: MysqlSession, resume: ResumePoint) => Promise<boolean>;
  /** How the place in the log is told that the open transaction of a connection sees, if it is. */
  readonly snapshot_place: SnapshotPlace | undefined;
  /** Privileges on `*.*` that a capture needs. */
  readonly privileges: readonly string[];
  readonly settings: Readonly<Record<string, SettingCheck>>;
  /** Whether the log has what foreign keys change in other tables. */
  readonly logsCascades: (version: string) => boolean;
}
