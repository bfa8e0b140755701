/** The reference of jobs and metrics as Markdown, made from the schemas and from nothing else. */
import type { z } from "zod";
import { METRICS } from "../observe/metrics.ts";
import { expectation, type JsonSchema, jsonSchema } from "./schema.ts";

/** What the reference needs to know of a job kind. */
export interface ReferenceKind {
  readonly summary: string;
  readonly command: string;
  readonly schema: z.ZodType;
}

/** A part longer than this is written once, and named where another kind has the same. */
const SHARED_ROWS = 2;

/** The reference of all `kinds`, then the table of metrics. */
export function referenceText(kinds: Readonly<Record<string, ReferenceKind>>): string {
  const written = new Map<string, string>();
  const sections = Object.entries(kinds).map(([name, kind]) => kindSection(name, kind, written));
  return [...sections, metricsSection()].join("\n\n");
}

function kindSection(name: string, kind: ReferenceKind, written: Map<string, string>): string {
  const rows = rowsOf(jsonSchema(kind.schema), [], name, written);
  return [
    `### \`${name}\``,
    "",
    `${kind.summary} Started by \`deno task ${kind.command} JOB\`.`,
    "",
    "| option | value | default | meaning |",
    "|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function rowsOf(
  schema: JsonSchema,
  path: readonly string[],
  kind: string,
  written: Map<string, string>,
): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, property]) => {
    const inside = [...path, name];
    const object = objectIn(property);
    const isRequired = schema.required?.includes(name) ?? false;
    if (!object) return [row(inside, property, isRequired)];
    const heading = row(inside, property, isRequired);
    const content = JSON.stringify([inside, { ...object, description: undefined }]);
    const first = written.get(content);
    if (first !== undefined) return [`| \`${inside.join(".")}\` |  |  | As in \`${first}\`. |`];
    const rows = rowsOf(object, itemPath(inside, property), kind, written);
    if (rows.length > SHARED_ROWS) written.set(content, kind);
    return [heading, ...rows];
  });
}

/** The keys and values that a property holds, directly, in a list or as one of its forms. */
function objectIn(schema: JsonSchema): JsonSchema | undefined {
  if (schema.properties) return schema;
  if (schema.items?.properties) return schema.items;
  return schema.anyOf?.find((form) => form.properties);
}

function itemPath(path: readonly string[], schema: JsonSchema): readonly string[] {
  return schema.items ? [...path.slice(0, -1), `${path.at(-1)}[]`] : path;
}

function row(path: readonly string[], schema: JsonSchema, isRequired: boolean): string {
  const object = objectIn(schema);
  const value = object && object === schema
    ? ""
    : object && schema.items
    ? "a list of keys and values"
    : expectation(schema).replace(/ \([^)]*\)/, "");
  const fallback = isRequired
    ? "required"
    : schema.default === undefined || object === schema
    ? ""
    : `\`${JSON.stringify(schema.default)}\``;
  return `| \`${path.join(".")}\` | ${cell(value)} | ${cell(fallback)} | ${
    cell(schema.description ?? "")
  } |`;
}

function metricsSection(): string {
  const rows = Object.values(METRICS).map(({ name, type, labels, help }) =>
    `| \`${name}\` | ${type} | ${labels.map((label) => `\`${label}\``).join(", ")} | ${
      cell(help)
    } |`
  );
  return [
    "### Metrics",
    "",
    "Prometheus text on `observe.metrics_port` under `/metrics`.",
    "",
    "| name | type | labels | meaning |",
    "|---|---|---|---|",
    ...rows,
  ].join("\n");
}

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("\n", " ");
}
