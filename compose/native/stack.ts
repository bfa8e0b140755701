/**
 * The stack: three Kafka brokers, PostgreSQL, MySQL and, where it is asked for, MariaDB on this machine,
 * started side by side.
 * Nothing here ends the process or prints; commands and tests call it alike.
 */

import { join } from "node:path";
import { ConfigError } from "../../shared/errors.ts";
import { dockerAnswers, dockerDown, dockerServers, dockerUp } from "./docker.ts";
import {
  type BrokerPorts,
  KAFKA_PORTS,
  KAFKA_VERSION,
  kafkaSoftware,
  newClusterId,
  probeKafka,
  startBroker,
} from "./kafka.ts";
import { removeStackLock, withStackLock } from "./lock.ts";
import { MARIADB_PORT, mariadbSoftware, mariadbVersion, startMariadb } from "./mariadb.ts";
import { MYSQL_PORT, mysqlSoftware, mysqlVersion, probeMysql, startMysql } from "./mysql.ts";
import { finishServer } from "./mysql_server.ts";
import {
  linkBrokers,
  listenerPorts,
  proxiedSettings,
  proxyApi,
  type Way,
  waysOf,
} from "./netem.ts";
import type { Note } from "./packages.ts";
import { exists, stackFolder } from "./paths.ts";
import { demandFree } from "./ports.ts";
import {
  POSTGRES_PORT,
  postgresSoftware,
  postgresVersion,
  preparePostgres,
  probePostgres,
  probePostgresServer,
  startPostgres,
} from "./postgres.ts";
import { isAlive, type ServerProcess, stop, tailOf } from "./processes.ts";
import { type Certificates, certificatesIn, grantRights } from "./secured.ts";
import {
  checkName,
  newBrokerAccounts,
  newDatabase,
  type Part,
  PARTS,
  readState,
  type ServerInfo,
  type StackInfo,
  USUAL_PARTS,
  writeState,
} from "./state.ts";

import {
  probeToxiproxy,
  startToxiproxy,
  TOXIPROXY_VERSION,
  toxiproxySoftware,
} from "./toxiproxy.ts";

export type { Part, ServerInfo, StackInfo };
export { PARTS, USUAL_PARTS };

/** What one part of the stack is doing. */
export interface StackProgress {
  part: ServerInfo["part"];
  phase: string;
  /** How much of `total` is done, where there is a count. */
  done?: number;
  total?: number;
}

export interface UpOptions {
  /** @default "default" */
  name?: string;
  /** Added to every default port. @default the stack's own, or 0 for a new one */
  port_offset?: number;
  /** @default those that the stack has, of a new one all but MariaDB */
  only?: Part[];
  /** Containers instead of processes. @default only where the native stack cannot run */
  docker?: boolean;
  /** Servers that demand TLS, logins and rights; a stack stays what it was made as. @default false */
  secure?: boolean;
  /** Proxies on the links; a stack stays what it was made as. @default false */
  netem?: boolean;
  /** Settings of the brokers that this call starts, beside the stack's own. @default none */
  brokers?: Readonly<Record<string, string>>;
  /** The brokers that this call starts are to run for longer than minutes. @default false */
  long_lived?: boolean;
  progress?: (event: StackProgress) => void;
}

export interface DownOptions {
  /** @default "default" */
  name?: string;
  /** Deletes the data as well. @default false */
  wipe?: boolean;
  /** With `wipe`: leaves the logs. @default false */
  keep_logs?: boolean;
}

export interface StackStatus {
  info: StackInfo;
  servers: (ServerInfo & { running: boolean })[];
}

/** Every port that a stack without an offset listens on. */
export const STACK_PORTS: readonly number[] = [
  ...KAFKA_PORTS.flatMap(({ broker, controller }) => [broker, controller]),
  POSTGRES_PORT,
  MYSQL_PORT,
  MARIADB_PORT,
];

