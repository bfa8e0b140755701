/** `deno task docs`: writes what is generated from the schemas, or checks that it is not stale. */
import { ConfigError } from "../../shared/errors.ts";
import { referenceText } from "../../shared/jobs/reference.ts";
import { editorSchema } from "../../shared/jobs/schema.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { jobKinds, type JobKindSpec } from "../jobs.ts";

const SPEC: CommandSpec = {
  name: "docs",
  summary: "Writes jobs/KIND.schema.json and the reference in README.md from the job schemas.",
  usage: "deno task docs [--check]",
  example: "deno task docs --check",
  options: {
    check: { type: "boolean", help: "Write nothing; exit 1 when something is stale." },
  },
};

const BEGIN = "<!-- generated: reference -->";
const END = "<!-- /generated -->";

/** The generated files by path, with the text that they should have. */
export function generatedFiles(readme: string): Map<string, string> {
  const files = new Map<string, string>();
  for (const [name, { schema }] of Object.entries<JobKindSpec>(jobKinds)) {
    const text = JSON.stringify(editorSchema(`list-sync job: ${name}`, schema), undefined, 2);
    files.set(`jobs/${name}.schema.json`, `${text}\n`);
  }
  files.set("README.md", withReference(readme));
  return files;
}

/** The README with its generated part replaced, or added at its end. */
function withReference(readme: string): string {
  const begin = readme.indexOf(BEGIN);
  if (begin < 0) return withReference(`${readme}\n## Reference\n\n${BEGIN}\n${END}\n`);
  const end = readme.indexOf(END, begin);
  if (end < 0) {
    throw new ConfigError(`README.md: ${BEGIN} has no end.`, {
      cure: `put the line ${END} after the reference`,
    });
  }
  const reference = referenceText(jobKinds);
  return `${readme.slice(0, begin + BEGIN.length)}\n\n${reference}\n\n${readme.slice(end)}`;
}

function read(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return Promise.resolve(EXIT_DONE);
  const files = generatedFiles(read("README.md") ?? "");
  const stale = [...files].filter(([path, text]) => read(path) !== text);
  if (parsed.options.check) {
    for (const [path] of stale) console.error(`${path} is stale: run deno task docs`);
    return Promise.resolve(stale.length === 0 ? EXIT_DONE : EXIT_FAILED);
  }
  Deno.mkdirSync("jobs", { recursive: true });
  for (const [path, text] of stale) {
    Deno.writeTextFileSync(path, text);
    console.error(`wrote ${path}`);
  }
  return Promise.resolve(EXIT_DONE);
}

if (import.meta.main) await run(main);
