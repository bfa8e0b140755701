/** MySQL from Debian unstable: unpacked, initialised and started with what captures need. */

import mysql from "mysql2/promise";
import { type MysqlProduct, type MysqlStart, startServer } from "./mysql_server.ts";
import { type Note, type Unpacked, unpackPackages } from "./packages.ts";
import { runOrFail, type ServerProcess } from "./processes.ts";
import type { DatabaseInfo } from "./state.ts";

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

/** Starts the server; makes its data and the accounts first when missing. */
export function startMysql(software: Unpacked, start: MysqlStart): Promise<ServerProcess> {
  return startServer(MYSQL, software, start);
}

const MYSQL: MysqlProduct = {
  program: "usr/sbin/mysqld",
  libraries: ["usr/lib/mysql/private"],
  settings: [
    "--secure-file-priv=NULL",
    "--mysqlx=OFF",
    "--gtid-mode=ON",
    "--enforce-gtid-consistency=ON",
    // A test's data are small; the rest of the memory belongs to the workers.
    "--innodb-buffer-pool-size=256M",
    "--innodb-redo-log-capacity=256M",
  ],
  initialise([command = "", ...args], data) {
    const own = [`--datadir=${data}`, "--initialize-insecure"];
    return runOrFail("Initialising MySQL", command, [...args, ...own]);
  },
};

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
