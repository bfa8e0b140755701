/** A topic of changes on its way to CSV files, beside the usual Python way. */
import type { ConsumeSummary } from "../../shared/pipeline/consume.ts";
import { Scenario } from "../../tests/scenario.ts";
import { testStack } from "../../tests/stack.ts";
import type { Measured, Round, RoundOptions, Row } from "../bench.ts";
import { linesIn } from "../lines.ts";
import { pythonCsv } from "../peers/python.ts";
import { kept } from "./kept.ts";
import { stackDatabase } from "./database.ts";

export const row: Row = {
  work: "Kafka → CSV files of inserts and deletes",
  peer: "Python",
  aim: "2.5 times its rate",
  figures: ["per_second"],
  prepare,
};

/** MySQL's changes carry whole old rows, which the deletes need. */
const backlog = kept(async (changes) => {
  const scenario = new Scenario(stackDatabase("MySQL"), { format: "json", mode: "batch" });
  await scenario.createTable();
  await scenario.capture().ended();
  await scenario.seed(changes);
  await scenario.capture().ended();
  return scenario;
});

async function prepare({ changes }: RoundOptions): Promise<Round> {
  const scenario = await backlog(changes);
  const output = `${scenario.output}/${crypto.randomUUID()}`;
  return {
    ours: () => ours(scenario, `${output}/ours`, changes),
    theirs: () => theirs(scenario, `${output}/theirs`, changes),
    [Symbol.asyncDispose]: () => Deno.remove(output, { recursive: true }),
  };
}

async function ours(scenario: Scenario, output: string, changes: number): Promise<Measured> {
  const { flush_interval_ms: _, ...job } = scenario.consumeJob();
  const process = scenario.start({ ...job, group_id: crypto.randomUUID(), sink: { output } });
  const { seconds } = await process.result<ConsumeSummary>();
  demandLines(output, scenario);
  return { figures: { per_second: changes / seconds }, peak_bytes: process.peak_bytes };
}

async function theirs(scenario: Scenario, output: string, changes: number): Promise<Measured> {
  const { kafka: { brokers } } = testStack();
  const asked = { brokers, topic: scenario.topic, output };
  const { seconds, peak_bytes } = await pythonCsv(asked, `${scenario.folder}/python.log`);
  demandLines(output, scenario);
  return { figures: { per_second: changes / seconds }, peak_bytes };
}

/** Throws unless the files hold a line for each insert and delete, and two for each update. */
function demandLines(folder: string, { made: { c, u, d } }: Scenario): void {
  const found = { inserts: 0, deletes: 0 };
  for (const path of filesIn(folder)) {
    const kind = /(inserts|deletes)[^/]*\.csv(\.part)?$/.exec(path)?.[1] as keyof typeof found;
    if (kind !== undefined) found[kind] += linesIn(path) - 1; // the header
  }
  if (found.inserts === c + u && found.deletes === d + u) return;
  throw new Error(
    `${folder} holds ${found.inserts} inserted and ${found.deletes} deleted rows; there are ${
      c + u
    } and ${d + u}`,
  );
}

function filesIn(folder: string): string[] {
  return [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
    isDirectory ? filesIn(`${folder}/${name}`) : [`${folder}/${name}`]
  );
}
