/** PostgreSQL from Debian packages, with wal2json: unpacked, initialised and started. */

import { dirname, join } from "node:path";
import pg from "pg";
import { ConfigError } from "../../shared/errors.ts";
import { type Note, type PackageSet, type Unpacked, unpackPackages } from "./packages.ts";
import { exists } from "./paths.ts";
import { run, runOrFail, type ServerProcess, startDetached } from "./processes.ts";
import { type Certificates, copyPems } from "./secured.ts";
import { type Accounts, DATABASE, type DatabaseInfo } from "./state.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

const ADDRESS = "127.0.0.1";
/** The port that jobs expect when a stack has no offset. */
export const POSTGRES_PORT = 5432;

export interface PostgresSoftware {
  tree: Unpacked;
  /** Major version, such as 15. */
  major: number;
  /** Folder with `postgres` and `initdb`, each a script that runs the program with the tree's loader. */
  bin: string;
}

/**
 * PostgreSQL as unpacked in the cache; downloads it when it is not there. `major`: that version, from
 * Debian unstable; left out: the newest of the machine's own release.
 */
export async function postgresSoftware(note: Note, major?: number): Promise<PostgresSoftware> {
  const tree = await unpackPackages(major === undefined ? NEWEST : ofMajor(major), note);
  const found = Math.max(...Object.keys(tree.versions).map(majorWithWal2json));
  return { tree, major: found, bin: await wrapPrograms(tree, found) };
}

const NEWEST: PackageSet = {
  name: "postgresql",
  suite: "machine",
  choose: (names) => packagesOf(Math.max(...names.map(majorWithWal2json))),
};

function ofMajor(major: number): PackageSet {
  return {
    name: `postgresql-${major}`,
    suite: "unstable",
    choose(names) {
      const packages = packagesOf(major);
      if (packages.every((name) => names.includes(name))) return packages;
      const there = names.map(majorWithWal2json).filter((major) => major > 0);
      throw new ConfigError(`Debian unstable has no PostgreSQL ${major} with wal2json.`, {
        cure: `take a version that it has: ${there.join(", ") || "none at present"}`,
      });
    },
  };
}

function packagesOf(major: number): string[] {
  return [`postgresql-${major}`, `postgresql-${major}-wal2json`];
}

function majorWithWal2json(name: string): number {
  return Number(/^postgresql-(\d+)-wal2json$/.exec(name)?.[1] ?? 0);
}

/** Version of the unpacked server, as Debian writes it. */
export function postgresVersion({ tree, major }: PostgresSoftware): string {
  return tree.versions[`postgresql-${major}`] ?? "unknown";
}

/**
 * initdb starts `postgres` from its own folder, and both find their files relative to it: so each
 * program moves aside for a script of its name, which runs it with the tree's loader.
 */
async function wrapPrograms(tree: Unpacked, major: number): Promise<string> {
  const bin = join(tree.root, `usr/lib/postgresql/${major}/bin`);
  for (const program of ["postgres", "initdb"]) {
    const path = join(bin, program);
    if (await exists(`${path}.elf`)) continue;
    const libraries = tree.libraries.map((folder) => `'${folder}'`).join(":");
    const script =
      `#!/bin/sh\nexec '${tree.loader}' --argv0 '${path}' --library-path ${libraries} ` +
      `'${path}.elf' "$@"\n`;
    await Deno.writeTextFile(`${path}.script`, script, { mode: 0o755 });
    await Deno.rename(path, `${path}.elf`);
    await Deno.rename(`${path}.script`, path);
  }
  return bin;
}

/** Starts the server on `port` with its data in `folder`; makes the data first when missing. */
export async function startPostgres(
  software: PostgresSoftware,
  options: {
    folder: string;
    log: string;
    port: number;
    accounts: Accounts;
    /** Demand TLS. */
    certificates?: Certificates | undefined;
    note: Note;
  },
): Promise<ServerProcess> {
  const { folder, log, port, note } = options;
  await makePrivateFolder(folder);
  const data = join(folder, "data");
  const prefix = await asServerUser([software.tree.root, dirname(folder)]);
  if (!await exists(data)) {
    note("making the data folder");
    await initialise(software, prefix, folder, options);
  }
  note("starting");
  const server = [...prefix, join(software.bin, "postgres"), "-D", data, "-p", String(port)];
  return await startDetached(server, { log, cwd: folder });
}

/** A half-made data folder would be taken for a whole one, so it gets its name when it is whole. */
async function initialise(
  software: PostgresSoftware,
  prefix: string[],
  folder: string,
  { accounts, certificates }: { accounts: Accounts; certificates?: Certificates | undefined },
): Promise<void> {
  const making = join(folder, "data.new");
  if (await exists(making)) await Deno.remove(making, { recursive: true });
  const passwordFile = join(folder, "password");
  await Deno.writeTextFile(passwordFile, accounts.admin.password, { mode: 0o600 });
  await giveToServerUser(passwordFile);
  const [command = "", ...args] = [
    ...prefix,
    join(software.bin, "initdb"),
    `--pgdata=${making}`,
    `--username=${accounts.admin.user}`,
    `--pwfile=${passwordFile}`,
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C.UTF-8",
    // The folder gets its name only after this, and the disk's own order is enough for a stack.
    "--no-sync",
  ];
  await runOrFail("Initialising PostgreSQL", command, args, { cwd: folder });
  await Deno.remove(passwordFile);
  const settings = await serverSettings(software, prefix);
  if (certificates !== undefined) {
    const { own } = await copyPems(folder, certificates, "database");
    Object.assign(settings, { ssl: "on", ssl_cert_file: own, ssl_key_file: own });
    await Deno.writeTextFile(join(making, "pg_hba.conf"), ONLY_TLS);
    await giveToServerUser(folder);
  }
  const lines = Object.entries(settings).map(([name, value]) => `${name} = '${value}'\n`);
  const text = `\n# list-sync's stack\n${lines.join("")}`;
  await Deno.writeTextFile(join(making, "postgresql.conf"), text, { append: true });
  await Deno.rename(making, join(folder, "data"));
}

