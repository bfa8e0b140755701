/** `deno task demo`: the whole way, from two databases to CSV files, verified, in one command. */
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_STOPPED, host, type StopSignal } from "../cli/host.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { demo } from "../demo/demo.ts";
import { reportText } from "../demo/report.ts";
import { readSources } from "../demo/sources.ts";

const SPEC: CommandSpec = {
  name: "demo",
  summary: "Brings up Kafka, PostgreSQL and MySQL, writes changes into both databases, captures\n" +
    "them, writes them as CSV files, and compares the lists rebuilt from the files with the tables.",
  usage: "deno task demo [options]",
  example: "deno task demo --rows 100000 --sources pg",
  options: {
    "rows": {
      type: "number",
      help: "Changes for each source: half inserts, a quarter each of updates and deletes.",
      default: 1_000_000,
    },
    "sources": {
      type: "string",
      value: "NAMES",
      help: "Which databases.",
      default: "pg,mysql",
    },
    "json": { type: "boolean", help: "Write the result as one JSON object on stdout." },
    "keep": { type: "boolean", help: "Leave the servers up." },
    "name": { type: "string", value: "NAME", help: "Which stack.", default: "demo" },
    "port-offset": {
      type: "number",
      help: "Added to every port of the servers; left out: the first at which all are free.",
    },
  },
};

async function main(args: readonly string[]): Promise<number> {
  const parsed = parseCommand(SPEC, args);
  if (parsed === "help") return EXIT_DONE;
  const { rows, sources, json, keep, name, "port-offset": port_offset } = parsed.options;
  if (!Number.isInteger(rows) || (rows as number) < 100) {
    throw new ConfigError(`demo: --rows is ${rows}; allowed are whole numbers from 100.`);
  }
  const controller = stopAtSignals();
  try {
    const report = await demo(
      {
        rows: rows as number,
        sources: readSources(sources as string),
        name: name as string,
        port_offset: port_offset as number | undefined,
        keep: keep === true,
      },
      controller.signal,
      (text) => console.error(text),
    );
    console.log(json ? JSON.stringify(report) : reportText(report));
    return report.verified ? EXIT_DONE : EXIT_FAILED;
  } catch (error) {
    if (!controller.signal.aborted) throw error;
    return EXIT_STOPPED[controller.signal.reason as StopSignal];
  }
}

/** The first signal ends the demo in order, the second at once. */
function stopAtSignals(): AbortController {
  const controller = new AbortController();
  host().onStop((signal) => {
    if (controller.signal.aborted) Deno.exit(EXIT_STOPPED[signal]);
    console.error(`${signal}: ending the workers and the servers.`);
    controller.abort(signal);
  });
  return controller;
}

if (import.meta.main) await run(() => main(Deno.args));
