/** `deno task netem test`: workers behind the links of each scenario, judged. */
import { fileURLToPath } from "node:url";
import { NftBackend } from "../../../netem/nft.ts";
import { linksOf, loadScenario, type Scenario } from "../../../netem/scenario.ts";
import { ToxiproxyBackend } from "../../../netem/toxiproxy.ts";
import { table } from "../../../workers/cli/table.ts";
import { inNamespace } from "./namespace.ts";
import { demandLinks } from "./links.ts";
import { NetemServers } from "./servers.ts";
import { type Held, hold, isWhole } from "./workers.ts";

const COMMAND = fileURLToPath(new URL("../../../workers/commands/netem.ts", import.meta.url));

/** Consumers of each group, so that they could take partitions from each other. */
const CONSUMERS = 2;

type Row = Held & { readonly scenario: string };

/** Runs the scenarios one after another and prints what became of each; answers whether all held. */
export async function testScenarios(
  names: readonly string[],
  { changes, json }: { changes: number; json: boolean },
): Promise<boolean> {
  const rows: Row[] = [];
  for (const name of names) {
    const scenario = loadScenario(name);
    console.error(`${name}: ${scenario.description}`);
    const needsNamespace = losesPackets(scenario) && !isAlone();
    rows.push(
      ...needsNamespace
        ? await inAnother(name, changes)
        : (await testScenario(scenario, changes)).map((held) => ({ scenario: name, ...held })),
    );
  }
  for (const row of rows.filter((row) => !isWhole(row))) console.error(JSON.stringify(row));
  console.log(json ? JSON.stringify(rows) : table(HEADER, rows.map(cells)));
  return rows.every(isWhole);
}

const HEADER = ["scenario", "database", "changes", "drained", "dead", "rebalances", "verified"];

function cells(row: Row): string[] {
  const { scenario, database, changes, drained_seconds, false_deaths, rebalances } = row;
  return [
    scenario,
    database,
    changes.toLocaleString("en"),
    `${drained_seconds.toFixed(1)} s`,
    String(false_deaths),
    String(rebalances + row.revocations),
    row.verified ? "yes" : "no",
  ];
}

function losesPackets(scenario: Scenario): boolean {
  return linksOf(scenario).some(([, { loss_percent }]) => loss_percent !== undefined);
}

/** Whether this network namespace has loopback alone. */
function isAlone(): boolean {
  return Deno.readTextFileSync("/proc/self/net/dev").trimEnd().split("\n").length === 3;
}

async function testScenario(scenario: Scenario, changes: number): Promise<Held[]> {
  const tell = (line: string) => console.error(`    ${line}`);
  await using servers = await NetemServers.start();
  const backend = losesPackets(scenario)
    ? new NftBackend(servers.ways)
    : new ToxiproxyBackend(servers.stack);
  await backend.apply(scenario, new Set());
  await demandLinks(servers, scenario, tell).catch((error) => {
    servers.keepLogs();
    throw error;
  });
  return await hold(servers, { scenario, backend, changes, consumers: CONSUMERS, tell });
}

/** The same in a network namespace of its own, servers included. */
async function inAnother(name: string, changes: number): Promise<Row[]> {
  const args = ["run", "-A", COMMAND, "test", name, "--changes", String(changes), "--json"];
  const { stdout } = await inNamespace([Deno.execPath(), ...args]);
  return JSON.parse(stdout);
}
