/** Conditions by nft: packets are dropped at random, or all. For a stack in a network namespace of its own. */
import type { LinkName, Way } from "../compose/native/netem.ts";
import { nftCommand } from "../compose/native/nft.ts";
import { run, runOrFail } from "../compose/native/processes.ts";
import { ConfigError } from "../shared/errors.ts";
import type { Backend } from "./backend.ts";
import { cannotMake, type Conditions, linksOf, type Scenario } from "./scenario.ts";

const TABLE = "inet list_sync_netem";
/** A percent has so many parts here. */
const PARTS = 100;

/** What nft cannot make, and what can. */
const FOREIGN: Readonly<Partial<Record<keyof Conditions, [why: string, cure: string]>>> = {
  round_trip_ms: [
    "it drops packets and cannot hold them back",
    "--backend toxiproxy; or --backend tc, where the kernel has netem",
  ],
  rate_mbit: [
    "what it drops above a rate is no queue, as a link has one",
    "--backend toxiproxy or --backend tc",
  ],
};

/** The table in nft's words (nft(8)), which replaces one that is there. Throws ConfigError. */
export function planRules(
  scenario: Scenario,
  ways: readonly Way[],
  cut: ReadonlySet<LinkName> = new Set(),
): string {
  const rules: string[] = [];
  for (const [link, conditions] of linksOf(scenario)) {
    for (const [condition, [why, cure]] of Object.entries(FOREIGN)) {
      const name = condition as keyof Conditions;
      if (conditions[name] === undefined) continue;
      throw cannotMake(scenario, link, name, "nft", why, cure);
    }
    const drop = dropOf(conditions, cut.has(link));
    if (drop === undefined) continue;
    const ports = ways.filter((way) => way.link === link).map(({ port }) => port).join(", ");
    for (const side of ["dport", "sport"]) {
      rules.push(`    tcp ${side} { ${ports} } ${drop} comment "${link}"`);
    }
  }
  return [
    `table ${TABLE}`,
    `delete table ${TABLE}`,
    `table ${TABLE} {`,
    "  chain output {",
    "    type filter hook output priority filter; policy accept;",
    ...rules,
    "  }",
    "}",
    "",
  ].join("\n");
}

function dropOf({ loss_percent }: Conditions, isCut: boolean): string | undefined {
  if (isCut) return "drop";
  if (loss_percent === undefined) return undefined;
  return `numgen random mod ${100 * PARTS} < ${Math.round(loss_percent * PARTS)} drop`;
}

/** The packet filter of the network namespace that this process is in. */
export class NftBackend implements Backend {
  readonly #ways: readonly Way[];

  /** @param ways of the stack, which runs in this namespace. */
  constructor(ways: readonly Way[]) {
    refuseMachine();
    this.#ways = ways;
  }

  async apply(scenario: Scenario, cut: ReadonlySet<LinkName>): Promise<void> {
    const rules = planRules(scenario, this.#ways, cut);
    const file = await Deno.makeTempFile({ prefix: "list-sync-", suffix: ".nft" });
    try {
      await Deno.writeTextFile(file, rules);
      await nft("-f", file);
    } finally {
      await Deno.remove(file);
    }
  }

  async clear(): Promise<void> {
    if ((await this.status()).length > 0) await nft("delete", "table", ...TABLE.split(" "));
  }

  async status(): Promise<string[]> {
    const [command = "", ...args] = await nftCommand(() => {});
    const { code, output } = await run(command, [...args, "list", "table", ...TABLE.split(" ")]);
    return code === 0 ? output.trimEnd().split("\n") : [];
  }
}

async function nft(...args: string[]): Promise<void> {
  const [command = "", ...before] = await nftCommand(() => {});
  await runOrFail(`nft ${args.join(" ")}`, command, [...before, ...args]);
}

/** A namespace that reaches other hosts is not the stack's own: its filter is somebody else's. */
function refuseMachine(): void {
  // Two lines of titles, then a line for each interface (proc_net(5)).
  const interfaces = Deno.readTextFileSync("/proc/self/net/dev").trimEnd().split("\n").slice(2)
    .map((line) => line.split(":")[0]!.trim());
  if (interfaces.every((name) => name === "lo")) return;
  throw new ConfigError(
    `nft would drop packets of everything on this machine: here is ${interfaces.join(", ")}.`,
    {
      cure:
        "run the stack and this command where lo is all: ip netns add NAME, ip -n NAME link set " +
        "lo up, ip netns exec NAME deno task stack up --netem",
    },
  );
}
