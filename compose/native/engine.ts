/** A Docker engine with `docker compose`: the machine's, else one of our own that ends with its owner. */

import { join } from "node:path";
import { ConfigError } from "../../shared/errors.ts";
import { type Note, unpackPackages } from "./packages.ts";
import { run, runOrFail, startDetached, stop, tailOf, waitUntil, which } from "./processes.ts";

const ENGINE_PATIENCE_MS = 60_000;
/** It first ends what runs in it. */
const STOP_PATIENCE_MS = 60_000;
const LOG_LINES = 15;
const CURE = "start a Docker engine; as root on Debian it is enough to have one: " +
  "apt-get install docker.io debootstrap";

/** An engine that answers. */
export interface Engine {
  /** Its version. */
  readonly version: string;
  /** What `docker` needs in its environment to reach it. */
  readonly env: Record<string, string>;
  /** Ends the engine and removes all that it held, if it is our own. */
  close(): Promise<void>;
}

/**
 * Takes the engine that answers to `docker`, else starts one in a temporary folder, which takes root.
 * Throws ConfigError, with the cure, where there is none and none can be started.
 */
export async function openEngine(note: Note): Promise<Engine> {
  if (which("docker") === undefined) {
    throw new ConfigError("There is no command docker.", { cure: CURE });
  }
  const folder = await Deno.makeTempDir({ prefix: "list-sync-docker-" });
  let server: Awaited<ReturnType<typeof startEngine>> | undefined;
  const close = async () => {
    await server?.end();
    await Deno.remove(folder, { recursive: true });
  };
  try {
    const running = await versionAt({});
    if (running === undefined) server = await startEngine(folder, note);
    const env = { ...server?.env, ...await clientSettings(folder, note) };
    return { version: running ?? server!.version, env, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function versionAt(env: Record<string, string>): Promise<string | undefined> {
  const { code, output } = await run("docker", ["version", "--format", "{{.Server.Version}}"], {
    env,
  });
  return code === 0 ? output.trim() : undefined;
}

async function startEngine(folder: string, note: Note) {
  if (which("dockerd") === undefined || Deno.uid() !== 0) {
    throw new ConfigError("No Docker engine answers, and none can be started here.", {
      cure: CURE,
    });
  }
  note("starting a Docker engine");
  const socket = `unix://${join(folder, "engine.sock")}`;
  const log = join(folder, "engine.log");
  const server = await startDetached([
    "dockerd",
    `--data-root=${join(folder, "data")}`,
    `--exec-root=${join(folder, "exec")}`,
    `--pidfile=${join(folder, "engine.pid")}`,
    `--host=${socket}`,
  ], { log, cwd: folder });
  const env = { DOCKER_HOST: socket };
  let version: string | undefined;
  const answers = async () => (version = await versionAt(env)) !== undefined;
  const end = async () => void await stop(server, "SIGTERM", STOP_PATIENCE_MS);
  if (await waitUntil(answers, ENGINE_PATIENCE_MS, 250)) return { env, end, version: version! };
  await end();
  throw new ConfigError(`The Docker engine does not start:\n${await tailOf(log, LOG_LINES)}\n`, {
    cure: "see what the log says, or start an engine yourself",
  });
}

/** Gives `docker` the plugin compose where it has none, and its older builder where it lacks buildx. */
async function clientSettings(folder: string, note: Note): Promise<Record<string, string>> {
  const env: Record<string, string> = {};
  if ((await run("docker", ["buildx", "version"])).code !== 0) env["DOCKER_BUILDKIT"] = "0";
  if ((await run("docker", ["compose", "version"])).code === 0) return env;
  const choose = () => ["docker-compose"];
  const { root } = await unpackPackages(
    { name: "docker-compose", suite: "unstable", choose },
    note,
  );
  const plugins = join(folder, "client/cli-plugins");
  await Deno.mkdir(plugins, { recursive: true });
  const plugin = join(root, "usr/libexec/docker/cli-plugins/docker-compose");
  await Deno.symlink(plugin, join(plugins, "docker-compose"));
  env["DOCKER_CONFIG"] = join(folder, "client");
  await runOrFail("Start of docker compose", "docker", ["compose", "version"], { env });
  return env;
}
