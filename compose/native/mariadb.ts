/** MariaDB of the machine's own Debian release: unpacked, initialised and started with what captures need. */

import { dirname, join } from "node:path";
import { accountStatements } from "./mysql.ts";
import { type Note, runInside, type Unpacked, unpackPackages } from "./packages.ts";
import { exists } from "./paths.ts";
import { runOrFail, type ServerProcess, startDetached } from "./processes.ts";
import type { Accounts } from "./state.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

const ADDRESS = "127.0.0.1";
/** Beside the stack's MySQL. */
export const MARIADB_PORT = 3307;

/** MariaDB as unpacked in the cache; downloads it when it is not there. */
export async function mariadbSoftware(note: Note): Promise<Unpacked> {
  const choose = () => ["mariadb-server-core"];
  return await unpackPackages({ name: "mariadb", suite: "machine", choose }, note);
}

/** Starts the server on `port`; makes its data in `folder` and the accounts first when missing. */
export async function startMariadb(
  software: Unpacked,
  options: {
    folder: string;
    log: string;
    port: number;
    accounts: Accounts;
    note: Note;
  },
): Promise<ServerProcess> {
  const { folder, log, port, accounts, note } = options;
  await makePrivateFolder(folder);
  const data = join(folder, "data");
  const temporary = join(folder, "tmp");
  await makePrivateFolder(temporary);
  const server = [
    ...await asServerUser([software.root, dirname(folder)]),
    ...runInside(software, "usr/sbin/mariadbd"),
    ...serverArguments(software),
    // A server that starts deletes all temporary tables in this folder, another's as well.
    `--tmpdir=${temporary}`,
  ];
  const accountsFile = join(folder, "accounts.sql");
  if (!await exists(data)) {
    note("making the data folder");
    await initialise(software, server, data, log);
    await Deno.writeTextFile(accountsFile, accountStatements(accounts), { mode: 0o600 });
    await giveToServerUser(accountsFile);
  }
  note("starting");
  // As with MySQL: made before the server listens, so that no account is ever without a password.
  const first = await exists(accountsFile) ? [`--init-file=${accountsFile}`] : [];
  const own = [`--datadir=${data}`, `--port=${port}`, ...LOGGING, ...first];
  return await startDetached([...server, ...own], { log, cwd: folder });
}

/** A half-made data folder would be taken for a whole one, so it gets its name when it is whole. */
async function initialise(
  software: Unpacked,
  server: string[],
  data: string,
  log: string,
): Promise<void> {
  const making = `${data}.new`;
  if (await exists(making)) await Deno.remove(making, { recursive: true });
  await makePrivateFolder(making);
  // What mariadb-install-db does, without the accounts that it makes.
  const tables = join(software.root, "usr/share/mysql/mysql_system_tables.sql");
  const script =
    `f="$1"; shift; { echo "create database mysql;"; echo "use mysql;"; cat "$f"; } | "$@"`;
  const bootstrap = [...server, `--datadir=${making}`, "--bootstrap"];
  const output = await runOrFail("Initialising MariaDB", "/bin/sh", [
    ...["-c", script, "sh", tables],
    ...bootstrap,
  ]);
  await Deno.writeTextFile(log, output, { append: true });
  await Deno.rename(making, data);
}

/** The log is written in rows that name their columns; both differ from MariaDB's defaults. */
const LOGGING = [
  "--server-id=1",
  "--log-bin=binlog",
  "--binlog-format=ROW",
  "--binlog-row-image=FULL",
  "--binlog-row-metadata=FULL",
];

function serverArguments(software: Unpacked): string[] {
  const share = join(software.root, "usr/share/mysql");
  return [
    "--no-defaults",
    `--basedir=${join(software.root, "usr")}`,
    `--lc-messages-dir=${share}`,
    `--character-sets-dir=${join(share, "charsets")}`,
    `--plugin-dir=${join(software.root, "usr/lib/mysql/plugin")}`,
    `--bind-address=${ADDRESS}`,
    "--skip-name-resolve",
    // Relative to the data folder: a socket's whole path may have 107 bytes only.
    "--socket=mariadb.sock",
    "--pid-file=mariadb.pid",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
  ];
}