/** Every connection by TCP must be encrypted and prove its password; the socket is the server user's. */
const ONLY_TLS = `local all all scram-sha-256
hostssl all all 127.0.0.1/32 scram-sha-256
hostssl replication all 127.0.0.1/32 scram-sha-256
`;

async function serverSettings(
  software: PostgresSoftware,
  prefix: string[],
): Promise<Record<string, string>> {
  const settings: Record<string, string> = {
    listen_addresses: ADDRESS,
    // Relative to the data folder: a socket's whole path may have 107 bytes only.
    unix_socket_directories: ".",
    wal_level: "logical",
    max_replication_slots: "50",
    max_wal_senders: "50",
    max_connections: "200",
    shared_buffers: "256MB",
    max_wal_size: "2GB",
    timezone: "UTC",
    log_timezone: "UTC",
    log_line_prefix: "%m [%p] %q%u@%d ",
  };
  if (await knowsPluginList(software, prefix)) {
    settings["output_plugin_libraries"] = "wal2json,pgoutput";
  }
  return settings;
}

/** Minor releases since 2026 start only the output plugins of a list; older ones refuse the setting. */
async function knowsPluginList(software: PostgresSoftware, prefix: string[]): Promise<boolean> {
  const [command = "", ...args] = [...prefix, join(software.bin, "postgres"), "--describe-config"];
  return /^output_plugin_libraries\t/m.test((await run(command, args, { cwd: "/" })).output);
}

/**
 * Makes the database and the accounts, once. `writer` owns the database and so its tables;
 * `replicator` may connect, replicate and read, and writes nothing. A publication is made by the
 * owner of its tables: that is `writer`.
 */
export async function preparePostgres(info: DatabaseInfo): Promise<void> {
  const { admin, replicator, writer } = info.users;
  await asAdmin(info, "postgres", async (client) => {
    const found = await client.query("SELECT 1 FROM pg_database WHERE datname = $1", [
      info.database,
    ]);
    if (found.rowCount !== 0) return;
    const statements = [
      `CREATE ROLE ${writer.user} LOGIN PASSWORD '${writer.password}'`,
      `CREATE ROLE ${replicator.user} LOGIN REPLICATION PASSWORD '${replicator.password}'`,
      "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC",
      // Rights of new tables come before the database has its name: so they hold from the first.
      `CREATE DATABASE preparing OWNER ${writer.user}`,
      "REVOKE CONNECT, TEMPORARY ON DATABASE preparing FROM PUBLIC",
      `GRANT CONNECT ON DATABASE preparing TO ${replicator.user}`,
    ];
    for (const statement of statements) await client.query(statement);
    await asAdmin(info, "preparing", async (preparing) => {
      for (const owner of [writer.user, admin.user]) {
        await preparing.query(
          `ALTER DEFAULT PRIVILEGES FOR ROLE ${owner} IN SCHEMA public ` +
            `GRANT SELECT ON TABLES TO ${replicator.user}`,
        );
      }
    });
    await client.query(`ALTER DATABASE preparing RENAME TO ${DATABASE}`);
  });
}

async function asAdmin(
  info: DatabaseInfo,
  database: string,
  use: (client: pg.Client) => Promise<void>,
): Promise<void> {
  await connected({ ...info, database }, info.users.admin, use);
}

async function connected(
  { host, port, database, ca }: Omit<DatabaseInfo, "users">,
  { user, password }: { user: string; password: string },
  use: (client: pg.Client) => Promise<void>,
): Promise<void> {
  const client = new pg.Client({
    host,
    port,
    database,
    user,
    password,
    ...ca === undefined ? {} : { ssl: { ca: Deno.readTextFileSync(ca) } },
    connectionTimeoutMillis: 5_000,
  });
  // The server's own end is told by the query that fails; without a listener it would end us.
  client.on("error", () => {});
  await client.connect();
  try {
    await use(client);
  } finally {
    await client.end();
  }
}

/** Throws unless the server answers a query of its admin: it may still be starting. */
export async function probePostgresServer(info: DatabaseInfo): Promise<void> {
  await asAdmin(info, "postgres", async (client) => void await client.query("SELECT 1"));
}

/** Asks the server a question as each of its users; throws when it does not answer. */
export async function probePostgres(info: DatabaseInfo): Promise<void> {
  for (const account of Object.values(info.users)) {
    await connected(info, account, async (client) => void await client.query("SELECT 1"));
  }
}
