/** A MySQL server of the test's own: its settings and its binlog may be changed. */
import { join } from "node:path";
import type { Connection } from "mysql2/promise";
import { MYSQL_PORT, mysqlSoftware, startMysql } from "../compose/native/mysql.ts";
import { finishServer, type MysqlStart } from "../compose/native/mysql_server.ts";
import { freePortOffset } from "../compose/native/ports.ts";
import { isAlive, type ServerProcess, stop, tailOf } from "../compose/native/processes.ts";
import { type DatabaseInfo, newDatabase } from "../compose/native/state.ts";
import { connectMysql } from "../shared/database/mysql.ts";
import { DEADLINE_MS } from "./until.ts";

/** A running server. */
export interface OwnMysql {
  readonly info: DatabaseInfo;
  run(sql: string): Promise<string[][]>;
  restart(signal?: "SIGTERM" | "SIGKILL"): Promise<void>;
}

/** A fresh server for `body`, ended and wiped afterwards. */
export async function withOwnMysql(body: (server: OwnMysql) => Promise<void>): Promise<void> {
  const software = await mysqlSoftware(() => {});
  await withServer("mysql", MYSQL_PORT, (options) => startMysql(software, options), body);
}

/** The same with any server that speaks MySQL's protocol; `port`: the one that it usually has. */
export async function withServer(
  name: string,
  port: number,
  startServer: (options: MysqlStart) => Promise<ServerProcess>,
  body: (server: OwnMysql) => Promise<void>,
): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: `list-sync-${name}-` });
  await Deno.chmod(dir, 0o755);
  const info = newDatabase(port + freePortOffset([port]));
  const folder = join(dir, name);
  const log = join(dir, `${name}.log`);
  const start = () =>
    startServer({ folder, log, port: info.port, accounts: info.users, note: () => {} });
  let process = await start();
  let connection: Connection | undefined;
  const connect = async () => {
    const deadline = Date.now() + DEADLINE_MS;
    for (;;) {
      try {
        return await connectMysql({
          kind: "mysql",
          host: info.host,
          port: info.port,
          database: info.database,
          ...info.users.admin,
          tls: false,
          connect_timeout_ms: 5_000,
        });
      } catch (error) {
        if (Date.now() > deadline) {
          throw new Error(`No answer; ${log} ends with:\n${await tailOf(log, 20)}`, {
            cause: error,
          });
        }
        await new Promise((resolve) => setTimeout(resolve, 100)); // asked again until it answers
      }
    }
  };
  try {
    connection = await connect();
    await finishServer(folder);
    await body({
      info,
      run: async (sql) => (await connection!.query(sql))[0] as unknown as string[][],
      async restart(signal = "SIGTERM") {
        connection!.destroy();
        await stop(process, signal, DEADLINE_MS);
        process = await start();
        connection = await connect();
      },
    });
  } finally {
    if (!isAlive(process)) console.error(`The server has ended:\n${await tailOf(log, 80)}`);
    connection?.destroy();
    await stop(process, "SIGKILL", DEADLINE_MS);
    await Deno.remove(dir, { recursive: true });
  }
}
