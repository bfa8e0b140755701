/** `list-sync COMMAND ...`: the commands of people in one program, with the jobs in threads of it. */
import { ConfigError } from "../shared/errors.ts";
import { nearestHint } from "../shared/jobs/nearest.ts";
import { type CommandSpec, parseCommand } from "./cli/arguments.ts";
import { host, setHost } from "./cli/host.ts";
import { EXIT_DONE, run } from "./cli/main.ts";
import type { JobKindSpec } from "./jobs.ts";

/** What a command does when it is named; it reads its arguments from the host. */
type Command = () => Promise<number>;

const COMMANDS: Record<string, Command> = {
  "capture": launching("capture"),
  "consume": launching("consume"),
  "seed": launching("seed"),
  "verify": launching("verify"),
  "check": async () => (await import("./commands/check.ts")).main(),
  "positions": async () => (await import("./commands/positions.ts")).main(),
  "snapshot": async () => (await import("./commands/snapshot.ts")).main(),
  "dead-letters": async () => (await import("./commands/dead_letters.ts")).main(),
  "remove": async () => (await import("./commands/remove.ts")).main(),
};

const SPEC: CommandSpec = {
  name: "list-sync",
  summary:
    "Does what `deno task COMMAND` does; the jobs run in threads of one process, each with just\n" +
    "the permissions that it needs.",
  usage: "deno task list-sync COMMAND [options] [JOB...]",
  example: "deno task list-sync consume jobs/consume-csv.yaml",
  options: {},
  positionals: {
    name: "COMMAND",
    help: `${Object.keys(COMMANDS).join(", ")}; COMMAND --help says more.`,
    min: 1,
    max: Infinity,
  },
};

function launching(name: JobKindSpec["command"]): Command {
  return async () => {
    const [{ launch }, { threads }] = await Promise.all([
      import("./launcher/launcher.ts"),
      import("./launcher/threads.ts"),
    ]);
    return await launch(name, threads);
  };
}

await run(async () => {
  const [name = "", ...args] = host().args;
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (command !== undefined) {
    setHost({ ...host(), args });
    return await command();
  }
  if (parseCommand(SPEC, host().args) === "help") return EXIT_DONE;
  throw new ConfigError(
    `list-sync: unknown command ${name}${nearestHint(name, Object.keys(COMMANDS))}.` +
      ` Allowed: ${Object.keys(COMMANDS).join(", ")}.`,
  );
});
