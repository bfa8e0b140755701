/** `deno task bench NAME`: measures on a stack of its own and prints a table. */
import { down, up } from "../../compose/native/stack.ts";
import { statePath } from "../../compose/native/state.ts";
import type { PipelineRow } from "../../bench/pipeline.ts";
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { count } from "../cli/progress.ts";
import { table } from "../cli/table.ts";

const SPEC: CommandSpec = {
  name: "bench",
  summary: "Measures the workers on real servers: rates, peak memory (VmHWM), latency.",
  usage: "deno task bench [options] pipeline",
  example: "deno task bench pipeline --changes 100000",
  options: {
    changes: { type: "number", value: "N", help: "Changes of each backlog.", default: 1_000_000 },
    "latency-seconds": {
      type: "number",
      value: "N",
      help: "How long each latency is measured.",
      default: 20,
    },
    json: { type: "boolean", help: "Print one JSON object on stdout." },
  },
  positionals: { name: "NAME", help: "What to measure: pipeline.", min: 1, max: 1 },
};

/** A stack of its own, away from a user's and from the tests'. */
const STACK = { name: "bench", port_offset: 4000 };

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { options, positionals: [name] } = parsed;
  if (name !== "pipeline") {
    throw new ConfigError(`There is no benchmark ${name}`, { cure: "deno task bench pipeline" });
  }
  await up(STACK);
  const rows: PipelineRow[] = [];
  try {
    Deno.env.set("LIST_SYNC_STACK", statePath(STACK.name));
    const { benchPipeline } = await import("../../bench/pipeline.ts");
    await benchPipeline({
      changes: Number(options.changes),
      latency_seconds: Number(options["latency-seconds"]),
      tell(row) {
        rows.push(row);
        console.error(`${row.database}: ${row.work} done`);
      },
    });
  } finally {
    await down({ name: STACK.name, wipe: true });
  }
  console.log(
    options.json ? JSON.stringify({ bench: name, rows }) : table(HEADER, rows.map(cells)),
  );
  return EXIT_DONE;
}

const HEADER = [
  "database",
  "work",
  "per second",
  "seconds",
  "peak MB",
  "p50 ms",
  "p95 ms",
  "p99 ms",
];

function cells(row: PipelineRow): string[] {
  const number = (value: number | undefined, digits: number) => value?.toFixed(digits) ?? "";
  return [
    row.database,
    row.work,
    row.per_second === undefined ? "" : count(Math.round(row.per_second)),
    number(row.seconds, 1),
    number(row.peak_megabytes, 0),
    number(row.p50_ms, 1),
    number(row.p95_ms, 1),
    number(row.p99_ms, 1),
  ];
}

if (import.meta.main) await run(main);
