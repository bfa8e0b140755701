/** `deno task bench NAME`: measures on a stack of its own and prints a table. */
import { freePortOffset } from "../../compose/native/ports.ts";
import { down, STACK_PORTS, up } from "../../compose/native/stack.ts";
import { statePath } from "../../compose/native/state.ts";
import type { Bench, BenchRow } from "../../bench/bench.ts";
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { count } from "../cli/figures.ts";
import { table } from "../cli/table.ts";

const BENCHES: Readonly<Record<string, () => Promise<{ bench: Bench }>>> = {
  clients: () => import("../../bench/clients.ts"),
  pipeline: () => import("../../bench/pipeline.ts"),
  snapshot: () => import("../../bench/snapshot.ts"),
};

const NAMES = Object.keys(BENCHES).join(", ");

const SPEC: CommandSpec = {
  name: "bench",
  summary: "Measures the workers on real servers: rates, peak memory (VmHWM), latency.",
  usage: "deno task bench [options] NAME",
  example: "deno task bench pipeline --changes 100000",
  options: {
    changes: {
      type: "number",
      value: "N",
      help: "Changes of each backlog, rows of each snapshot.",
      default: 1_000_000,
    },
    "latency-seconds": {
      type: "number",
      value: "N",
      help: "How long each latency is measured.",
      default: 20,
    },
    json: { type: "boolean", help: "Print one JSON object on stdout." },
  },
  positionals: { name: "NAME", help: `What to measure: ${NAMES}.`, min: 1, max: 1 },
};

async function main(): Promise<number> {
  if (Deno.args[0] === "consumers") {
    return await (await import("../../bench/consumers.ts")).main(Deno.args.slice(1));
  }
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { options, positionals: [name] } = parsed;
  if (!Object.hasOwn(BENCHES, name!)) {
    throw new ConfigError(`There is no benchmark ${name}`, { cure: `one of ${NAMES}` });
  }
  const stack = { name: `bench-${Deno.pid}`, port_offset: freePortOffset(STACK_PORTS) };
  await up(stack);
  const rows: BenchRow[] = [];
  try {
    Deno.env.set("LIST_SYNC_STACK", statePath(stack.name));
    const { bench } = await BENCHES[name!]!();
    await bench({
      changes: Number(options.changes),
      latency_seconds: Number(options["latency-seconds"]),
      tell(row) {
        rows.push(row);
        console.error(Object.values(row).join("  "));
      },
    });
  } finally {
    await down({ name: stack.name, wipe: true });
  }
  console.log(options.json ? JSON.stringify({ bench: name, rows }) : text(rows));
  return EXIT_DONE;
}

/** The rows as a table; a column for every name that a row has. */
function text(rows: readonly BenchRow[]): string {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  return table(
    columns.map((column) => column.replaceAll("_", " ")),
    rows.map((row) => columns.map((column) => cell(row[column]))),
  );
}

function cell(value: string | number | undefined): string {
  if (typeof value !== "number") return value ?? "";
  return value < 1000 ? value.toFixed(1) : count(Math.round(value));
}

if (import.meta.main) await run(main);
