/** Reads, resolves and validates a job file: every problem at once, before anything connects. */
import { dirname, isAbsolute, join } from "node:path";
import type { z } from "zod";
import { ConfigError } from "../errors.ts";
import { type Document, type Path, pathKey, placesOf, SyntaxProblem, valueAt } from "./document.ts";
import { nearestHint } from "./nearest.ts";
import { type Problem, problemsOf, problemText } from "./problems.ts";
import { isSecretAt, type Resolved, resolveReferences } from "./references.ts";
import { readToml } from "./toml.ts";
import { readYaml } from "./yaml.ts";

/** The job kinds that may stand in `job:`, by name. */
export type JobKinds = Readonly<Record<string, { readonly schema: z.ZodType }>>;

/** Where a job reads what does not stand in it. */
export interface JobEnvironment {
  /** An environment variable; `secret`: its name or its place in the job says so. */
  env: (name: string, secret: boolean) => string | undefined;
  readTextFile: (path: string) => string;
  /** Top-level values that replace the file's: options of the command line. */
  overrides?: Readonly<Record<string, unknown>>;
}

/** A valid job of the kind `Kind`. */
export interface LoadedJob<Kinds extends JobKinds, Kind extends keyof Kinds> {
  readonly kind: Kind;
  readonly job: z.output<Kinds[Kind]["schema"]>;
  /** Values that must not be shown: passwords and the like, and what came from files. */
  readonly secrets: readonly string[];
  /** Names of the environment variables that the job asks for. */
  readonly environment: readonly string[];
  /** Files that the job names by `${file:...}`, relative to where the job file is. */
  readonly files: readonly string[];
  /** `file:line:column` of a value of the job, for errors that come later. */
  readonly where: (path: Path) => string;
}

/** `LoadedJob` of any kind: `kind` tells which. */
export type AnyJob<Kinds extends JobKinds> = {
  [Kind in keyof Kinds]: LoadedJob<Kinds, Kind>;
}[keyof Kinds];

/**
 * Reads the job at `path` (`.yaml`, `.yml` or `.toml`). Throws one ConfigError that lists every
 * problem with file, line, column, the value found and what is allowed; secrets are shown as `***`.
 */
export function loadJob<Kinds extends JobKinds>(
  path: string,
  kinds: Kinds,
  environment: JobEnvironment,
): AnyJob<Kinds> {
  const document = readDocument(path, environment);
  const place = (at: Path) => {
    const { line, column } = placesOf(document, at).key;
    return `${path}:${line}:${column}`;
  };
  const kind = kindOf(path, document, kinds);
  const resolved = resolveReferences(document.value, {
    env: environment.env,
    file: (name) => environment.readTextFile(besideJob(path, name)),
  });
  if (resolved.faults.length > 0) {
    throw refusal(
      path,
      resolved.faults.map((fault) => ({
        ...fault,
        place: placesOf(document, fault.path).value,
      })),
    );
  }
  const job = validate(path, kinds[kind]!.schema, document, resolved, environment.overrides ?? {});
  return {
    kind,
    job: job as z.output<Kinds[typeof kind]["schema"]>,
    secrets: [...new Set([...resolved.secrets, ...secretsIn(job)])],
    environment: resolved.environment,
    files: resolved.files.map((name) => besideJob(path, name)),
    where: place,
  };
}

/**
 * Reads a file of another kind, in which nothing is replaced, with the same errors. `what` it is:
 * "scenario".
 */
export function loadFile<Schema extends z.ZodType>(
  path: string,
  what: string,
  schema: Schema,
  environment: Pick<JobEnvironment, "readTextFile">,
): z.output<Schema> {
  const document = readDocument(path, environment, what);
  const { value } = document;
  const resolved = {
    value,
    referenced: new Map(),
    environment: [],
    files: [],
    secrets: [],
    faults: [],
  };
  return validate(path, schema, document, resolved, {}) as z.output<Schema>;
}

