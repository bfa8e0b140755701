/** PostgreSQL servers of the test's own: their logs and their settings may be changed. */
import { join } from "node:path";
import { freePortOffset } from "../compose/native/ports.ts";
import {
  POSTGRES_PORT,
  type PostgresSoftware,
  postgresSoftware,
  preparePostgres,
  probePostgresServer,
  startPostgres,
} from "../compose/native/postgres.ts";
import { runOrFail, type ServerProcess, stop } from "../compose/native/processes.ts";
import { type DatabaseInfo, newDatabase } from "../compose/native/state.ts";
import { DEADLINE_MS, until } from "./until.ts";

/** A server that can be stopped, started and copied. */
export class OwnPostgres implements AsyncDisposable {
  readonly info: DatabaseInfo;
  readonly #software: PostgresSoftware;
  readonly #dir: string;
  #process: ServerProcess | undefined;

  private constructor(software: PostgresSoftware, dir: string, info: DatabaseInfo) {
    this.#software = software;
    this.#dir = dir;
    this.info = info;
  }

  /** A fresh server. `major`: its version; left out: the stack's. */
  static async start(major?: number): Promise<OwnPostgres> {
    const software = await postgresSoftware(() => {}, major);
    const info = newDatabase(POSTGRES_PORT + freePortOffset([POSTGRES_PORT]));
    const server = new OwnPostgres(software, await newFolder(), info);
    await server.start();
    await preparePostgres(info);
    return server;
  }

  async start(): Promise<void> {
    const log = join(this.#dir, "postgres.log");
    this.#process = await startPostgres(this.#software, {
      folder: join(this.#dir, "postgres"),
      log,
      port: this.info.port,
      accounts: this.info.users,
      note: () => {},
    });
    const answers = () => probePostgresServer(this.info).then(() => true, () => false);
    await until(`the server of ${log} answers`, answers);
  }

  /** `SIGINT`: in order, to its end. `SIGQUIT`: as a crash. */
  async stop(signal: "SIGINT" | "SIGQUIT"): Promise<void> {
    await stop(this.#process!, signal, DEADLINE_MS);
  }

  /**
   * A standby made of the stopped server's files, replication slots included, as from a backup.
   * `follows`: it streams from the server when that is up again, through a physical slot if one is named.
   */
  async standby(follows: boolean, slot?: string): Promise<OwnPostgres> {
    const { host, port, users: { admin } } = this.info;
    const info = { ...this.info, port: POSTGRES_PORT + freePortOffset([POSTGRES_PORT]) };
    const copy = new OwnPostgres(this.#software, await newFolder(), info);
    const data = join(copy.#dir, "postgres/data");
    await runOrFail("Copying a server", "cp", ["-a", join(this.#dir, "postgres"), copy.#dir]);
    await Deno.writeTextFile(join(data, "standby.signal"), "");
    const { password, user } = admin;
    const source =
      `host=${host} port=${port} user=${user} password=${password} dbname=${info.database}`;
    const settings = follows
      ? [`primary_conninfo = '${source}'`, "wal_retrieve_retry_interval = 100ms"]
      : [];
    if (slot !== undefined) {
      settings.push(`primary_slot_name = '${slot}'`, "hot_standby_feedback = on");
    }
    const text = settings.map((setting) => `${setting}\n`).join("");
    await Deno.writeTextFile(join(data, "postgresql.auto.conf"), text, { append: true });
    await copy.start();
    return copy;
  }

  /** Ended and wiped. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process !== undefined) await this.stop("SIGQUIT");
    await Deno.remove(this.#dir, { recursive: true });
  }
}

async function newFolder(): Promise<string> {
  const dir = await Deno.makeTempDir({ prefix: "list-sync-postgres-" });
  await Deno.chmod(dir, 0o755);
  return dir;
}

/** A fresh server for `body`, ended and wiped afterwards. `major`: its version; left out: the stack's. */
export async function withOwnPostgres(
  body: (info: DatabaseInfo) => Promise<void>,
  major?: number,
): Promise<void> {
  await using server = await OwnPostgres.start(major);
  await body(server.info);
}
