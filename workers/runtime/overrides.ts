/** Fields of a job that the command line may give instead of the file. */
import { jsonSchema } from "../../shared/jobs/schema.ts";
import type { OptionSpec, OptionValue } from "../cli/arguments.ts";
import { type JobKind, jobKind } from "../jobs.ts";

/** One option per overridable field of the kind: `rows` is `--rows N`, `batch_size` `--batch-size N`. */
export function overrideOptions(kind: JobKind): Record<string, OptionSpec> {
  const { schema, overrides } = jobKind(kind);
  const properties = jsonSchema(schema).properties ?? {};
  return Object.fromEntries(overrides.map((field) => {
    const { type, description = "" } = properties[field] ?? {};
    const help = `Instead of the job's \`${field}\`: ${description}`;
    const isNumber = type === "integer" || type === "number";
    return [optionName(field), {
      type: isNumber ? "number" : type === "boolean" ? "boolean" : "string",
      help,
    }];
  }));
}

/** The fields that were given, by their names in the job. */
export function readOverrides(
  kind: JobKind,
  options: Readonly<Record<string, OptionValue>>,
): Record<string, OptionValue> {
  const given = jobKind(kind).overrides.map((field) =>
    [field, options[optionName(field)]] as const
  );
  return Object.fromEntries(given.filter(([, value]) => value !== undefined));
}

function optionName(field: string): string {
  return field.replaceAll("_", "-");
}
