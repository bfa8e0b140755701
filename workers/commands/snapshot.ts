/** `deno task snapshot JOB TABLE ...`: asks a running capture to read tables again while it goes on. */
import { ConfigError } from "../../shared/errors.ts";
import { globSelection, isPattern } from "../../shared/jobs/glob.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";
import type { KeyRange } from "../../shared/sources/incremental.ts";
import { createSignalTable } from "../../shared/sources/snapshot_options.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readCapture } from "../runtime/environment.ts";
import { sourceMaker } from "../runtime/sources.ts";

const SPEC: CommandSpec = {
  name: "snapshot",
  summary:
    "Asks a capture to read tables again, chunk by chunk, while its stream goes on: writes a" +
    " row into the job's signal table.",
  usage: "deno task snapshot [options] JOB TABLE ...",
  example: "deno task snapshot jobs/capture-pg.yaml public.list",
  options: {
    from: {
      type: "string",
      value: "KEY",
      help: "Only rows with this key and greater ones; a key of several columns, or the first of" +
        " them, as a JSON array.",
    },
    to: { type: "string", value: "KEY", help: "Only rows up to this key, which is included." },
    json: { type: "boolean", help: "Print one JSON object: job, requested." },
  },
  positionals: {
    name: "JOB TABLE",
    help: "The job file of a capture, and tables as schema.table (MySQL: database.table).",
    min: 2,
    max: 100,
  },
};

export async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, host().args);
  if (parsed === "help") return EXIT_DONE;
  const [path, ...tables] = parsed.positionals;
  const { kind, job, secrets, where } = readCapture(path!, "reads no tables");
  if (job.source.signal_table === undefined) {
    throw new ConfigError(`${where(["source"])} source: signal_table is not set.`, {
      cure:
        `${createSignalTable("list_sync_signal")} name it in source.signal_table, and start the` +
        " capture again",
    });
  }
  refuseOthers(job.source, tables);
  const log = commandLog(job, secrets);
  const source = (await sourceMaker(kind, job, { log, now: Date.now }))();
  await source.signal(tables, rangeOf(parsed.options));
  if (parsed.options.json) console.log(JSON.stringify({ job: job.name, requested: tables }));
  else console.log(`Asked ${job.name} to read ${tables.join(", ")}; its log reports the progress.`);
  return EXIT_DONE;
}

/** Throws ConfigError for a table that the job does not capture: its capture would refuse it, in its log. */
export function refuseOthers(
  source: { readonly tables: readonly string[]; readonly exclude_tables: readonly string[] },
  tables: readonly string[],
): void {
  const isCaptured = globSelection(source.tables, source.exclude_tables);
  const other = tables.find((table) => !isCaptured(table));
  if (other === undefined) return;
  throw new ConfigError(
    `snapshot: the job does not capture ${JSON.stringify(other)}${
      nearestHint(other, source.tables.filter((name) => !isPattern(name)))
    }. Allowed: what source.tables names (${
      source.tables.join(", ")
    }) and source.exclude_tables does not.`,
  );
}

/** Between which keys, from the options `from` and `to`; undefined: all. Throws ConfigError. */
export function rangeOf({ from, to }: Record<string, OptionValue>): KeyRange | undefined {
  if (from === undefined && to === undefined) return undefined;
  return {
    ...from !== undefined && { from: keyOf("from", String(from)) },
    ...to !== undefined && { to: keyOf("to", String(to)) },
  };
}

/** The values of a key: text that begins like a JSON array is one. */
function keyOf(name: string, text: string): string[] {
  if (!text.startsWith("[")) return [text];
  const isValue = (value: unknown) => typeof value === "string" || Number.isSafeInteger(value);
  try {
    const values: unknown = JSON.parse(text);
    if (Array.isArray(values) && values.length > 0 && values.every(isValue)) {
      return values.map(String);
    }
  } catch {
    // told below
  }
  throw new ConfigError(`--${name}: found ${text}. Allowed: a value, or a JSON array of them.`, {
    cure: `write --${name} '["eu", 42]'`,
  });
}

if (import.meta.main) await run(main);
