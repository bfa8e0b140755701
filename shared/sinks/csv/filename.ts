/** The template of a CSV file's name: what it may say, and how names are made and read back. */
import { nearestHint } from "../../jobs/nearest.ts";

/** What a file holds: rows that came, rows that went, or both with an `op` column. */
export type Operation = "inserts" | "deletes" | "changes";

/** Folder, in the output folder, of the journals and locks. */
export const STATE_FOLDER = ".list-sync";

/** Ending of a file that is still being written. */
export const PART = ".part";

const TOKENS = ["topic", "partition", "sequence", "operation", "consumer_id"] as const;
type Token = typeof TOKENS[number];

/** Says what is wrong with a template, and the cure; undefined: nothing. */
export function templateProblem(template: string, split: boolean): string | undefined {
  for (const [, name] of template.matchAll(/\{([^{}]*)\}/g)) {
    if ((TOKENS as readonly string[]).includes(name!)) continue;
    const hint = nearestHint(name!, TOKENS, (near) => `{${near}}`);
    return `{${name}} is no token${hint}. Allowed: ${
      TOKENS.map((token) => `{${token}}`).join(" ")
    }`;
  }
  if (/[{}]/.test(template.replaceAll(/\{[^{}]*\}/g, ""))) return "a brace is unpaired";
  const needed: Token[] = split
    ? ["partition", "sequence", "operation"]
    : ["partition", "sequence"];
  const missing = needed.filter((token) => !template.includes(`{${token}}`));
  if (missing.length > 0) {
    return `${
      missing.map((token) => `{${token}}`).join(" and ")
    } must stand in it, so that no two` +
      ` files share a name: add it, as in "{topic}/{operation}-{partition}-{sequence}.csv"`;
  }
  if (template.includes("}{")) {
    return `two tokens touch, so that different values give one name: put a "-" between them`;
  }
  return pathProblem(template);
}

function pathProblem(template: string): string | undefined {
  // deno-lint-ignore no-control-regex
  if (/[\\\u0000]/.test(template)) return "a backslash or NUL is in it";
  if (template.endsWith(PART)) return `it ends in ${PART}, which marks files not yet complete`;
  for (const segment of template.split("/")) {
    if (segment === "") return "a folder's name is empty: it is a path inside the output folder";
    if (segment.startsWith(".")) return `${JSON.stringify(segment)} begins with a dot`;
  }
  return undefined;
}

/** What stands for the tokens. */
export interface NameParts {
  readonly topic: string;
  readonly partition: number;
  readonly sequence: number;
  readonly operation: Operation;
  readonly consumer_id: string;
}

/** The file's path inside the output folder; names from data cannot leave it. */
export function fileName(template: string, parts: NameParts): string {
  return template.replaceAll(/\{([^{}]*)\}/g, (_, token: Token) => {
    if (token === "sequence") return String(parts.sequence).padStart(8, "0");
    return safeName(String(parts[token]));
  });
}

/**
 * `text` as one segment of a path: letters, digits, `.`, `_` and `-` stay (Kafka allows no others
 * in topic names), the rest and a leading dot become `%` and two hexadecimal digits a byte.
 */
export function safeName(text: string): string {
  return text.replaceAll(/^\.|[^A-Za-z0-9._-]+/g, (part) => {
    const bytes = [...new TextEncoder().encode(part)];
    return bytes.map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join("");
  });
}

/** The text that `safeName` was given; what it never makes stays as it is. */
function readName(name: string): string {
  try {
    return decodeURIComponent(name);
  } catch {
    return name;
  }
}

/** What a name says. `topic` is undefined where the template does not name it. */
export interface ReadName {
  readonly topic: string | undefined;
  readonly partition: number;
  readonly sequence: number;
  readonly operation: Operation;
}

/** The inverse of `fileName`: answers undefined for names that the template does not make. */
export function nameReader(template: string): (name: string) => ReadName | undefined {
  const patterns: Record<Token, string> = {
    topic: "[A-Za-z0-9._%-]+",
    consumer_id: "[A-Za-z0-9._%-]+",
    partition: "\\d+",
    sequence: "\\d{8,}",
    operation: "inserts|deletes|changes",
  };
  const seen = new Set<string>();
  const source = template.split(/(\{[^{}]*\})/).map((part) => {
    if (!part.startsWith("{")) return RegExp.escape(part);
    const token = part.slice(1, -1) as Token;
    if (seen.has(token)) return `\\k<${token}>`;
    seen.add(token);
    return `(?<${token}>${patterns[token]})`;
  });
  const pattern = new RegExp(`^${source.join("")}$`);
  return (name) => {
    const groups = pattern.exec(name)?.groups;
    const topic = groups?.topic === undefined ? undefined : readName(groups.topic);
    // Names are made in one way only: another program's file may look alike.
    if (groups === undefined || topic !== undefined && safeName(topic) !== groups.topic) {
      return undefined;
    }
    return {
      topic,
      partition: Number(groups.partition),
      sequence: Number(groups.sequence),
      operation: (groups.operation ?? "changes") as Operation,
    };
  };
}
