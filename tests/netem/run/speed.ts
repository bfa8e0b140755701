/** `deno task netem speed`: how fast captures are behind a scenario, beside what they are without. */
import { loadScenario, type Scenario as Conditions } from "../../../netem/scenario.ts";
import { ToxiproxyBackend } from "../../../netem/toxiproxy.ts";
import type { CaptureSummary } from "../../../shared/pipeline/capture.ts";
import { count } from "../../../workers/cli/figures.ts";
import { table } from "../../../workers/cli/table.ts";
import { databases, type TestDatabase } from "../../databases.ts";
import { Scenario } from "../../scenario.ts";
import { captureBehind } from "./workers.ts";
import { demandLinks } from "./links.ts";
import { NetemServers } from "./servers.ts";

/** One more before them warms the servers up and does not count. */
const ROUNDS = 2;

interface Row {
  readonly database: string;
  readonly round: number;
  readonly scenario: string;
  readonly per_second: number;
}

/** Captures a backlog of each database with the scenario and without, in turns, and prints the rates. */
export async function compareSpeed(
  name: string,
  { changes, json }: { changes: number; json: boolean },
): Promise<void> {
  const scenario = loadScenario(name);
  const none: Conditions = { ...scenario, links: {} };
  const rows: Row[] = [];
  await using servers = await NetemServers.start();
  const backend = new ToxiproxyBackend(servers.stack);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [title, conditions] of [["none", none], [name, scenario]] as const) {
      for (const db of databases(servers.stack)) {
        const backlog = await prepare(servers, db, changes);
        await backend.apply(conditions, new Set());
        await demandLinks(servers, conditions);
        const { seconds } = await backlog();
        await backend.clear();
        const row = { database: db.name, round, scenario: title, per_second: changes / seconds };
        console.error(Object.values(row).join("  "));
        if (round > 0) rows.push(row);
      }
    }
  }
  if (json) console.log(JSON.stringify(rows));
  else {
    const cells = rows.map(({ database, round, scenario, per_second }) => [
      ...[database, String(round), scenario],
      count(Math.round(per_second)),
    ]);
    console.log(table(["database", "round", "scenario", "changes a second"], cells));
  }
}

/** Makes a backlog; what comes back captures it. */
async function prepare(
  servers: NetemServers,
  db: TestDatabase,
  changes: number,
): Promise<() => Promise<CaptureSummary>> {
  const scenario = new Scenario(db, { format: "json", mode: "batch", stack: servers.stack });
  await scenario.createTable();
  await scenario.start(captureBehind(servers, db, scenario)).ended();
  await scenario.seed(changes);
  return () => scenario.start(captureBehind(servers, db, scenario)).result<CaptureSummary>();
}
