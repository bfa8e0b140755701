import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { type CommandSpec, parseCommand, usageText } from "../../../workers/cli/arguments.ts";

const SPEC: CommandSpec = {
  name: "seed",
  summary: "Writes rows.",
  usage: "deno task seed [options] JOB",
  example: "deno task seed --rows 10 jobs/seed.yaml",
  options: {
    rows: { type: "number", help: "Changes to make.", default: 1000 },
    log: { type: "string", value: "json|text", help: "Form of the log." },
    keep: { type: "boolean", help: "Leave it." },
  },
  positionals: { name: "JOB", help: "The job file.", min: 1, max: 2 },
};

function given(...args: string[]) {
  const parsed = parseCommand(SPEC, args);
  assert.notEqual(parsed, "help");
  return parsed as Exclude<typeof parsed, "help">;
}

function refusal(...args: string[]): string {
  try {
    parseCommand(SPEC, args);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message;
  }
  assert.fail(`accepted ${args.join(" ")}`);
}

Deno.test("options stand before and after positionals, with a space or an equals sign", () => {
  const wanted = { options: { rows: 10, log: "text", keep: true }, positionals: ["a", "b"] };
  assert.deepEqual(given("--rows", "10", "a", "--log=text", "b", "--keep"), wanted);
  assert.deepEqual(given("a", "--rows=1_0", "--keep=true", "--log", "text", "--", "b"), wanted);
});

Deno.test("defaults hold where nothing is given, and --no-NAME turns off", () => {
  assert.deepEqual(given("a").options, { rows: 1000, log: undefined, keep: undefined });
  assert.equal(given("a", "--keep", "--no-keep").options.keep, false);
  assert.deepEqual(given("--", "--rows").positionals, ["--rows"]);
});

Deno.test("an unknown option is refused with the nearest and all known ones", () => {
  assert.equal(
    refusal("a", "--row", "10"),
    'seed: unknown option --row; nearest is "--rows". Allowed: --rows, --log, --keep, --help.',
  );
  assert.match(refusal("a", "--constructor"), /unknown option --constructor\. Allowed/);
});

Deno.test("missing and wrong values are refused by name", () => {
  assert.equal(refusal("a", "--rows"), "seed: --rows needs a value, and none follows.");
  assert.equal(refusal("a", "--log", "--keep"), "seed: --log needs a value, and none follows.");
  assert.equal(refusal("a", "--rows", "many"), 'seed: --rows takes a number; found "many".');
  assert.equal(refusal("a", "--rows="), 'seed: --rows takes a number; found "".');
  assert.equal(refusal("a", "--keep=maybe"), '--keep is true or false; found "maybe".');
});

Deno.test("too few and too many positionals are refused with what was found", () => {
  assert.equal(refusal(), "seed takes 1 to 2 JOB; none was given.");
  assert.equal(refusal("a", "b", "c"), 'seed takes 1 to 2 JOB; found 3: "a" "b" "c".');
});

Deno.test("the usage shows summary, usage, example, every option and its default", () => {
  assert.equal(
    usageText(SPEC),
    `Writes rows.

Usage:   deno task seed [options] JOB
Example: deno task seed --rows 10 jobs/seed.yaml

  JOB              The job file.
  --rows N         Changes to make. (default 1000)
  --log json|text  Form of the log.
  --keep           Leave it.
  --help           Show this text.`,
  );
});

Deno.test("long help is broken between words, below where it begins", () => {
  const help = "word ".repeat(40).trim();
  const text = usageText({ ...SPEC, options: { long: { type: "boolean", help } } });
  for (const line of text.split("\n")) assert.ok(line.length <= 100, line);
  assert.match(text, /--long +word[ word]*\n +word/);
  assert.equal(text.match(/word/g)!.length, 40);
});
