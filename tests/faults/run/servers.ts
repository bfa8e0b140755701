/** The servers of a run, which may be killed, frozen and started again. */
import { isAlive, waitUntil } from "../../../compose/native/processes.ts";
import {
  down,
  type Part,
  type ServerInfo,
  STACK_PORTS,
  status,
  up,
  USUAL_PARTS,
} from "../../../compose/native/stack.ts";
import { freePortOffset, listenerOf } from "../../../compose/native/ports.ts";
import type { TestStack } from "../../stack.ts";

/** The brokers, by name. */
export const BROKERS = ["kafka-1", "kafka-2", "kafka-3"] as const;

const DEATH_PATIENCE_MS = 10_000;

/** A stack that belongs to the run alone. */
export class Servers implements AsyncDisposable {
  readonly stack: TestStack;
  readonly #name: string;
  #keep_logs = false;

  private constructor(name: string, stack: TestStack) {
    this.#name = name;
    this.stack = stack;
  }

  /** Starts three brokers and databases on free ports. */
  static async start(parts: readonly Part[] = USUAL_PARTS): Promise<Servers> {
    const name = `faults-${Deno.pid}`;
    const port_offset = freePortOffset(STACK_PORTS);
    const info = await up({ name, port_offset, docker: false, only: [...parts] });
    const { kafka, pg, mysql, mariadb, dir } = info;
    const stack = { kafka: kafka!, pg: pg!, mysql: mysql!, dir };
    return new Servers(name, mariadb === undefined ? stack : { ...stack, mariadb });
  }

  /** The parts that are databases. */
  get databases(): Part[] {
    return this.stack.mariadb === undefined ? ["pg", "mysql"] : ["pg", "mysql", "mariadb"];
  }

  /** Kills servers as a power cut would, all at once, with every process that they have started. */
  async kill(...names: readonly string[]): Promise<void> {
    const servers = await Promise.all(names.map((name) => this.#find(name)));
    const pids = servers.flatMap(({ pid }) => [pid, ...childrenOf(pid)]);
    for (const pid of pids) Deno.kill(pid, "SIGKILL");
    // A process counts as gone while its threads are still letting go of its sockets.
    const ports = servers.flatMap(({ ports }) => ports);
    const dead = () =>
      !servers.some(isAlive) && !pids.some(isRunning) &&
      ports.every((port) => listenerOf(port) === undefined);
    if (!await waitUntil(dead, DEATH_PATIENCE_MS, 20)) {
      throw new Error(`${names.join(", ")} do not die of SIGKILL`);
    }
    // Where nobody asks for its exit code a dead process keeps its pid, and the next refuses to start.
    for (const name of names) {
      if (!name.startsWith("kafka")) removeLocks(`${this.stack.dir}/${name}/data`);
    }
  }

  /** Starts what does not run of these parts; resolves when it does real work. */
  async restart(...parts: Part[]): Promise<void> {
    await up({ name: this.#name, only: [...parts], docker: false });
  }

  /** Stops a server in the middle of whatever it does, without a word to anyone. */
  async freeze(name: string): Promise<void> {
    Deno.kill((await this.#find(name)).pid, "SIGSTOP");
  }

  async thaw(name: string): Promise<void> {
    Deno.kill((await this.#find(name)).pid, "SIGCONT");
  }

  /** The logs outlive the servers: something has gone wrong. */
  keepLogs(): void {
    this.#keep_logs = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await down({ name: this.#name, wipe: true, keep_logs: this.#keep_logs });
  }

  async #find(name: string): Promise<ServerInfo> {
    const found = (await status(this.#name))?.servers.find((server) => server.name === name);
    if (found !== undefined && isAlive(found)) return found;
    throw new Error(`Server ${name} of stack ${this.#name} does not run`);
  }
}

/** Removes what a killed database leaves to say that it runs. */
function removeLocks(data: string): void {
  for (const { name } of Deno.readDirSync(data)) {
    if (name === "postmaster.pid" || name.endsWith(".lock")) Deno.removeSync(`${data}/${name}`);
  }
}

/** Pids of the processes that a process has started, as /proc tells them. */
function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return Deno.readTextFileSync(path).split(" ").filter((text) => text !== "").map(Number);
}

function isRunning(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return stat.slice(stat.lastIndexOf(")") + 2)[0] !== "Z";
  } catch {
    return false;
  }
}
