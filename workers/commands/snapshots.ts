/** `deno task snapshots`: every kind of snapshot under writes, round after round with other seeds. */
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";

const SPEC: CommandSpec = {
  name: "snapshots",
  summary:
    "Writes tables while snapshots of every kind read them, kills captures in between, and compares\n" +
    "what the topics fold to with the tables: `deno task test` does a round or two, this as many as asked.",
  usage: "deno task snapshots [options]",
  example: "deno task snapshots --rounds 10",
  options: {
    rounds: {
      type: "number",
      help: "Rounds of each kind, each with a seed of its own.",
      default: 10,
    },
    seed: { type: "number", help: "Seed of the first round.", default: 1 },
  },
};

const TESTS = ["tests/contract/snapshot_test.ts", "tests/contract/incremental_test.ts"];

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { rounds, seed } = parsed.options;
  const { code } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", "test", ...TESTS],
    env: { LIST_SYNC_SNAPSHOT_ROUNDS: String(rounds), LIST_SYNC_SNAPSHOT_SEED: String(seed) },
    stdin: "null",
  }).spawn().status;
  return code;
}

if (import.meta.main) await run(main);
