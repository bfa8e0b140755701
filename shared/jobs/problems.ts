/** Says what is wrong with a job, so that its writer can mend it without looking anything up. */
import type { z } from "zod";
import {
  type Document,
  type Path,
  pathKey,
  pathText,
  type Place,
  placesOf,
  valueAt,
} from "./document.ts";
import { nearestHint } from "./nearest.ts";
import { isSecretAt } from "./references.ts";
import { expectation, type JsonSchema, jsonSchema, propertiesOf, schemaAt } from "./schema.ts";

/** One thing that is wrong. */
export interface Problem {
  readonly path: Path;
  readonly place: Place;
  /** What is wrong, the value found, what is allowed, the nearest known name. */
  readonly message: string;
}

/** What a problem is told from. */
export interface Faulty {
  readonly schema: z.ZodType;
  readonly document: Document;
  /** The job with references replaced. */
  readonly value: unknown;
  /** `pathKey` of values that came from outside the file: they are never shown. */
  readonly hidden: ReadonlySet<string>;
}

/** All problems that zod found, in the order of the text. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], faulty: Faulty): Problem[] {
  const root = jsonSchema(faulty.schema);
  return issues
    .flatMap((issue) => problemOf(issue, root, faulty))
    .sort((a, b) => a.place.line - b.place.line || a.place.column - b.place.column);
}

function problemOf(issue: z.core.$ZodIssue, root: JsonSchema, faulty: Faulty): Problem[] {
  const path = issue.path.map((step) => typeof step === "number" ? step : String(step));
  const wanted = schemaAt(root, path);
  const { key, value: place } = placesOf(faulty.document, path);
  const found = valueAt(faulty.value, path);

  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((name) => unknownKey(name, path, wanted, faulty));
  }
  if (issue.code === "custom") return [{ path, place: key, message: issue.message }];
  const branch = issue.code === "invalid_union" ? meantBranch(issue) : undefined;
  if (branch) {
    return branch.flatMap((inner) =>
      problemOf({ ...inner, path: [...issue.path, ...inner.path] }, root, faulty)
    );
  }
  if (found === undefined && path.length > 0) {
    const about = wanted?.description ? ` (${wanted.description.replace(/\.$/, "")})` : "";
    const message = `is missing and has no default; expected ${expectation(wanted)}${about}.`;
    return [{ path, place: key, message }];
  }
  const shown = show(found, path, faulty.hidden);
  const choices = choicesOf(wanted);
  const isChoosing = choices && typeof found === "string" && shown !== "***";
  const hint = isChoosing ? nearestHint(found, choices) : "";
  const isUnquoted = wanted?.type === "string" && ["number", "boolean"].includes(typeof found);
  const isSpecial = !isUnquoted && (issue.code === "invalid_format" || wanted === undefined);
  const reason = isSpecial ? ` (${issue.message})` : "";
  const message = choices
    ? `found ${shown}${hint}. Allowed: ${choices.join(", ")}.`
    : `expected ${expectation(wanted)}${reason}; found ${shown}${
      isUnquoted ? " without quotes" : ""
    }.`;
  return [{ path, place, message }];
}

/** Of several forms the one that was meant: its outer shape fits, and least is wrong inside. */
function meantBranch(issue: z.core.$ZodIssueInvalidUnion): z.core.$ZodIssue[] | undefined {
  const isOuter = (inner: z.core.$ZodIssue) =>
    inner.path.length === 0 && inner.code !== "unrecognized_keys" && inner.code !== "custom";
  return issue.errors.filter((inside) => !inside.some(isOuter))
    .sort((a, b) => a.length - b.length)[0];
}

function unknownKey(
  name: string,
  parent: Path,
  schema: JsonSchema | undefined,
  { document }: Faulty,
): Problem {
  const path = [...parent, name];
  const known = Object.keys(propertiesOf(schema));
  const hint = nearestHint(name, known);
  return {
    path,
    place: placesOf(document, path).key,
    message: `unknown key${hint}. Allowed: ${known.join(", ")}.`,
  };
}

function choicesOf(schema: JsonSchema | undefined): string[] | undefined {
  if (schema?.enum) return schema.enum.map(String);
  return schema?.const === undefined ? undefined : [String(schema.const)];
}

function show(value: unknown, path: Path, hidden: ReadonlySet<string>): string {
  const isHidden = (at: Path) => hidden.has(pathKey(at)) || isSecretAt(at);
  const mask = (inside: unknown, at: Path): unknown => {
    if (inside instanceof Date || typeof inside === "bigint") return String(inside);
    if (typeof inside !== "object" || inside === null) return isHidden(at) ? "***" : inside;
    if (Array.isArray(inside)) return inside.map((item, index) => mask(item, [...at, index]));
    return Object.fromEntries(
      Object.entries(inside).map(([name, item]) => [name, mask(item, [...at, name])]),
    );
  };
  const masked = mask(value, path);
  if (masked === "***") return "***";
  const text = JSON.stringify(masked) ?? "nothing";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/** A problem as one line: `jobs/orders.yaml:12:3 source.prot: unknown key; ...`. */
export function problemText(file: string, problem: Problem): string {
  const { place, path, message } = problem;
  const subject = path.length === 0 ? "" : ` ${pathText(path)}:`;
  return `${file}:${place.line}:${place.column}${subject} ${message}`;
}
