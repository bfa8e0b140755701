/** `deno task permissions JOB`: the command line of a worker, for containers and service managers. */
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { quoted } from "../cli/shell.ts";
import { readJob } from "../runtime/environment.ts";
import { askBrokers, grantsOf } from "../launcher/grants.ts";
import { cacheModules, processes, workerArguments } from "../launcher/processes.ts";

const SPEC: CommandSpec = {
  name: "permissions",
  summary: "Prints the command line that runs a job's worker with the least permissions.",
  usage: "deno task permissions [options] JOB",
  example: "deno task permissions --offline jobs/capture-pg.yaml",
  options: {
    offline: {
      type: "boolean",
      help: "Ask no broker: allow the addresses in the job alone, not those that are advertised.",
    },
    json: { type: "boolean", help: "Print one JSON object: net, read, write, env, command." },
  },
  positionals: { name: "JOB", help: "The job file: .yaml or .toml.", min: 1, max: 1 },
};

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const path = parsed.positionals[0]!;
  const file = { path, loaded: readJob(path) };
  await cacheModules([file]);
  const advertised = parsed.options.offline ? [] : await askBrokers(file, processes);
  const permissions = grantsOf(file, advertised);
  const command = ["deno", ...workerArguments(file, permissions)];
  if (parsed.options.json) {
    console.log(JSON.stringify({ ...permissions, command }));
    return EXIT_DONE;
  }
  console.log(command.map(quoted).join(" "));
  // For people: a program that takes the line has no use for it.
  if (permissions.env.length > 0 && Deno.stdout.isTerminal()) {
    console.error(`Its environment needs no more than: ${permissions.env.join(" ")}`);
  }
  return EXIT_DONE;
}

if (import.meta.main) await run(main);
