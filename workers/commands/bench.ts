/** `deno task bench`: measures us and our peers in turn on a stack of its own. */
import { fileURLToPath } from "node:url";
import { onOwnStack } from "../../bench/own_stack.ts";
import type { StackInfo } from "../../compose/native/stack.ts";
import type { Results, RowResult } from "../../bench/results.ts";
import { type RowName, rows } from "../../bench/rows/mod.ts";
import { ConfigError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { table } from "../cli/table.ts";

const NAMES = Object.keys(rows) as RowName[];

const SPEC: CommandSpec = {
  name: "bench",
  summary:
    "Measures list-sync beside its peers on real servers: rates, peak memory, latency. See bench/README.md.",
  usage: "deno task bench [options], or deno task bench consumers --help",
  example: "deno task bench --only capture-mysql,csv --changes 100000 --rounds 1",
  options: {
    "only": { type: "string", value: "ROW[,ROW...]", help: "These rows; without it all of them." },
    "list": { type: "boolean", help: "Print all rows with what each compares, and end." },
    "rounds": { type: "number", help: "How often each row runs.", default: 3 },
    "changes": {
      type: "number",
      help: "Changes, rows or records of each backlog.",
      default: 1_000_000,
    },
    "latency-seconds": { type: "number", help: "How long a latency is measured.", default: 10 },
    "scenario": {
      type: "string",
      value: "NAME",
      help: "With such links between brokers: deno task netem list.",
    },
    "json": { type: "boolean", help: "Print one JSON object on stdout." },
    "save": {
      type: "boolean",
      help: "Write the rows into bench/results.json, the README's tables and the chart.",
    },
    "render": {
      type: "boolean",
      help: "Write the README's tables and the chart from bench/results.json, and end.",
    },
    "quick": {
      type: "boolean",
      help: "A minute: our rates alone, as shares of a reference measured beside them.",
    },
  },
};

type Options = Readonly<Record<string, OptionValue>>;

async function main(): Promise<number> {
  if (Deno.args[0] === "consumers") {
    return await (await import("../../bench/consumers.ts")).main(Deno.args.slice(1));
  }
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { options } = parsed;
  if (options["list"]) return printList();
  if (options["render"]) return render(readResults());
  if (options["quick"]) return await onOwnStack({ long_lived: true }, () => printQuick(options));
  const names = options["only"] === undefined ? NAMES : chosen(String(options["only"]));
  if (options["scenario"] === undefined) {
    return await onOwnStack({ long_lived: true }, (stack) => compare(names, options, stack));
  }
  if (options["save"]) {
    throw new ConfigError("--save keeps rows that were measured without a --scenario", {
      cure: "leave one of the two out",
    });
  }
  const { applyScenario, steadyScenario } = await import("../../bench/scenario.ts");
  const scenario = steadyScenario(String(options["scenario"]), ["between_brokers"]);
  return await onOwnStack({ netem: true, long_lived: true }, async (stack) => {
    await applyScenario(stack, scenario);
    return await compare(names, options, stack);
  });
}

/** Runs the rows and tells what came out; after each round it is saved, where that is asked for. */
async function compare(
  names: readonly RowName[],
  options: Options,
  stack: StackInfo,
): Promise<number> {
  const rounds = Number(options["rounds"]);
  if (rounds < 1) {
    throw new ConfigError("--rounds 0 measures nothing", { cure: "give 1 or more" });
  }
  const { runRows } = await import("../../bench/run.ts");
  const { terminalTable } = await import("../../bench/report.ts");
  const { results, failed } = await runRows({
    names,
    rounds,
    changes: Number(options["changes"]),
    latency_seconds: Number(options["latency-seconds"]),
    scenario: options["scenario"] === undefined ? undefined : String(options["scenario"]),
    tell: (line) => console.error(line),
    told: async (rows) => {
      if (options["save"]) await save(rows, stack);
    },
  });
  console.log(options["json"] ? JSON.stringify({ rows: results, failed }) : terminalTable(results));
  return failed.length === 0 ? EXIT_DONE : EXIT_FAILED;
}

const BENCH = fileURLToPath(new URL("../../bench/", import.meta.url));

/** Puts the rows into what is kept, and renders it. */
async function save(found: readonly RowResult[], stack: StackInfo): Promise<void> {
  const { merged } = await import("../../bench/results.ts");
  const { thisMachine } = await import("../../bench/machine.ts");
  const { peerVersions } = await import("../../bench/peers/versions.ts");
  const day = new Date().toISOString().slice(0, 10);
  const versions = { deno: Deno.version.deno, ...stack.versions, ...peerVersions };
  const results = merged(
    readResults(),
    { machine: thisMachine(), versions, rows: found.map((row) => ({ ...row, day })) },
    NAMES,
  );
  Deno.writeTextFileSync(`${BENCH}results.json`, `${JSON.stringify(results, null, 2)}\n`);
  await render(results);
}

async function render(results: Results): Promise<number> {
  const { markdown, withResults } = await import("../../bench/report.ts");
  const { chart } = await import("../../bench/chart.ts");
  const readme = Deno.readTextFileSync(`${BENCH}README.md`);
  Deno.writeTextFileSync(`${BENCH}README.md`, withResults(readme, markdown(results)));
  Deno.writeTextFileSync(`${BENCH}chart.svg`, chart(results.rows));
  return EXIT_DONE;
}

function readResults(): Results {
  return JSON.parse(Deno.readTextFileSync(`${BENCH}results.json`));
}

async function printQuick(options: Options): Promise<number> {
  const { quick } = await import("../../bench/quick.ts");
  const results = await quick((line) => console.error(line));
  if (options["json"]) console.log(JSON.stringify({ rows: results }));
  else {
    console.log(table(
      ["row", "rate as a share of JSON.stringify + lz4 on one processor"],
      results.map(({ row, of_reference }) => [row, of_reference.toFixed(2)]),
    ));
  }
  return EXIT_DONE;
}

function printList(): number {
  const all = Object.entries(rows).map(([name, { work, peer, aim }]) => [name, work, peer, aim]);
  console.log(table(["row", "work", "beside", "aim"], all));
  return EXIT_DONE;
}

/** The rows that `--only` names. Throws ConfigError for one that is not there. */
function chosen(only: string): RowName[] {
  return only.split(",").map((word) => {
    const name = NAMES.find((known) => known === word.trim());
    if (name !== undefined) return name;
    throw new ConfigError(
      `There is no row ${word.trim()}${nearestHint(word.trim(), NAMES)}`,
      { cure: `choose among ${NAMES.join(", ")}` },
    );
  });
}

if (import.meta.main) await run(main);
