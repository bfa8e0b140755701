/** What MySQL and MariaDB have in common as servers of this machine: settings, accounts, start. */

import { dirname, join } from "node:path";
import { type Note, runInside, type Unpacked } from "./packages.ts";
import { exists } from "./paths.ts";
import { type ServerProcess, startDetached } from "./processes.ts";
import { type Certificates, copyPems } from "./secured.ts";
import { type Accounts, DATABASE } from "./state.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

const ADDRESS = "127.0.0.1";
/** Folder of messages and character sets in the unpacked packages. */
export const SHARE = "usr/share/mysql";

/** What one server is started with. */
export interface MysqlStart {
  /** The server's own. */
  readonly folder: string;
  readonly log: string;
  readonly port: number;
  readonly accounts: Accounts;
  /** Demand TLS. */
  readonly certificates?: Certificates | undefined;
  readonly note: Note;
}

/** In what a product differs. */
export interface MysqlProduct {
  /** Path of the server in the unpacked packages, and of libraries that are nowhere else. */
  readonly program: string;
  readonly libraries?: string[];
  /** Settings beside the common ones. */
  readonly settings: readonly string[];
  /** Makes an empty data folder with `server`, a command line; answers what was said. */
  readonly initialise: (server: string[], data: string, software: Unpacked) => Promise<string>;
}

/** Starts the server; makes its data in `folder` and the accounts first when missing. */
export async function startServer(
  product: MysqlProduct,
  software: Unpacked,
  { folder, log, port, accounts, certificates, note }: MysqlStart,
): Promise<ServerProcess> {
  await makePrivateFolder(folder);
  const temporary = join(folder, "tmp");
  await makePrivateFolder(temporary);
  const data = join(folder, "data");
  const server = [
    ...await asServerUser([software.root, dirname(folder)]),
    ...runInside(software, product.program, product.libraries),
    ...commonSettings(software),
    ...product.settings,
    // A server that starts deletes all temporary tables in this folder, another's as well.
    `--tmpdir=${temporary}`,
    ...certificates === undefined ? [] : await tlsSettings(folder, certificates),
  ];
  const accountsFile = join(folder, "accounts.sql");
  if (!await exists(data)) {
    note("making the data folder");
    // A half-made data folder would be taken for a whole one, so it gets its name when it is whole.
    const making = `${data}.new`;
    if (await exists(making)) await Deno.remove(making, { recursive: true });
    await makePrivateFolder(making);
    await Deno.writeTextFile(log, await product.initialise(server, making, software), {
      append: true,
    });
    await Deno.rename(making, data);
    await Deno.writeTextFile(accountsFile, accountStatements(accounts), { mode: 0o600 });
    await giveToServerUser(accountsFile);
  }
  note("starting");
  // The accounts are made by the server itself before it listens: so no account is ever without
  // a password on an open port.
  const first = await exists(accountsFile) ? [`--init-file=${accountsFile}`] : [];
  const own = [`--datadir=${data}`, `--port=${port}`, ...first];
  return await startDetached([...server, ...own], { log, cwd: folder });
}

function commonSettings(software: Unpacked): string[] {
  const shared = join(software.root, SHARE);
  return [
    "--no-defaults",
    `--basedir=${join(software.root, "usr")}`,
    `--lc-messages-dir=${shared}`,
    `--character-sets-dir=${join(shared, "charsets")}`,
    `--plugin-dir=${join(software.root, "usr/lib/mysql/plugin")}`,
    `--bind-address=${ADDRESS}`,
    "--skip-name-resolve",
    // Relative to the data folder: a socket's whole path may have 107 bytes only.
    "--socket=server.sock",
    "--pid-file=server.pid",
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-row-image=FULL",
    "--binlog-row-metadata=FULL",
  ];
}

async function tlsSettings(folder: string, certificates: Certificates): Promise<string[]> {
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

/** Takes away what is needed once only: the file with the accounts' passwords. */
export async function finishServer(folder: string): Promise<void> {
  const accountsFile = join(folder, "accounts.sql");
  if (await exists(accountsFile)) await Deno.remove(accountsFile);
}