function readDocument(
  path: string,
  { readTextFile }: Pick<JobEnvironment, "readTextFile">,
  what = "job",
): Document {
  let text: string;
  try {
    text = readTextFile(path);
  } catch (error) {
    throw new ConfigError(`Cannot read the ${what} file ${path}.`, {
      cure: "name a .yaml or .toml file that exists and may be read",
      cause: error,
    });
  }
  try {
    if (/\.ya?ml$/.test(path)) return readYaml(text);
    if (/\.toml$/.test(path)) return readToml(text);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    const { place, message } = error;
    throw new ConfigError(`${path}:${place.line}:${place.column} ${message}`);
  }
  throw new ConfigError(`${path}: a ${what} file ends in .yaml, .yml or .toml.`);
}

function besideJob(job: string, name: string): string {
  return isAbsolute(name) ? name : join(dirname(job), name);
}

function kindOf<Kinds extends JobKinds>(
  path: string,
  document: Document,
  kinds: Kinds,
): keyof Kinds & string {
  const known = Object.keys(kinds);
  const name = valueAt(document.value, ["job"]);
  if (typeof name === "string" && Object.hasOwn(kinds, name)) return name;
  const hint = typeof name === "string" ? nearestHint(name, known) : "";
  const { value } = document;
  if (typeof value !== "object" || Array.isArray(value)) {
    const found = Array.isArray(value) ? "a list" : "text";
    throw new ConfigError(`${path}: expected keys and values, as in jobs/; found ${found}.`);
  }
  const message = name === undefined
    ? `"job" is missing: it says what kind of job this is.`
    : `found ${JSON.stringify(name)}${hint}.`;
  const place = placesOf(document, ["job"]).value;
  throw refusal(path, [{
    path: ["job"],
    place,
    message: `${message} Allowed: ${known.join(", ")}.`,
  }]);
}

function validate(
  path: string,
  schema: z.ZodType,
  document: Document,
  resolved: Resolved,
  overrides: Readonly<Record<string, unknown>>,
): unknown {
  const given = Object.entries(overrides).filter(([, value]) => value !== undefined);
  const value = { ...resolved.value as object, ...Object.fromEntries(given) };
  const first = schema.safeParse(value);
  if (first.success) return first.data;
  const coerced = coerce(value, first.error.issues, resolved);
  const second = schema.safeParse(coerced);
  if (second.success) return second.data;
  const problems = problemsOf(second.error.issues, {
    schema,
    document,
    value: coerced,
    hidden: new Set(resolved.referenced.keys()),
  });
  throw refusal(path, problems, new Set(given.map(([name]) => name)));
}

/** Texts that a reference brought, turned into the number, boolean or list that the schema wants. */
function coerce(
  value: unknown,
  issues: readonly z.core.$ZodIssue[],
  { referenced }: Resolved,
): unknown {
  const copy = structuredClone(value);
  for (const issue of issues.flatMap(insideUnions)) {
    const path = issue.path as (string | number)[];
    const text = valueAt(copy, path);
    if (referenced.get(pathKey(path)) !== true || typeof text !== "string") continue;
    if (issue.code !== "invalid_type") continue;
    const parent = valueAt(copy, path.slice(0, -1)) as Record<string | number, unknown>;
    parent[path.at(-1)!] = convert(text, issue.expected) ?? text;
  }
  return copy;
}

/** What each form of a union misses, at its place in the job. */
function insideUnions(issue: z.core.$ZodIssue): z.core.$ZodIssue[] {
  if (issue.code !== "invalid_union") return [issue];
  return issue.errors.flat().flatMap((inner) =>
    insideUnions({ ...inner, path: [...issue.path, ...inner.path] })
  );
}

function convert(text: string, type: string): unknown {
  if (type === "number" || type === "int") {
    return text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined;
  }
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : undefined;
  if (type === "array") return text.split(",").map((item) => item.trim());
  return undefined;
}

function secretsIn(value: unknown, path: Path = []): string[] {
  if (typeof value === "string") return isSecretAt(path) && value !== "" ? [value] : [];
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([key, inside]) => secretsIn(inside, [...path, key]));
}

function refusal(
  path: string,
  problems: readonly Problem[],
  overridden: ReadonlySet<string> = new Set(),
): ConfigError {
  const lines = problems.map((problem) =>
    overridden.has(String(problem.path[0]))
      ? `--${String(problem.path[0]).replaceAll("_", "-")}: ${problem.message}`
      : problemText(path, problem)
  );
  return new ConfigError(
    lines.length === 1 ? lines[0]! : `${path}: ${lines.length} problems\n${lines.join("\n")}`,
  );
}
