/** `deno task snapshot JOB TABLE …`: asks a running capture to read tables again while it goes on. */
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readJob } from "../runtime/environment.ts";
import { isCapture, sourceMaker } from "../runtime/sources.ts";

const SPEC: CommandSpec = {
  name: "snapshot",
  summary:
    "Asks a capture to read tables again, chunk by chunk, while its stream goes on: writes a" +
    " row into the job's signal table.",
  usage: "deno task snapshot [options] JOB TABLE …",
  example: "deno task snapshot jobs/capture-pg.yaml public.list",
  options: {
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
  const { kind, job, secrets, where } = readJob(path!);
  if (!isCapture(kind)) {
    throw new ConfigError(`${where(["job"])} job: ${kind} reads no tables.`, {
      cure: "name the job file of a capture",
    });
  }
  const captureJob = job as Extract<typeof job, { source: unknown }>;
  if (captureJob.source.signal_table === undefined) {
    throw new ConfigError(`${where(["source"])} source: signal_table is not set.`, {
      cure:
        "CREATE TABLE list_sync_signal (id VARCHAR(64) PRIMARY KEY, type VARCHAR(32) NOT NULL," +
        " data TEXT), name it in source.signal_table, and start the capture again",
    });
  }
  const log = commandLog(job, secrets);
  const source = (await sourceMaker(kind, captureJob, { log, now: Date.now }))();
  await source.signal(tables);
  if (parsed.options.json) console.log(JSON.stringify({ job: job.name, requested: tables }));
  else console.log(`Asked ${job.name} to read ${tables.join(", ")}; its log tells how it goes.`);
  return EXIT_DONE;
}

if (import.meta.main) await run(main);
