/** The compose files as one project of its own: on free ports, with secrets of its own, gone afterwards. */
import { join } from "node:path";
import { COMPOSE_FILE, composeVariables, writeSecrets } from "../../compose/native/docker.ts";
import type { Engine } from "../../compose/native/engine.ts";
import { newClusterId } from "../../compose/native/kafka.ts";
import { CHECKOUT } from "../../compose/native/paths.ts";
import { freePortOffset } from "../../compose/native/ports.ts";
import { type Finished, run, runOrFail } from "../../compose/native/processes.ts";
import { STACK_PORTS } from "../../compose/native/stack.ts";
import { newDatabase, type StackInfo } from "../../compose/native/state.ts";

/** A container of a service. */
export interface Container {
  readonly id: string;
  /** Its host name: consumers name their folders by it. */
  readonly hostname: string;
  readonly service: string;
}

/** What a consumer's metrics say. */
export interface Progress {
  /** Changes made durable since its process began. */
  readonly changes: number;
  /** Records between what is durable and the ends of the partitions; undefined: not known yet. */
  readonly lag: number | undefined;
}

const CONTAINER_NAME_CHARS = 12;

/** Drives `docker compose` on one project. */
export class Project {
  readonly #name = `list-sync-test-${Deno.pid}`;
  readonly #info: StackInfo;
  readonly #env: Record<string, string>;
  readonly #files: readonly string[];

  /** `folder`: for the secrets. `env_file`: which images to use. */
  constructor(engine: Engine, folder: string, env_file: string | undefined) {
    this.#info = {
      name: this.#name,
      engine: "docker",
      dir: folder,
      port_offset: freePortOffset(STACK_PORTS),
      versions: {},
      servers: [],
      kafka: { brokers: [], cluster_id: newClusterId() },
      pg: newDatabase(0),
      mysql: newDatabase(0),
    };
    this.#env = { ...engine.env, ...composeVariables(this.#info) };
    this.#files = env_file === undefined ? [] : ["--env-file", join(CHECKOUT, env_file)];
  }

  async writeSecrets(): Promise<void> {
    await writeSecrets(this.#info);
  }

  /** Runs `docker compose` with these arguments and answers its output; throws when it fails. */
  async compose(what: string, ...args: string[]): Promise<string> {
    return await runOrFail(what, "docker", this.#arguments(args), { env: this.#env });
  }

  /** Runs a service's container once, and answers how it ended. */
  async once(service: string, variables: Record<string, string>, ...args: string[]) {
    const given = Object.entries(variables).flatMap(([name, value]) => [
      "--env",
      `${name}=${value}`,
    ]);
    const words = ["run", "--rm", "--no-TTY", "--no-deps", ...given, service, ...args];
    return await run("docker", this.#arguments(words), { env: this.#env });
  }

  /** Runs `docker` with these arguments and answers its output; throws when it fails. */
  async docker(what: string, ...args: string[]): Promise<string> {
    return await runOrFail(what, "docker", args, { env: this.#env });
  }

  /** The containers of some services, stopped ones included. */
  async containers(...services: string[]): Promise<Container[]> {
    const found = await Promise.all(services.map(async (service) => {
      const ids = await this.compose("Listing containers", "ps", "--all", "--quiet", service);
      return ids.split("\n").filter(Boolean).map((id) => ({
        id,
        hostname: id.slice(0, CONTAINER_NAME_CHARS),
        service,
      }));
    }));
    return found.flat();
  }

  /** Asks a container's worker, from inside of it. */
  async ask({ id }: Container, path: string): Promise<Finished> {
    return await run("docker", ["exec", id, "http.sh", path], { env: this.#env });
  }

  /** How far a consumer is; undefined: it does not answer. */
  async progressOf(consumer: Container): Promise<Progress | undefined> {
    const { code, output } = await this.ask(consumer, "/metrics");
    if (code !== 0) return undefined;
    const lags = valuesOf(output, "list_sync_lag_records");
    return {
      changes: sum(valuesOf(output, "list_sync_changes_total")),
      lag: lags.length === 0 ? undefined : sum(lags),
    };
  }

  /** Containers, volumes and networks that carry the project's name. */
  async left(): Promise<string[]> {
    const filter = ["--filter", `label=com.docker.compose.project=${this.#name}`, "--quiet"];
    const lists = await Promise.all([
      this.docker("Listing containers", "ps", "--all", ...filter),
      this.docker("Listing volumes", "volume", "ls", ...filter),
      this.docker("Listing networks", "network", "ls", ...filter),
    ]);
    return lists.flatMap((list) => list.split("\n").filter(Boolean));
  }

  #arguments(args: readonly string[]): string[] {
    const project = ["--project-name", this.#name, "--file", COMPOSE_FILE];
    return ["compose", ...project, ...this.#files, ...args];
  }
}

/** The values of a metric in Prometheus text, one for each set of labels. */
export function valuesOf(text: string, metric: string): number[] {
  return text.split("\n")
    .filter((line) => line.startsWith(`${metric} `) || line.startsWith(`${metric}{`))
    .map((line) => Number(line.slice(line.lastIndexOf(" ") + 1)));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
