/** `deno task remove JOB`: drops what a capture made, so that a forgotten slot fills no disk. */
import { ConfigError } from "../../shared/errors.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import type { Admin } from "../../shared/kafka/port.ts";
import { removePosition } from "../../shared/pipeline/moves.ts";
import { readPosition } from "../../shared/pipeline/positions.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readCapture } from "../runtime/environment.ts";
import { sourceMaker } from "../runtime/sources.ts";

const SPEC: CommandSpec = {
  name: "remove",
  summary:
    "Drops what a capture made: slot and publication, its stored position, on request its topics.",
  usage: "deno task remove [options] JOB",
  example: "deno task remove jobs/capture-pg.yaml",
  options: {
    topics: { type: "boolean", help: "Delete the topics that it wrote as well; needs --yes." },
    yes: { type: "boolean", help: "Really delete the topics, with all that they hold." },
    json: { type: "boolean", help: "Print one JSON object: job, removed." },
  },
  positionals: { name: "JOB", help: "The job file of a capture: .yaml or .toml.", min: 1, max: 1 },
};

export async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, host().args);
  if (parsed === "help") return EXIT_DONE;
  const { options, positionals } = parsed;
  const [path] = positionals;
  const { kind, job, secrets } = readCapture(path!, "leaves nothing on a server to remove");
  const log = commandLog(job, secrets);
  const source = (await sourceMaker(kind, job, { log, now: Date.now }))();
  const client = await openKafka(job.kafka, log);
  const admin = await client.admin();
  const removed: string[] = [];
  const tell = (sentence: string) => {
    removed.push(sentence);
    if (!options.json) console.log(sentence);
  };
  try {
    const identity = { connector: source.connector, name: job.name };
    const stored = await readPosition(admin, identity);
    const topics = options.topics ? await existing(admin, Object.keys(stored?.topics ?? {})) : [];
    if (topics.length > 0 && !options.yes) {
      throw new ConfigError(`--topics deletes ${topics.join(", ")} with all that they hold.`, {
        cure: "add --yes",
      });
    }
    for (const sentence of await source.remove()) tell(sentence);
    if (stored) {
      await removePosition(client, identity, stored.generation, Date.now());
      tell(`Forgot the position of ${source.connector}/${job.name}.`);
    }
    if (topics.length > 0) {
      await admin.deleteTopics(topics);
      for (const topic of topics) tell(`Deleted topic ${topic}.`);
    }
  } finally {
    await source.close();
    await admin.close();
  }
  if (options.json) console.log(JSON.stringify({ job: job.name, removed }));
  else if (removed.length === 0) console.log(`${job.name} has left nothing to remove.`);
  return EXIT_DONE;
}

async function existing(admin: Admin, names: readonly string[]): Promise<string[]> {
  const found = await admin.topics((name) => names.includes(name));
  return found.map(({ name }) => name).sort();
}

if (import.meta.main) await run(main);
