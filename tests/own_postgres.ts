/** A PostgreSQL server of the test's own: its log and its settings may be changed. */
import { join } from "node:path";
import { freePortOffset } from "../compose/native/ports.ts";
import {
  POSTGRES_PORT,
  postgresSoftware,
  preparePostgres,
  probePostgresServer,
  startPostgres,
} from "../compose/native/postgres.ts";
import { stop } from "../compose/native/processes.ts";
import { type DatabaseInfo, newDatabase } from "../compose/native/state.ts";
import { DEADLINE_MS, until } from "./until.ts";

/** A fresh server for `body`, ended and wiped afterwards. `major`: its version; left out: the stack's. */
export async function withOwnPostgres(
  body: (info: DatabaseInfo) => Promise<void>,
  major?: number,
): Promise<void> {
  const software = await postgresSoftware(() => {}, major);
  const dir = await Deno.makeTempDir({ prefix: "list-sync-postgres-" });
  await Deno.chmod(dir, 0o755);
  const info = newDatabase(POSTGRES_PORT + freePortOffset([POSTGRES_PORT]));
  const log = join(dir, "postgres.log");
  const process = await startPostgres(software, {
    ...{ folder: join(dir, "postgres"), log, port: info.port, accounts: info.users },
    note: () => {},
  });
  try {
    const answers = () => probePostgresServer(info).then(() => true, () => false);
    await until(`the server of ${log} answers`, answers);
    await preparePostgres(info);
    await body(info);
  } finally {
    await stop(process, "SIGQUIT", DEADLINE_MS);
    await Deno.remove(dir, { recursive: true });
  }
}