/** The same for a stack with proxies on its links. */
export const NETEM_STACK_PORTS: readonly number[] = [
  ...STACK_PORTS,
  proxyApi(0),
  ...stackWays(0).flatMap(({ port, upstream }) => [port, upstream]),
];

const DEFAULT_NAME = "default";
/** A cold start of everything takes 10 s on two cores; a loaded machine may need several times that. */
const READY_PATIENCE_MS = 90_000;
const PROBE_INTERVAL_MS = 100;
/** Databases write their caches out; the last broker waits 5 s for a quorum that is no more. */
const STOP_PATIENCE_MS = {
  netem: 20_000,
  kafka: 20_000,
  pg: 30_000,
  mysql: 30_000,
  mariadb: 30_000,
};
/** PostgreSQL's SIGTERM waits for its clients to leave; SIGINT does not. */
const STOP_SIGNAL = {
  netem: "SIGTERM",
  kafka: "SIGTERM",
  pg: "SIGINT",
  mysql: "SIGTERM",
  mariadb: "SIGTERM",
} as const;
const LOG_LINES = 15;

/**
 * Brings the stack up and returns it when every server does real work. What runs already stays.
 * When a server does not come up, those that this call started are ended and the error holds the
 * last lines of the log. Throws ConfigError for what its caller can mend.
 */
export async function up(options: UpOptions = {}): Promise<StackInfo> {
  const name = options.name ?? DEFAULT_NAME;
  checkName(name);
  return await withStackLock(name, async () => {
    const info = await stateFor(name, options);
    const parts = options.only ?? PARTS.filter((part) => part !== "mariadb" || info.mariadb);
    if (info.engine === "docker") {
      const contained = parts.filter((part) => part !== "mariadb");
      if (contained.length < parts.length) {
        throw new ConfigError("There is no container of MariaDB.", { cure: "leave --docker out" });
      }
      await dockerUp(info, contained, options.progress ?? (() => {}));
      await writeState(info);
      return info;
    }
    const start = new Start(info, options);
    try {
      if (info.netem) await bringProxiesUp(start);
      await allSettled(parts.map((part) => BRING_UP[part](start)));
      return info;
    } catch (error) {
      await start.undo();
      throw error;
    }
  });
}

