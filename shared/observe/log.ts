/** Structured log: one JSON object a line, or one readable line. */
import { describe } from "../errors.ts";

/** How much a line matters. */
export type Level = "debug" | "info" | "warn" | "error";

/** What a line says besides its event. Values are written as JSON. */
export type Fields = Readonly<Record<string, unknown>>;

/** Where events are told. An event is a short constant in snake_case; everything else is a field. */
export interface Log {
  debug(event: string, fields?: Fields): void;
  info(event: string, fields?: Fields): void;
  warn(event: string, fields?: Fields): void;
  error(event: string, fields?: Fields): void;
}

/** What `createLog` needs. */
export interface LogOptions {
  /** Name of the job, on every line. */
  job: string;
  /** @default "json" */
  format?: "json" | "text";
  /** Lines below it are left out. @default "info" */
  level?: Level;
  /** Takes one line, newline included. */
  write: (line: string) => void;
  /** The time, milliseconds since the Unix epoch. */
  now: () => number;
  /** Values that must never be written; each occurrence is replaced by `***`. */
  secrets?: readonly string[];
}

const ORDER: readonly Level[] = ["debug", "info", "warn", "error"];

/**
 * A log that writes through `options.write`. A call never throws, whatever its fields hold: a line that
 * cannot be written is dropped.
 */
export function createLog(options: LogOptions): Log {
  const { job, format = "json", level = "info", write, now } = options;
  const plain = replacer(options.secrets ?? []);

  const say = (at: Level) => (event: string, fields: Fields = {}) => {
    if (ORDER.indexOf(at) < ORDER.indexOf(level)) return;
    const head = { level: at, time: new Date(now()).toISOString(), job, event };
    const line = format === "json" ? jsonLine(head, fields, plain) : textLine(head, fields, plain);
    try {
      write(`${line}\n`);
    } catch {
      // Dropped: the work is worth more than the line.
    }
  };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}

type Head = { level: Level; time: string; job: string; event: string };
type Replacer = (name: string, value: unknown) => unknown;

/** The head stands first and wins over fields of the same names. */
function jsonLine(head: Head, fields: Fields, plain: Replacer): string {
  try {
    return JSON.stringify({ ...head, ...fields, ...head }, plain);
  } catch (error) {
    return JSON.stringify({ ...head, unwritable_fields: String(error) });
  }
}

function textLine({ level, time, job, event }: Head, fields: Fields, plain: Replacer): string {
  const written = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${inline(value, plain)}`);
  return `${time} ${level.padEnd(5)} ${job} ${event}${written.join("")}`;
}

function inline(value: unknown, plain: Replacer): string {
  try {
    const text = JSON.stringify(value, plain) ?? "undefined";
    if (/^"[^\s"\\=]+"$/.test(text)) return text.slice(1, -1);
    // Quotes inside stay as they are: a person copies statements from here.
    return text.startsWith('"') ? text.replace(/\\(["\\])/g, "$1") : text;
  } catch (error) {
    return JSON.stringify(String(error));
  }
}

/** What JSON cannot carry becomes text, and secrets become `***` before anything is escaped. */
function replacer(secrets: readonly string[]): Replacer {
  const hidden = [...new Set(secrets.flatMap((secret) => [secret, encodeURIComponent(secret)]))]
    .filter((secret) => secret !== "")
    .sort((a, b) => b.length - a.length); // a secret inside a longer one must not split it
  const redact = (text: string) =>
    hidden.reduce((rest, secret) => rest.replaceAll(secret, "***"), text);
  return (_name, value) => {
    if (typeof value === "string") return redact(value);
    if (typeof value === "bigint") return value.toString();
    if (value instanceof Error) return redact(describe(value));
    if (value instanceof Uint8Array) return `${value.length} bytes`;
    if (value instanceof Map) return Object.fromEntries(value);
    if (value instanceof Set) return [...value];
    return value;
  };
}
