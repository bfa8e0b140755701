/** The command line of a worker, apart from it: the launcher takes the same and loads nothing that runs it. */
import { ConfigError } from "../../shared/errors.ts";
import type { CommandSpec, OptionValue } from "../cli/arguments.ts";
import { type JobKind, jobKind } from "../jobs.ts";
import { overrideOptions } from "./overrides.ts";

/** The command line of a worker; the launcher passes the same options on. */
export function workerSpec(kind: JobKind): CommandSpec {
  const { summary, worker, command, example } = jobKind(kind);
  return {
    name: worker.replace(/\.ts$/, ""),
    summary,
    usage: `deno task ${command} [options] JOB`,
    example: `deno task ${command} ${example}`,
    options: {
      "log": {
        type: "string",
        value: "json|text",
        help: "Form of the log lines; left out: text on a terminal, else json.",
      },
      "json": { type: "boolean", help: "Write the result as one JSON object on stdout." },
      ...overrideOptions(kind),
    },
    positionals: { name: "JOB", help: "The job file: .yaml or .toml.", min: 1, max: 1 },
  };
}

/** The form of the log lines that `--log` asks for, or that whoever reads stderr can use. */
export function logFormat(option: OptionValue): "json" | "text" {
  if (option === undefined) return Deno.stderr.isTerminal() ? "text" : "json";
  if (option === "json" || option === "text") return option;
  throw new ConfigError(`--log: found ${JSON.stringify(option)}. Allowed: json, text.`);
}
