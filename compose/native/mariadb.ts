/** MariaDB of the machine's own Debian release: unpacked, initialised and started with what captures need. */

import { join } from "node:path";
import { type MysqlProduct, type MysqlStart, SHARE, startServer } from "./mysql_server.ts";
import { type Note, type Unpacked, unpackPackages } from "./packages.ts";
import { runOrFail, type ServerProcess } from "./processes.ts";

/** Beside MySQL. */
export const MARIADB_PORT = 3307;

/** MariaDB as unpacked in the cache; downloads it when it is not there. */
export async function mariadbSoftware(note: Note): Promise<Unpacked> {
  const choose = () => ["mariadb-server-core"];
  return await unpackPackages({ name: "mariadb", suite: "machine", choose }, note);
}

/** Version of the unpacked server, as Debian writes it. */
export function mariadbVersion(software: Unpacked): string {
  return software.versions["mariadb-server-core"] ?? "unknown";
}

/** Starts the server; makes its data and the accounts first when missing. */
export function startMariadb(software: Unpacked, start: MysqlStart): Promise<ServerProcess> {
  return startServer(MARIADB, software, start);
}

const MARIADB: MysqlProduct = {
  program: "usr/sbin/mariadbd",
  settings: [
    "--binlog-format=ROW", // not the default, as the next
    "--character-set-server=utf8mb4",
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=64M",
  ],
  /** What mariadb-install-db does, without the accounts that it makes. */
  initialise(server, data, software) {
    const tables = join(software.root, SHARE, "mysql_system_tables.sql");
    const script =
      `f="$1"; shift; { echo "create database mysql;"; echo "use mysql;"; cat "$f"; } | "$@"`;
    const bootstrap = [...server, `--datadir=${data}`, "--bootstrap"];
    return runOrFail("Initialising MariaDB", "/bin/sh", ["-c", script, "sh", tables, ...bootstrap]);
  },
};
