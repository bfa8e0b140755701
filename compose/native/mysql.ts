/** MySQL from Debian unstable: unpacked, initialised and started with what captures need. */

import { dirname, join } from "node:path";
import mysql from "mysql2/promise";
import { type Note, runInside, type Unpacked, unpackPackages } from "./packages.ts";
import { exists } from "./paths.ts";
import { runOrFail, type ServerProcess, startDetached } from "./processes.ts";
import { type Certificates, copyPems } from "./secured.ts";
import { type Accounts, DATABASE, type DatabaseInfo } from "./state.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

const ADDRESS = "127.0.0.1";
/** The port that jobs expect when a stack has no offset. */
export const MYSQL_PORT = 3306;

/** MySQL as unpacked in the cache; downloads it when it is not there. */
export async function mysqlSoftware(note: Note): Promise<Unpacked> {
  const choose = () => ["mysql-server-core", "mysql-client-core"];
  return await unpackPackages({ name: "mysql", suite: "unstable", choose }, note);
}

/** Version of the unpacked server, as Debian writes it. */
export function mysqlVersion(software: Unpacked): string {
  return software.versions["mysql-server-core"] ?? "unknown";
}

/** Starts the server on `port`; makes its data in `folder` and the accounts first when missing. */
export async function startMysql(
  software: Unpacked,
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
  const { folder, log, port, accounts, certificates, note } = options;
  await makePrivateFolder(folder);
  const data = join(folder, "data");
  const server = [
    ...await asServerUser([software.root, dirname(folder)]),
    ...runInside(software, "usr/sbin/mysqld", ["usr/lib/mysql/private"]),
    ...serverArguments(software, data),
    ...certificates === undefined ? [] : await tlsArguments(folder, certificates),
  ];
  const accountsFile = join(folder, "accounts.sql");
  if (!await exists(data)) {
    note("making the data folder");
    await initialise(server, data, log);
    await Deno.writeTextFile(accountsFile, accountStatements(accounts), { mode: 0o600 });
    await giveToServerUser(accountsFile);
  }
  note("starting");
  // The accounts are made by the server itself before it listens: so no account is ever without
  // a password on an open port.
  const first = await exists(accountsFile) ? [`--init-file=${accountsFile}`] : [];
  return await startDetached([...server, `--port=${port}`, ...first], { log, cwd: folder });
}

/** A half-made data folder would be taken for a whole one, so it gets its name when it is whole. */
async function initialise(server: string[], data: string, log: string): Promise<void> {
  const making = `${data}.new`;
  if (await exists(making)) await Deno.remove(making, { recursive: true });
  const [command = "", ...args] = server;
  const output = await runOrFail("Initialising MySQL", command, [
    ...args.filter((argument) => !argument.startsWith("--datadir=")),
    `--datadir=${making}`,
    "--initialize-insecure",
  ]);
  await Deno.writeTextFile(log, output, { append: true });
  await Deno.rename(making, data);
}

function serverArguments(software: Unpacked, data: string): string[] {
  return [
    "--no-defaults",
    `--basedir=${join(software.root, "usr")}`,
    `--datadir=${data}`,
    `--lc-messages-dir=${join(software.root, "usr/share/mysql")}`,
    `--character-sets-dir=${join(software.root, "usr/share/mysql/charsets")}`,
    `--plugin-dir=${join(software.root, "usr/lib/mysql/plugin")}`,
    `--bind-address=${ADDRESS}`,
    "--skip-name-resolve",
    // Relative to the data folder: a socket's whole path may have 107 bytes only.
    "--socket=mysql.sock",
    "--pid-file=mysql.pid",
    "--secure-file-priv=NULL",
    "--mysqlx=OFF",
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    // A test's data are small; the rest of the memory belongs to the workers.
    "--innodb-buffer-pool-size=256M",
    "--innodb-redo-log-capacity=256M",
  ];
}

async function tlsArguments(folder: string, certificates: Certificates): Promise<string[]> {
  const { ca, own } = await copyPems(folder, certificates, "database");
  await giveToServerUser(folder);
  return [
    "--require-secure-transport=ON",
    `--ssl-ca=${ca}`,
    `--ssl-cert=${own}`,
    `--ssl-key=${own}`,
  ];
}

/**
 * Statements that make the database and its accounts, one a line.
 * Each statement may run twice, should the first start be cut short.
 * `writer` may do with the tables of the database what their owner may do on PostgreSQL.
 */
export function accountStatements(accounts: Accounts): string {
  const name = (user: string) => `'${user}'@'${ADDRESS}'`;
  const { admin, replicator, writer } = accounts;
  const create = [admin, replicator, writer].map(({ user, password }) =>
    `CREATE USER IF NOT EXISTS ${name(user)} IDENTIFIED BY '${password}'`
  );
  const writes = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX";
  return [
    // The server's own log of changes begins with the data, not with these accounts.
    "SET SESSION sql_log_bin = 0",
    `CREATE DATABASE IF NOT EXISTS ${DATABASE}`,
    ...create,
    `GRANT ALL ON *.* TO ${name(admin.user)} WITH GRANT OPTION`,
    `GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO ${name(replicator.user)}`,
    `GRANT SELECT ON ${DATABASE}.* TO ${name(replicator.user)}`,
    `GRANT ${writes} ON ${DATABASE}.* TO ${name(writer.user)}`,
    "DROP USER IF EXISTS 'root'@'localhost'",
  ].map((statement) => `${statement};\n`).join("");
}

/** Asks the server a question as each of its users; throws when it does not answer. */
export async function probeMysql(info: DatabaseInfo): Promise<void> {
  for (const { user, password } of Object.values(info.users)) {
    const connection = await mysql.createConnection({
      host: info.host,
      port: info.port,
      database: info.database,
      user,
      password,
      connectTimeout: 5_000,
      ...info.ca === undefined ? {} : { ssl: { ca: Deno.readTextFileSync(info.ca) } },
    });
    try {
      await connection.query("SELECT 1");
    } finally {
      connection.destroy();
    }
  }
}

/** Takes away what is needed once only: the file with the accounts' passwords. */
export async function finishMysql(folder: string): Promise<void> {
  const accountsFile = join(folder, "accounts.sql");
  if (await exists(accountsFile)) await Deno.remove(accountsFile);
}
