/**
 * Conditions by the kernel's traffic control, on one Linux host or container: netem where the kernel has
 * it, else tbf alone (tc-netem(8), tc-tbf(8), tc-htb(8)).
 */
import type { LinkName } from "../compose/native/netem.ts";
import { run, runOrFail } from "../compose/native/processes.ts";
import { ConfigError } from "../shared/errors.ts";
import type { Backend } from "./backend.ts";
import { cannotMake, type Conditions, linksOf, type Scenario } from "./scenario.ts";

/** Where the commands are run, and whom it talks to. */
export interface TcHost {
  /** What runs there. */
  readonly at: "broker" | "capture" | "consumer";
  /** Its network interface. */
  readonly interface: string;
  /** IPv4 addresses of the brokers, without its own where it is one. */
  readonly brokers: readonly string[];
  /** IPv4 addresses of the databases, for captures. */
  readonly databases: readonly string[];
  /** Before each command: `nsenter --net=…` for a container. */
  readonly prefix: readonly string[];
}

/** Commands in the order in which they are run, by what they do. */
export interface TcPlan {
  readonly load_module: readonly string[][];
  /** What may fail, because nothing stood there. */
  readonly remove: readonly string[][];
  /** Delay, jitter, loss and rate towards and from servers. */
  readonly add_latency: readonly string[][];
  /** The same towards the other brokers, which do it towards this one. */
  readonly add_latency_broker: readonly string[][];
}

/** The links that begin at a host, with the addresses at their other end. */
const LINKS_AT: Readonly<Record<TcHost["at"], Readonly<Record<string, "brokers" | "databases">>>> =
  {
    broker: { between_brokers: "brokers" },
    capture: { capture_to_brokers: "brokers", capture_to_database: "databases" },
    consumer: { consumer_to_brokers: "brokers" },
  };

/** What comes in passes this device, for tc shapes only what goes out of one. */
const INCOMING = "ifb-netem";
/** How `tc qdisc show` names what stands here. */
const OURS = /^qdisc (htb 1:|ingress ffff:|(netem|tbf) \d+0:)/;
/** More than any link here: the class sorts packets, its queue shapes them. */
const UNSHAPED = ["rate", "10gbit", "quantum", "200000"];
/** Packets that netem holds: 10 Gbit/s for some seconds would not fill a machine's memory with it. */
const HELD_PACKETS = "100000";

/** The commands for one host. Throws ConfigError for what its kernel cannot make. */
export function planTc(
  scenario: Scenario,
  host: TcHost,
  kernel: { readonly netem: boolean },
  cut: ReadonlySet<LinkName> = new Set(),
): TcPlan {
  const links = linksOf(scenario).filter(([link]) => Object.hasOwn(LINKS_AT[host.at], link));
  if (links.length === 0) {
    throw new ConfigError(`${scenario.file} says nothing of a link that begins at a ${host.at}.`, {
      cure: `it is about ${
        linksOf(scenario).map(([link]) => link).join(", ")
      }: choose another --at`,
    });
  }
  const classes = links.map(([link, conditions], index) => ({
    number: `${index + 1}0`,
    peers: peersOf(host, link),
    queue: kernel.netem
      ? netemQueue(conditions, cut.has(link))
      : tbfQueue(scenario, link, conditions),
  }));
  const isBroker = host.at === "broker";
  const outgoing = shape(host.interface, "dst", classes);
  const both = [...outgoing, ...redirect(host.interface), ...shape(INCOMING, "src", classes)];
  const modules = [...kernel.netem ? ["sch_netem"] : [], ...isBroker ? [] : ["ifb"]];
  return {
    load_module: modules.map((name) => ["modprobe", name]),
    remove: removal(host.interface),
    add_latency: isBroker ? [] : both,
    add_latency_broker: isBroker ? outgoing : [],
  };
}

function peersOf(host: TcHost, link: LinkName): readonly string[] {
  const kind = LINKS_AT[host.at][link]!;
  if (host[kind].length > 0) return host[kind];
  throw new ConfigError(`${link} needs the addresses of its other end.`, {
    cure: `give --${kind} ADDRESS,…`,
  });
}

/** Half of a round trip each way, like its jitter. */
function netemQueue(conditions: Conditions, isCut: boolean): string[] {
  const { round_trip_ms, jitter_ms, rate_mbit, loss_percent } = conditions;
  const loss = isCut ? 100 : loss_percent;
  return [
    "netem",
    ...round_trip_ms === undefined ? [] : ["delay", `${round_trip_ms / 2}ms`],
    ...jitter_ms === undefined ? [] : [`${jitter_ms / 2}ms`],
    ...loss === undefined ? [] : ["loss", `${loss}%`],
    ...rate_mbit === undefined ? [] : ["rate", `${rate_mbit}mbit`],
    "limit",
    HELD_PACKETS,
  ];
}

