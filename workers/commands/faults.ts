/** `deno task faults`: strikes captures and consumers at work on a stack of its own, and judges what came out. */
import { fileURLToPath } from "node:url";
import { PARTS } from "../../compose/native/stack.ts";
import { ConfigError, describe } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";
import { type HoleName, holes } from "../../tests/faults/holes.ts";
import { type FaultName, faults } from "../../tests/faults/mod.ts";
import type { RunResult } from "../../tests/faults/run/run.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { count } from "../cli/figures.ts";
import { table } from "../cli/table.ts";

/** A run of minutes; the tests take fewer. */
const KILLS = 300;
/** The time that a broker is frozen for, and longer than its clients wait for an answer. */
const FREEZE_MS = 40_000;
const HUGE_ROWS = 1_000_000;

const SPEC: CommandSpec = {
  name: "faults",
  summary:
    "Strikes captures and consumers at work, and counts changes that are lost, repeated or altered.",
  usage: "deno task faults [options]",
  example: "deno task faults --only broker_killed",
  options: {
    only: {
      type: "string",
      value: "NAME[,NAME...]",
      help: "The faults that strike; without it all of tests/faults/mod.ts. Also tests by name.",
    },
    list: { type: "boolean", help: "Print all names with what each does, and end." },
    kills: {
      type: "number",
      value: "N",
      help: "How often the fault worker_killed kills, over both databases.",
      default: KILLS,
    },
    client: {
      type: "string",
      value: "NAME",
      help: "Kafka client of the workers: builtin (the default) or kafkajs.",
    },
    seed: { type: "number", value: "N", help: "Repeats random choices.", default: 1 },
    json: { type: "boolean", help: "Print one JSON object on stdout." },
  },
};

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { only, list, kills, seed, client, json } = parsed.options;
  if (list) return await printList();
  const all = [...Object.keys(faults), ...Object.keys(holes)];
  const wanted = only === undefined ? Object.keys(faults) : chosen(String(only), all);
  const tests = wanted.filter((name) => Object.hasOwn(holes, name)) as HoleName[];
  const names = wanted.filter((name) => Object.hasOwn(faults, name)) as FaultName[];
  const failedTests = await runTests(tests);
  if (names.length === 0) return failedTests.length === 0 ? EXIT_DONE : EXIT_FAILED;
  const { results, failed: failedFaults } = await strike(names, { kills, seed, client });
  const failed = [...failedTests, ...failedFaults];
  const total = (of: "kills" | "changes" | "lost" | "repeated" | "altered") =>
    results.reduce((sum, result) => sum + result[of], 0);
  const sums = {
    kills: total("kills"),
    faults: names,
    failed,
    changes: total("changes"),
    lost: total("lost"),
    repeated: total("repeated"),
    altered: total("altered"),
  };
  console.log(json ? JSON.stringify(sums) : table(HEADER, results.map(cells)));
  return sums.lost + sums.repeated + sums.altered + failed.length === 0 ? EXIT_DONE : EXIT_FAILED;
}

const HEADER = ["fault", "kills", "changes", "lost", "repeated", "altered"];

function cells({ faults, kills, changes, lost, repeated, altered }: RunResult): string[] {
  return [faults.join(", "), ...[kills, changes, lost, repeated, altered].map(count)];
}

/**
 * Lets the faults strike one after another, each on pipelines of its own. One that ends in an error
 * (`failed`) keeps no other from striking.
 */
async function strike(
  names: readonly FaultName[],
  { kills, seed, client }: Readonly<Record<string, OptionValue>>,
): Promise<{ results: RunResult[]; failed: FaultName[] }> {
  const { runFaults } = await import("../../tests/faults/run/run.ts");
  const { Servers } = await import("../../tests/faults/run/servers.ts");
  await using servers = await Servers.start(PARTS);
  const results: RunResult[] = [];
  const failed: FaultName[] = [];
  for (const name of names) {
    try {
      const result = await runFaults(servers, {
        names: [name],
        kills: Number(kills),
        seed: Number(seed),
        freeze_ms: FREEZE_MS,
        huge_rows: HUGE_ROWS,
        request_timeout_ms: 30_000,
        ...client === undefined ? {} : { client: String(client) },
        tell: (line) => console.error(line),
      });
      for (const example of result.examples) console.error(example);
      results.push(result);
    } catch (error) {
      console.error(`${name} FAILED: ${describe(error)}`);
      failed.push(name);
    }
  }
  return { results, failed };
}

const TEST = fileURLToPath(new URL("test.ts", import.meta.url));

/** Runs the tests of these holes as `deno task test` does; answers those that failed. */
async function runTests(names: readonly HoleName[]): Promise<string[]> {
  const failed: string[] = [];
  for (const name of names) {
    const { what, file, test } = holes[name];
    console.error(`${name}: ${what}`);
    const { code } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", TEST, file, test],
      stdin: "null",
      stdout: "inherit",
    }).spawn().status;
    if (code !== 0) failed.push(name);
  }
  return failed;
}

async function printList(): Promise<number> {
  const struck = await Promise.all(
    Object.entries(faults).map(async ([name, load]) => [name, (await load()).fault.does]),
  );
  const tested = Object.entries(holes).map(([name, { what, file }]) => [name, `${what} (${file})`]);
  for (const [name, what] of [...struck, ...tested]) console.log(`${name}\n    ${what}`);
  return EXIT_DONE;
}

/** The names that `--only` gives. Throws ConfigError for one that is not there. */
function chosen(only: string, all: readonly string[]): readonly string[] {
  const names = only.split(",").map((name) => name.trim());
  const unknown = names.find((name) => !all.includes(name));
  if (unknown === undefined) return names;
  throw new ConfigError(
    `There is no fault ${unknown}${nearestHint(unknown, all)}`,
    { cure: `choose among ${all.join(", ")}` },
  );
}

if (import.meta.main) await run(main);
