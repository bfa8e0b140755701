/** The same stack in containers: drives `docker compose` with the files beside this folder. */

import { join } from "node:path";
import { ConfigError } from "../../shared/errors.ts";
import { newClusterId, probeKafka } from "./kafka.ts";
import { probeMysql } from "./mysql.ts";
import { CHECKOUT, exists } from "./paths.ts";
import { probePostgres } from "./postgres.ts";
import { run, runOrFail, waitUntil, which } from "./processes.ts";
import {
  type ContainerPart,
  newDatabase,
  type ServerInfo,
  type StackInfo,
  writeState,
} from "./state.ts";

/** As long as the native stack waits for an answer, on a machine that does much else too. */
const PROBE_PATIENCE_MS = 90_000;
const PROBE_INTERVAL_MS = 250;

/** The compose file that includes the others. */
export const COMPOSE_FILE = join(CHECKOUT, "compose/compose.yml");

/** Services of each part, as the compose files name them, with their ports on this machine. */
export const SERVICES: Record<ContainerPart, Record<string, number>> = {
  kafka: { broker1: 9092, broker2: 9094, broker3: 9095 },
  pg: { "db-pgsql": 5432 },
  mysql: { "db-mysql": 3306 },
};

/** True when a Docker engine answers and knows `compose`. */
export async function dockerAnswers(): Promise<boolean> {
  if (which("docker") === undefined) return false;
  const engine = await run("docker", ["info", "--format", "{{.ServerVersion}}"]);
  return engine.code === 0 && (await run("docker", ["compose", "version"])).code === 0;
}

/** Starts the services of the parts and waits until they do real work. Fills `info` with addresses and accounts. */
export async function dockerUp(
  info: StackInfo,
  parts: readonly ContainerPart[],
  progress: (event: { part: ContainerPart; phase: string }) => void,
): Promise<void> {
  if (!await dockerAnswers()) {
    throw new ConfigError("No Docker engine with `docker compose` answers.", {
      cure: "start the engine, or leave --docker out: on Debian the stack needs none",
    });
  }
  info.kafka ??= { brokers: portsOf(info, "kafka").map(address), cluster_id: newClusterId() };
  info.pg ??= newDatabase(portsOf(info, "pg")[0]!);
  info.mysql ??= newDatabase(portsOf(info, "mysql")[0]!);
  // Before the start: the passwords stand here only.
  await writeState(info);
  await writeSecrets(info);
  for (const part of parts) progress({ part, phase: "starting containers" });
  const services = parts.flatMap((part) => Object.keys(SERVICES[part]));
  await compose(info, "Start of the containers", [
    "up",
    "--detach",
    "--build",
    "--wait",
    ...services,
  ]);
  const { kafka, pg, mysql } = info;
  const probes: Record<ContainerPart, () => Promise<void>> = {
    kafka: () => probeKafka(kafka),
    pg: () => probePostgres(pg),
    mysql: () => probeMysql(mysql),
  };
  for (const part of parts) {
    await untilAnswered(probes[part]);
    progress({ part, phase: "ready" });
  }
}

/** A server that listens may need a moment more before it does real work: leaders are chosen after that. */
async function untilAnswered(probe: () => Promise<void>): Promise<void> {
  let failure: unknown;
  const answers = async () => {
    failure = await probe().then(() => undefined, (error: unknown) => error);
    return failure === undefined;
  };
  if (!await waitUntil(answers, PROBE_PATIENCE_MS, PROBE_INTERVAL_MS)) throw failure;
}

/** Ends the containers; with `wipe` their volumes go too. Returns how many were running. */
export async function dockerDown(info: StackInfo, wipe: boolean): Promise<number> {
  const running = (await dockerServers(info)).filter(({ running }) => running).length;
  await compose(info, "End of the containers", ["down", ...(wipe ? ["--volumes"] : [])]);
  return running;
}

/** The services that have a container, and whether it runs. */
export async function dockerServers(
  info: StackInfo,
): Promise<(ServerInfo & { running: boolean })[]> {
  const services = async (...which: string[]) =>
    (await compose(info, "Listing containers", ["ps", "--services", ...which])).split("\n");
  const [names, running] = [await services("--all"), await services("--status", "running")];
  return (Object.keys(SERVICES) as ContainerPart[]).flatMap((part) =>
    Object.entries(SERVICES[part]).filter(([name]) => names.includes(name)).map(([name, port]) => ({
      name,
      part,
      ports: [port + info.port_offset],
      log: `docker compose logs ${name}`,
      pid: 0,
      start_ticks: 0,
      running: running.includes(name),
    }))
  );
}

/** The last lines that a service has logged. */
export async function dockerLog(info: StackInfo, service: string, lines: number): Promise<string> {
  return await compose(info, "Reading a log", [
    "logs",
    "--no-color",
    "--tail",
    String(lines),
    service,
  ]);
}

async function compose(info: StackInfo, what: string, args: string[]): Promise<string> {
  const project = ["compose", "--project-name", `list-sync-${info.name}`, "--file", COMPOSE_FILE];
  return await runOrFail(what, "docker", [...project, ...args], { env: composeVariables(info) });
}

/**
 * Writes the passwords as the files that the containers mount. The folder is closed to others; the files
 * are not, because containers read them as users of their own.
 */
export async function writeSecrets(info: StackInfo): Promise<void> {
  const folder = secretsFolder(info);
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  for (const [prefix, database] of [["pg", info.pg], ["mysql", info.mysql]] as const) {
    for (const [role, { password }] of Object.entries(database?.users ?? {})) {
      const path = join(folder, `${prefix}_${role}`);
      if (await exists(path)) continue;
      await Deno.writeTextFile(path, password);
      await Deno.chmod(path, 0o444);
    }
  }
}

function secretsFolder(info: StackInfo): string {
  return join(info.dir, "secrets");
}

/** The variables that the compose files take. */
export function composeVariables(info: StackInfo): Record<string, string> {
  const variables: Record<string, string> = {
    KAFKA_CLUSTER_ID: info.kafka?.cluster_id ?? "",
    SECRETS: secretsFolder(info),
  };
  for (const ports of Object.values(SERVICES)) {
    for (const [service, port] of Object.entries(ports)) {
      const name = `${service.toUpperCase().replaceAll("-", "_")}_PORT`;
      variables[name] = String(port + info.port_offset);
    }
  }
  return variables;
}

function portsOf(info: StackInfo, part: ContainerPart): number[] {
  return Object.values(SERVICES[part]).map((port) => port + info.port_offset);
}

function address(port: number): string {
  return `127.0.0.1:${port}`;
}