function tbfQueue(scenario: Scenario, link: LinkName, conditions: Conditions): string[] {
  for (const condition of ["round_trip_ms", "loss_percent", "cuts"] as const) {
    if (conditions[condition] === undefined) continue;
    throw cannotMake(
      scenario,
      link,
      condition,
      "tc",
      "this kernel has no netem, and tbf knows a rate alone",
      condition === "round_trip_ms"
        ? "--backend toxiproxy, or a kernel with the module sch_netem"
        : "--backend nft, or a kernel with the module sch_netem",
    );
  }
  // The bucket holds the largest packet, which is 64 KiB on loopback; the queue half a second.
  return ["tbf", "rate", `${conditions.rate_mbit}mbit`, "burst", "128kb", "latency", "500ms"];
}

interface Class {
  readonly number: string;
  readonly peers: readonly string[];
  readonly queue: readonly string[];
}

/** Packets to (or from) the peers of a class wait in its queue; all others pass. */
function shape(device: string, side: "dst" | "src", classes: readonly Class[]): string[][] {
  const tc = (text: string, ...more: readonly string[]) => [...text.split(" "), ...more];
  return [
    tc(`tc qdisc add dev ${device} root handle 1: htb`),
    ...classes.flatMap(({ number, peers, queue }) => [
      tc(`tc class add dev ${device} parent 1: classid 1:${number} htb`, ...UNSHAPED),
      tc(`tc qdisc add dev ${device} parent 1:${number} handle ${number}:`, ...queue),
      ...peers.map((address) =>
        tc(
          `tc filter add dev ${device} parent 1: protocol ip prio 1 u32 match ip ${side} ` +
            `${address}/32 flowid 1:${number}`,
        )
      ),
    ]),
  ];
}

/** Sends what comes in at the interface through the other device first. */
function redirect(device: string): string[][] {
  return [
    `ip link add ${INCOMING} type ifb`,
    `ip link set ${INCOMING} up`,
    `tc qdisc add dev ${device} handle ffff: ingress`,
    `tc filter add dev ${device} parent ffff: protocol ip prio 1 u32 match u32 0 0 action mirred ` +
    `egress redirect dev ${INCOMING}`,
  ].map((line) => line.split(" "));
}

/** Commands that take everything away from an interface. */
export function removal(device: string): string[][] {
  return [
    `tc qdisc del dev ${device} root`,
    `tc qdisc del dev ${device} ingress`,
    `ip link del ${INCOMING}`,
  ].map((line) => line.split(" "));
}

/** A plan, or a part of one, as a script for a host that has no Deno; it ends at the first command that fails. */
export function scriptOf(plan: Partial<TcPlan>): string {
  const lines = (part: keyof TcPlan, end = "") => {
    const commands = plan[part] ?? [];
    if (commands.length === 0) return [];
    return [`# ${part}`, ...commands.map((words) => words.join(" ") + end)];
  };
  return [
    "#!/bin/sh -e",
    ...lines("load_module", " || true # it may be built in"),
    ...lines("remove", " 2>/dev/null || true"),
    ...lines("add_latency"),
    ...lines("add_latency_broker"),
    "",
  ].join("\n");
}

/** Whether this kernel has netem: tried in a network namespace that nobody else sees. */
export async function kernelHasNetem(): Promise<boolean> {
  await run("modprobe", ["sch_netem"]).catch(() => {}); // it may be built in
  const trial = ["--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms"];
  return (await run("unshare", trial)).code === 0;
}

/** Traffic control of one host or container. */
export class TcBackend implements Backend {
  readonly #host: TcHost;

  constructor(host: TcHost) {
    this.#host = host;
  }

  async apply(scenario: Scenario, cut: ReadonlySet<LinkName>): Promise<void> {
    const plan = planTc(scenario, this.#host, { netem: await kernelHasNetem() }, cut);
    for (const [command = "", ...args] of plan.load_module) {
      await run(command, args).catch(() => {}); // it may be built in, and modprobe not installed
    }
    await this.clear();
    for (const words of [...plan.add_latency, ...plan.add_latency_broker]) {
      const [command = "", ...args] = [...this.#host.prefix, ...words];
      await runOrFail(words.join(" "), command, args);
    }
  }

  async clear(): Promise<void> {
    for (const words of removal(this.#host.interface)) {
      const [command = "", ...args] = [...this.#host.prefix, ...words];
      await run(command, args);
    }
    const left = await this.status();
    if (left.length === 0) return;
    throw new ConfigError(`Conditions still stand at ${this.#host.interface}: ${left.join("; ")}`, {
      cure: "run it as root, on the host and --interface where they were applied",
    });
  }

  /** Queues of ours: `apply` gives its first one the handle 1:, and `ffff:` is what comes in. */
  async status(): Promise<string[]> {
    const lines: string[] = [];
    for (const device of [this.#host.interface, INCOMING]) {
      const [command = "", ...args] = [...this.#host.prefix, "tc", "qdisc", "show", "dev", device];
      const { code, output } = await run(command, args);
      if (code === 0) lines.push(...output.split("\n").filter((line) => OURS.test(line)));
    }
    return lines;
  }
}
