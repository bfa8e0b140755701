/** `deno task ok`: the gate. Everything that needs no server, in under two minutes. */
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";

const SPEC: CommandSpec = {
  name: "ok",
  summary:
    "Checks form, types, unit tests and generated files; runs all of it, then says what failed.",
  usage: "deno task ok",
  example: "deno task ok",
  options: {},
};

const STEPS: readonly (readonly [name: string, ...args: string[]])[] = [
  ["form", "fmt", "--check", "--quiet"],
  ["lint", "lint", "--quiet"],
  ["types", "check", "--quiet", "."],
  ["unit tests", "test", "--quiet", "--parallel", "--no-check", "-A", "tests/unit"],
  ["generated files", "run", "-A", "workers/commands/docs.ts", "--check"],
];

async function main(): Promise<number> {
  if (parseCommand(SPEC, Deno.args) === "help") return EXIT_DONE;
  const failed: string[] = [];
  for (const [name, ...args] of STEPS) {
    const began = performance.now();
    const { code } = await new Deno.Command(Deno.execPath(), { args }).spawn().status;
    const seconds = ((performance.now() - began) / 1000).toFixed(1);
    console.error(`${code === 0 ? "ok    " : "FAILED"} ${name} (${seconds} s)`);
    if (code !== 0) failed.push(`deno ${args.join(" ")}`);
  }
  if (failed.length === 0) return EXIT_DONE;
  console.error(`\nTo see it again:\n${failed.map((line) => `  ${line}`).join("\n")}`);
  return EXIT_FAILED;
}

if (import.meta.main) await run(main);
