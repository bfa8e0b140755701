/** `${env:NAME}`, `${env:NAME:-default}` and `${file:path}` inside the values of a job. */
import { type Path, pathKey } from "./document.ts";

/** What references read from. */
export interface Outside {
  /** An environment variable; undefined: not set. `secret`: its name or its place says so. */
  env(name: string, secret: boolean): string | undefined;
  /** A file's text; `path` is as written, still relative to the job file. */
  file(path: string): string;
}

/** A value with its references replaced. */
export interface Resolved {
  readonly value: unknown;
  /** `pathKey` of the values that held a reference; true: the reference was the whole value. */
  readonly referenced: ReadonlyMap<string, boolean>;
  /** Names of the environment variables that were asked for, set or not. */
  readonly environment: readonly string[];
  /** Paths of the files that were read, as written. */
  readonly files: readonly string[];
  /** What was read from files, and from variables whose name says that they are secret. */
  readonly secrets: readonly string[];
  readonly faults: readonly { readonly path: Path; readonly message: string }[];
}

/** Names of keys and variables whose values are never shown. */
export const SECRET_NAME = /pass(word|phrase)?$|passwd|secret|token|credential|private_?key|^key$/i;

/** Whether what stands at `path` is never shown. Below `tls` a `key` is a private one, elsewhere a row's. */
export function isSecretAt(path: Path): boolean {
  return path.some((step, at) =>
    SECRET_NAME.test(String(step)) && (step !== "key" || path[at - 1] === "tls")
  );
}

const REFERENCE = /\$\{([^}]*)\}/g;
const ENV = /^env:([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$/s;
const FILE = /^file:(.+)$/s;

/** Replaces the references in every text inside `value`. What they bring is not looked at again. */
export function resolveReferences(value: unknown, outside: Outside): Resolved {
  const referenced = new Map<string, boolean>();
  const environment = new Set<string>();
  const files = new Set<string>();
  const secrets = new Set<string>();
  const faults: { path: Path; message: string }[] = [];

  const lookUp = (reference: string, at: Path): string => {
    const [, name, fallback] = ENV.exec(reference) ?? [];
    if (name !== undefined) {
      environment.add(name);
      const hasSecretName = SECRET_NAME.test(name);
      const given = outside.env(name, hasSecretName || isSecretAt(at));
      const found = given && withoutLineEnd(given) || fallback;
      if (found === undefined) throw new Error(notSet(name, given));
      if (hasSecretName) secrets.add(found);
      return found;
    }
    const path = FILE.exec(reference)?.[1];
    if (path === undefined) {
      throw new Error(
        `unknown reference \${${reference}}. ` +
          "Allowed: ${env:NAME}, ${env:NAME:-default}, ${file:path}.",
      );
    }
    files.add(path);
    const found = readFile(outside, path);
    secrets.add(found);
    return found;
  };

  const resolve = (inside: unknown, path: Path): unknown => {
    if (typeof inside === "string") {
      if (!inside.includes("${")) return inside;
      referenced.set(pathKey(path), /^\$\{[^}]*\}$/.test(inside));
      try {
        if (inside.replaceAll(REFERENCE, "").includes("${")) {
          throw new Error("a reference begins with ${ and does not end: write ${env:NAME}.");
        }
        return inside.replace(REFERENCE, (_, reference: string) => lookUp(reference, path));
      } catch (error) {
        faults.push({ path, message: (error as Error).message });
        return inside;
      }
    }
    if (Array.isArray(inside)) return inside.map((item, index) => resolve(item, [...path, index]));
    if (typeof inside === "object" && inside !== null && !(inside instanceof Date)) {
      return Object.fromEntries(
        Object.entries(inside).map(([key, item]) => [key, resolve(item, [...path, key])]),
      );
    }
    return inside;
  };

  return {
    value: resolve(value, []),
    referenced,
    environment: [...environment],
    files: [...files],
    secrets: [...secrets].filter((secret) => secret !== ""),
    faults,
  };
}

/** Files end in a line end, and so do variables that are made of them. */
function withoutLineEnd(text: string): string {
  return text.replace(/\r?\n$/, "");
}

function notSet(name: string, found: string | undefined): string {
  return `the environment variable ${name} is ${found === undefined ? "not set" : "empty"}; ` +
    `set it (export ${name}=...) or give a default: \${env:${name}:-default}.`;
}

function readFile(outside: Outside, path: string): string {
  try {
    return withoutLineEnd(outside.file(path));
  } catch (error) {
    throw new Error(`the file ${path} cannot be read: ${(error as Error).message}`);
  }
}
