/** Conditions by Toxiproxy: for a stack that was made with `--netem`, where the kernel cannot delay. */
import { type LinkName, proxyApi, type Way } from "../compose/native/netem.ts";
import { stackWays } from "../compose/native/stack.ts";
import { ConfigError } from "../shared/errors.ts";
import type { Backend } from "./backend.ts";
import { cannotMake, type Conditions, linksOf, type Scenario } from "./scenario.ts";

/** One toxic as Toxiproxy's HTTP interface has it (its README, "Toxics"). */
export interface Toxic {
  readonly name: string;
  readonly type: "latency" | "bandwidth";
  readonly stream: "upstream" | "downstream";
  readonly toxicity: 1;
  readonly attributes: Readonly<Record<string, number>>;
}

/**
 * Toxiproxy limits each connection by itself, a scenario the link of a worker or broker, whose traffic
 * goes over one busy connection to each of so many servers: each gets its part.
 */
const SERVERS: Readonly<Record<LinkName, number>> = {
  between_brokers: 2,
  capture_to_brokers: 3,
  consumer_to_brokers: 3,
  capture_to_database: 1,
};

/** A cut holds what is sent until it is over, as TCP does by sending again: so long is for ever. */
const HELD_MS = 86_400_000;

/** The toxics of each proxy, by its name. Throws ConfigError for what Toxiproxy cannot make. */
export function planToxics(
  scenario: Scenario,
  ways: readonly Way[],
  cut: ReadonlySet<LinkName> = new Set(),
): Map<string, Toxic[]> {
  const plan = new Map<string, Toxic[]>();
  for (const [link, conditions] of linksOf(scenario)) {
    if (conditions.loss_percent !== undefined) {
      throw cannotMake(
        scenario,
        link,
        "loss_percent",
        "toxiproxy",
        "it passes streams on, in which no packet is lost",
        "--backend nft, in a network namespace; or --backend tc, where the kernel has netem",
      );
    }
    for (const { name } of ways.filter((way) => way.link === link)) {
      plan.set(name, toxicsOf(conditions, SERVERS[link], cut.has(link)));
    }
  }
  return plan;
}

/** The delay stands last: what a cut holds back has passed the rate already. */
function toxicsOf(conditions: Conditions, servers: number, isCut: boolean): Toxic[] {
  const { round_trip_ms = 0, jitter_ms = 0, rate_mbit, cuts } = conditions;
  const toxics: Toxic[] = [];
  for (const stream of ["upstream", "downstream"] as const) {
    const add = (type: Toxic["type"], attributes: Toxic["attributes"]) =>
      toxics.push({ name: `${type}_${stream}`, type, stream, toxicity: 1, attributes });
    // Toxiproxy counts in 1,000 bytes a second.
    if (rate_mbit !== undefined) {
      add("bandwidth", { rate: Math.max(1, Math.floor(rate_mbit * 1000 / 8 / servers)) });
    }
    if (round_trip_ms === 0 && cuts === undefined) continue;
    const half = stream === "upstream" ? Math.floor : Math.ceil;
    const latency = isCut ? HELD_MS : half(round_trip_ms / 2);
    add("latency", { latency, jitter: isCut ? 0 : half(jitter_ms / 2) });
  }
  return toxics;
}

/** What Toxiproxy tells of one proxy. */
interface ProxyState {
  readonly name: string;
  readonly listen: string;
  readonly toxics: readonly Toxic[];
}

/** The proxies of one stack. */
export class ToxiproxyBackend implements Backend {
  readonly #url: string;
  readonly #ways: readonly Way[];

  /** @param stack made with `--netem`; its name is for messages. */
  constructor(stack: { name: string; port_offset: number; netem?: boolean }) {
    if (!stack.netem) {
      throw new ConfigError(`Stack ${stack.name} was made without proxies.`, {
        cure: `make one: deno task stack up --netem --name ${stack.name}-netem --port-offset 1000`,
      });
    }
    this.#url = `http://127.0.0.1:${proxyApi(stack.port_offset)}`;
    this.#ways = stackWays(stack.port_offset);
  }

  async apply(scenario: Scenario, cut: ReadonlySet<LinkName>): Promise<void> {
    const plan = planToxics(scenario, this.#ways, cut);
    await Promise.all(
      (await this.#proxies()).map((proxy) => this.#replace(proxy, plan.get(proxy.name) ?? [])),
    );
  }

  async clear(): Promise<void> {
    await Promise.all((await this.#proxies()).map((proxy) => this.#replace(proxy, [])));
  }

  async status(): Promise<string[]> {
    return (await this.#proxies()).toSorted((a, b) => a.name < b.name ? -1 : 1)
      .map(({ name, listen, toxics }) =>
        `${name} at ${listen}: ${toxics.map(toxicText).join(", ") || "as it is"}`
      );
  }

  /**
   * A toxic that stays is changed in its place: to take it out and put it in again would let pass what
   * it holds, and out of the way of a reader that is slow Toxiproxy drops after 5 s.
   */
  async #replace({ name, toxics }: ProxyState, wanted: readonly Toxic[]): Promise<void> {
    const path = `/proxies/${name}/toxics`;
    for (const toxic of toxics) {
      const isWanted = wanted.some((one) => one.name === toxic.name);
      if (!isWanted) await this.#ask("DELETE", `${path}/${toxic.name}`);
    }
    for (const toxic of wanted) {
      const known = toxics.find((one) => one.name === toxic.name);
      if (known === undefined) await this.#ask("POST", path, toxic);
      else if (JSON.stringify(known.attributes) !== JSON.stringify(toxic.attributes)) {
        await this.#ask("PATCH", `${path}/${toxic.name}`, { attributes: toxic.attributes });
      }
    }
  }

  async #proxies(): Promise<ProxyState[]> {
    return Object.values(await this.#ask("GET", "/proxies") as Record<string, ProxyState>);
  }

  async #ask(method: string, path: string, body?: unknown): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(this.#url + path, {
        method,
        ...body === undefined ? {} : { body: JSON.stringify(body) },
      });
    } catch (error) {
      throw new ConfigError(`Toxiproxy does not answer at ${this.#url}.`, {
        cure: "see `deno task stack status`; `deno task stack up` starts what does not run",
        cause: error,
      });
    }
    const text = await response.text();
    if (!response.ok) throw new Error(`Toxiproxy refused ${method} ${path}: ${text}`);
    return text === "" ? undefined : JSON.parse(text);
  }
}

function toxicText({ name, attributes }: Toxic): string {
  if (attributes["latency"] === HELD_MS) return `${name} cut`;
  const values = Object.entries(attributes).map(([key, value]) => `${key} ${value}`);
  return `${name} ${values.join(" ")}`;
}
