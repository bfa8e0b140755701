/** Servers with proxies on their links, which belong to one run alone. */
import { linkBrokers, type Way } from "../../../compose/native/netem.ts";
import { freePortOffset } from "../../../compose/native/ports.ts";
import { down, NETEM_STACK_PORTS, stackWays, up } from "../../../compose/native/stack.ts";
import type { TestStack } from "../../stack.ts";

/** A stack that was made with `--netem`. */
export class NetemServers implements AsyncDisposable {
  readonly stack: TestStack & { name: string; port_offset: number; netem: true };
  readonly ways: readonly Way[];
  #keep_logs = false;

  private constructor(stack: NetemServers["stack"]) {
    this.stack = stack;
    this.ways = stackWays(stack.port_offset);
  }

  /** Starts the servers on free ports. */
  static async start(): Promise<NetemServers> {
    const name = `netem-${Deno.pid}`;
    const port_offset = freePortOffset(NETEM_STACK_PORTS);
    const { kafka, pg, mysql, dir } = await up({ name, port_offset, docker: false, netem: true });
    return new NetemServers({
      name,
      port_offset,
      netem: true,
      kafka: kafka!,
      pg: pg!,
      mysql: mysql!,
      dir,
    });
  }

  /** The way of this name. */
  way(name: string): Way {
    return this.ways.find((way) => way.name === name)!;
  }

  /** Addresses under which the brokers are known on a link. */
  brokers(link: "capture_to_brokers" | "consumer_to_brokers"): string[] {
    return linkBrokers(this.ways, link);
  }

  /** The logs outlive the servers: something has gone wrong. */
  keepLogs(): void {
    this.#keep_logs = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await down({ name: this.stack.name, wipe: true, keep_logs: this.#keep_logs });
  }
}