/** Waits for all; throws the first failure only then, so that nothing still runs after it. */
async function allSettled(works: Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(works);
  const failed = results.find((result) => result.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function stateFor(name: string, options: UpOptions): Promise<StackInfo> {
  const dir = stackFolder(name);
  const known = await readState(name);
  const offset = options.port_offset ?? known?.port_offset ?? 0;
  if (!Number.isInteger(offset) || offset < 0 || offset > 50_000) {
    throw new ConfigError(`port_offset is ${offset}; allowed are whole numbers from 0 to 50000.`);
  }
  if (known === undefined) {
    await refuseDataWithoutState(dir, name);
    const engine = await engineFor(options.docker);
    if (options.secure && engine === "docker") {
      throw new ConfigError("The containers know neither TLS nor rights.", {
        cure: "leave --docker out, or --secure",
      });
    }
    if (options.netem && (engine === "docker" || options.secure)) {
      throw new ConfigError("Proxies stand between native servers that demand no TLS.", {
        cure: "leave --docker and --secure out, or --netem",
      });
    }
    const made = {
      ...options.secure ? { secure: true } : {},
      ...options.netem ? { netem: true } : {},
    };
    return { name, engine, dir, port_offset: offset, ...made, versions: {}, servers: [] };
  }
  for (const kind of ["secure", "netem"] as const) {
    if (!options[kind] || known[kind]) continue;
    throw new ConfigError(`Stack ${name} was made without --${kind}.`, {
      cure: `choose another --name, or first: deno task stack down --wipe --name ${name}`,
    });
  }
  if (offset !== known.port_offset) await movePorts(known, offset);
  if (options.docker === true && known.engine !== "docker") {
    throw new ConfigError(`Stack ${name} runs natively, not in containers.`, {
      cure: "choose another --name",
    });
  }
  return { ...known, dir };
}

/** Gives a stack other ports; only one that does not run can change them. */
async function movePorts(info: StackInfo, offset: number): Promise<void> {
  const isRunning = info.engine === "docker"
    ? (await dockerServers(info)).some(({ running }) => running)
    : info.servers.some(isAlive);
  if (isRunning) {
    throw new ConfigError(
      `Stack ${info.name} runs with the port offset ${info.port_offset}, not ${offset}.`,
      { cure: "leave --port-offset out, choose another --name, or take the stack down first" },
    );
  }
  info.port_offset = offset;
  if (info.pg) info.pg.port = POSTGRES_PORT + offset;
  if (info.mysql) info.mysql.port = MYSQL_PORT + offset;
  if (info.mariadb) info.mariadb.port = MARIADB_PORT + offset;
  if (info.kafka) info.kafka.brokers = brokerAddresses(offset);
}

/** The passwords of data stand in the state file only, so data without it is of no use. */
async function refuseDataWithoutState(dir: string, name: string): Promise<void> {
  for (const folder of ["postgres", "mysql", "mariadb", "kafka-1"]) {
    if (!await exists(join(dir, folder))) continue;
    throw new ConfigError(`${join(dir, folder)} holds data of a stack whose stack.json is gone.`, {
      cure: `delete it: deno task stack down --wipe --name ${name}`,
    });
  }
}

async function engineFor(docker: boolean | undefined): Promise<StackInfo["engine"]> {
  if (docker === false) return "native";
  if (docker === true) return "docker";
  if (await exists("/etc/debian_version")) return "native";
  return await dockerAnswers() ? "docker" : "native";
}

/** One run of `up`: the state as it grows, and what was started, to take it back on failure. */
class Start {
  readonly info: StackInfo;
  /** Settings of the brokers beside the stack's own. */
  readonly brokers: Readonly<Record<string, string>>;
  /** They are to run for longer than minutes. */
  readonly long_lived: boolean;
  readonly #progress: (event: StackProgress) => void;
  readonly #started: ServerInfo[] = [];
  #saving: Promise<void> = Promise.resolve();

  constructor(
    info: StackInfo,
    { brokers = {}, long_lived = false, progress = () => {} }: UpOptions,
  ) {
    this.info = info;
    this.brokers = brokers;
    this.long_lived = long_lived;
    this.#progress = progress;
  }

  folder(server: string): string {
    return join(this.info.dir, server);
  }

  /** A function that tells what a part is doing. */
  note(part: ServerInfo["part"]): Note {
    return (phase, done, total) =>
      this.#progress({
        part,
        phase,
        ...(done === undefined ? {} : { done }),
        ...(total === undefined ? {} : { total }),
      });
  }

  /** The certificates of a secured stack; undefined for any other. */
  readonly certificates: () => Promise<Certificates | undefined> = once(async () =>
    this.info.secure ? await certificatesIn(join(this.info.dir, "tls")) : undefined
  );

  /** Writes the state; one write at a time, because parts come up side by side. */
  async save(): Promise<void> {
    this.#saving = this.#saving.then(() => writeState(this.info));
    await this.#saving;
  }

  /** Starts a server unless it runs, and records it at once: `down` knows it even after a crash. */
  async server(
    part: ServerInfo["part"],
    name: string,
    ports: number[],
    start: (log: string) => Promise<ServerProcess>,
  ): Promise<void> {
    const known = this.info.servers.find((server) => server.name === name);
    if (known !== undefined && isAlive(known)) return;
    demandFree(name, ports);
    await this.save();
    const logs = join(this.info.dir, "logs");
    await Deno.mkdir(logs, { recursive: true });
    const log = join(logs, `${name}.log`);
    const server = { name, part, ports, log, ...await start(log) };
    this.#started.push(server);
    this.info.servers = [...this.info.servers.filter((other) => other.name !== name), server];
    await this.save();
  }

  /** Waits until `probe` succeeds; throws with the log's end when a server of the part has died. */
  async ready(part: ServerInfo["part"], probe: () => Promise<void>): Promise<void> {
    this.note(part)("waiting for an answer");
    const deadline = performance.now() + READY_PATIENCE_MS;
    for (;;) {
      const failure = await probe().then(() => undefined, (error: unknown) => error);
      if (failure === undefined) return;
      const servers = this.info.servers.filter((server) => server.part === part);
      const dead = servers.find((server) => !isAlive(server));
      const { name } = this.info;
      if (dead !== undefined) throw await serverError(name, dead, "ended while starting", failure);
      if (performance.now() > deadline) {
        const silent = servers[0]!;
        const what = `gave no answer in ${READY_PATIENCE_MS} ms`;
        throw await serverError(name, silent, what, failure);
      }
      await new Promise((resolve) => setTimeout(resolve, PROBE_INTERVAL_MS));
    }
  }

  /** Ends what this run started. */
  async undo(): Promise<void> {
    await Promise.all(this.#started.map((server) => stop(server, "SIGKILL", 0)));
    this.info.servers = this.info.servers.filter((server) => !this.#started.includes(server));
    await this.save();
  }
}

/** What `make` answers, made once however often it is asked for. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined;
  return () => made ??= make();
}

async function serverError(
  stack: string,
  server: ServerInfo,
  what: string,
  cause: unknown,
): Promise<Error> {
  const tail = await tailOf(server.log, LOG_LINES);
  return new ConfigError(
    `${server.name} ${what}. The last lines of ${server.log}:\n${tail}\n`,
    {
      cure: "see what the log says; data that does not start is dropped by" +
        ` \`deno task stack down --wipe --name ${stack}\``,
      cause,
    },
  );
}

/** The parts of the stack, in the order in which people read them. */
const BRING_UP: Record<Part, (start: Start) => Promise<void>> = {
  kafka: bringKafkaUp,
  pg: bringPostgresUp,
  mysql: (start) => bringMysqlUp(start, "mysql"),
  mariadb: (start) => bringMysqlUp(start, "mariadb"),
};

/** Where the brokers of a stack with this offset listen. */
function brokerPorts(port_offset: number): BrokerPorts[] {
  return KAFKA_PORTS.map(({ broker, controller }) => ({
    broker: broker + port_offset,
    controller: controller + port_offset,
  }));
}

/** The ways of a stack that was made with `--netem` and has this offset. */
export function stackWays(port_offset: number): Way[] {
  const [pg, mysql] = [POSTGRES_PORT + port_offset, MYSQL_PORT + port_offset];
  return waysOf({ brokers: brokerPorts(port_offset), pg, mysql }, port_offset);
}

/** The brokers know each other by the proxies' ports, so these are there first. */
async function bringProxiesUp(start: Start): Promise<void> {
  const { info } = start;
  const note = start.note("netem");
  const software = await toxiproxySoftware(note);
  info.versions["toxiproxy"] = TOXIPROXY_VERSION;
  const api = proxyApi(info.port_offset);
  const ways = stackWays(info.port_offset);
  const ports = [api, ...ways.map(({ port }) => port)];
  await start.server(
    "netem",
    "toxiproxy",
    ports,
    (log) => startToxiproxy(software, { folder: start.folder("toxiproxy"), api, ways, log }),
  );
  await start.ready("netem", () => probeToxiproxy(api, ways));
  note("ready");
}

async function bringKafkaUp(start: Start): Promise<void> {
  const { info } = start;
  const note = start.note("kafka");
  const software = await kafkaSoftware(note);
  const ports = brokerPorts(info.port_offset);
  const certificates = await start.certificates();
  info.kafka ??= {
    brokers: brokerAddresses(info.port_offset),
    cluster_id: newClusterId(),
    ...certificates === undefined ? {} : { ca: certificates.ca, users: newBrokerAccounts() },
  };
  info.versions["kafka"] = KAFKA_VERSION;
  info.versions["java"] = software.java.version;
  const { cluster_id, users } = info.kafka;
  const secured = certificates && users && { certificates, users };
  await allSettled(ports.map(({ broker, controller }, index) => {
    const name = `kafka-${index + 1}`;
    const listeners = info.netem ? listenerPorts(index + 1, info.port_offset) : [];
    const proxied = info.netem ? proxiedSettings(index + 1, ports, info.port_offset) : {};
    return start.server(
      "kafka",
      name,
      [broker, controller, ...listeners],
      (log) =>
        startBroker(software, {
          node: index + 1,
          ports,
          cluster: cluster_id,
          folder: start.folder(name),
          ...secured === undefined ? {} : { secured },
          more: { ...proxied, ...start.brokers },
          long_lived: start.long_lived,
          log,
          note,
        }),
    );
  }));
  const { kafka } = info;
  await start.ready("kafka", () => probeKafka(kafka));
  if (secured !== undefined) await grantRights(kafka);
  note("ready");
}

function brokerAddresses(offset: number): string[] {
  return KAFKA_PORTS.map(({ broker }) => `127.0.0.1:${broker + offset}`);
}

async function bringPostgresUp(start: Start): Promise<void> {
  const { info } = start;
  const note = start.note("pg");
  const software = await postgresSoftware(note);
  const certificates = await start.certificates();
  const database = info.pg ??= newDatabase(POSTGRES_PORT + info.port_offset, certificates?.ca);
  info.versions["postgresql"] = postgresVersion(software);
  await start.server("pg", "postgres", [database.port], (log) =>
    startPostgres(software, {
      folder: start.folder("postgres"),
      log,
      port: database.port,
      accounts: database.users,
      certificates,
      note,
    }));
  await start.ready("pg", () => probePostgresServer(database));
  await preparePostgres(database);
  await probePostgres(database);
  note("ready");
}

/** The two servers that speak MySQL's protocol. */
const MYSQLS = {
  mysql: {
    unpack: mysqlSoftware,
    version: mysqlVersion,
    port: MYSQL_PORT,
    launch: startMysql,
  },
  mariadb: {
    unpack: mariadbSoftware,
    version: mariadbVersion,
    port: MARIADB_PORT,
    launch: startMariadb,
  },
};

async function bringMysqlUp(start: Start, part: keyof typeof MYSQLS): Promise<void> {
  const { info } = start;
  const { unpack, version, port, launch } = MYSQLS[part];
  const note = start.note(part);
  const software = await unpack(note);
  const certificates = await start.certificates();
  const database = info[part] ??= newDatabase(port + info.port_offset, certificates?.ca);
  info.versions[part] = version(software);
  await start.server(part, part, [database.port], (log) =>
    launch(software, {
      folder: start.folder(part),
      log,
      port: database.port,
      accounts: database.users,
      certificates,
      note,
    }));
  await start.ready(part, () => probeMysql(database));
  await finishServer(start.folder(part));
  note("ready");
}

/**
 * Ends exactly the servers that `up` recorded, by pid and start time; with `wipe` the data goes too.
 * Returns how many were running, or undefined when there is no such stack.
 */
export async function down(options: DownOptions = {}): Promise<number | undefined> {
  const name = options.name ?? DEFAULT_NAME;
  checkName(name);
  return await withStackLock(name, async () => {
    const info = await readState(name);
    const stopped = info === undefined ? undefined : await stopServers(info, options);
    if (options.wipe) await wipe(stackFolder(name), options.keep_logs ?? false);
    if (options.wipe) await removeStackLock(name);
    return stopped;
  });
}

async function stopServers(info: StackInfo, options: DownOptions): Promise<number> {
  if (info.engine === "docker") return await dockerDown(info, options.wipe ?? false);
  const end = async (server: ServerInfo) => {
    // Data that goes anyway need not be written out.
    if (options.wipe) return await stop(server, "SIGKILL", 0);
    return await stop(server, STOP_SIGNAL[server.part], STOP_PATIENCE_MS[server.part]);
  };
  // The brokers take their leave of each other through the proxies.
  const [proxies, others] = [true, false].map((isProxy) =>
    info.servers.filter(({ part }) => (part === "netem") === isProxy)
  );
  const results = await Promise.all(others!.map(end));
  results.push(...await Promise.all(proxies!.map(end)));
  await writeState({ ...info, servers: [] });
  return results.filter((result) => result !== "gone").length;
}

async function wipe(dir: string, keepLogs: boolean): Promise<void> {
  if (!await exists(dir)) return;
  if (!keepLogs) return await Deno.remove(dir, { recursive: true });
  for await (const entry of Deno.readDir(dir)) {
    if (entry.name !== "logs") await Deno.remove(join(dir, entry.name), { recursive: true });
  }
}

/** What is known of a stack and which of its servers run; undefined when there is no such stack. */
export async function status(name: string = DEFAULT_NAME): Promise<StackStatus | undefined> {
  const info = await readState(name);
  if (info === undefined) return undefined;
  if (info.engine === "docker") return { info, servers: await dockerServers(info) };
  const servers = info.servers.map((server) => ({ ...server, running: isAlive(server) }));
  return { info, servers: servers.toSorted((a, b) => (a.name < b.name ? -1 : 1)) };
}

/** Environment variables under which jobs and tests find a stack, passwords included. */
export function environment(info: StackInfo): Record<string, string> {
  const variables: Record<string, string> = { LIST_SYNC_STACK: join(info.dir, "stack.json") };
  if (info.kafka) variables["KAFKA_BROKERS"] = info.kafka.brokers.join(",");
  if (info.netem) Object.assign(variables, proxiedEnvironment(info.port_offset));
  const ca = info.kafka?.ca ?? info.pg?.ca ?? info.mysql?.ca ?? info.mariadb?.ca;
  if (ca !== undefined) variables["CA_FILE"] = ca;
  for (const role of ["capture", "consume"] as const) {
    const account = info.kafka?.users?.[role];
    if (account === undefined) continue;
    variables[`KAFKA_${role.toUpperCase()}_USER`] = account.user;
    variables[`KAFKA_${role.toUpperCase()}_PASSWORD`] = account.password;
  }
  const databases = { PG: info.pg, MYSQL: info.mysql, MARIADB: info.mariadb };
  for (const [prefix, database] of Object.entries(databases)) {
    if (database === undefined) continue;
    const { replicator, writer, admin } = database.users;
    Object.assign(variables, {
      [`${prefix}_HOST`]: database.host,
      [`${prefix}_PORT`]: String(database.port),
      [`${prefix}_DATABASE`]: database.database,
      [`${prefix}_USER`]: replicator.user,
      [`${prefix}_PASSWORD`]: replicator.password,
      [`${prefix}_WRITER_USER`]: writer.user,
      [`${prefix}_WRITER_PASSWORD`]: writer.password,
      [`${prefix}_ADMIN_USER`]: admin.user,
      [`${prefix}_ADMIN_PASSWORD`]: admin.password,
    });
  }
  return variables;
}

/** Where captures and consumers find the proxies of a stack that was made with `--netem`. */
function proxiedEnvironment(port_offset: number): Record<string, string> {
  const ways = stackWays(port_offset);
  const port = (name: string) => String(ways.find((way) => way.name === name)!.port);
  return {
    NETEM_CAPTURE_BROKERS: linkBrokers(ways, "capture_to_brokers").join(","),
    NETEM_CONSUMER_BROKERS: linkBrokers(ways, "consumer_to_brokers").join(","),
    NETEM_PG_PORT: port("capture_to_database-pg"),
    NETEM_MYSQL_PORT: port("capture_to_database-mysql"),
  };
}
