/** A MariaDB server of the test's own: no stack has one. */
import { MARIADB_PORT, mariadbSoftware, startMariadb } from "../compose/native/mariadb.ts";
import { type OwnMysql, withServer } from "./own_mysql.ts";

/** A fresh server for `body`, ended and wiped afterwards. */
export async function withOwnMariadb(body: (server: OwnMysql) => Promise<void>): Promise<void> {
  const software = await mariadbSoftware(() => {});
  await withServer("mariadb", MARIADB_PORT, (options) => startMariadb(software, options), body);
}
