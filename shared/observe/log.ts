/** Structured log: one JSON object a line, or one readable line. */

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

/** A log that writes through `options.write`. */
export function createLog(options: LogOptions): Log {
  const { job, format = "json", level = "info", write, now } = options;
  const secrets = (options.secrets ?? []).filter((secret) => secret !== "");
  const redact = (line: string) =>
    secrets.reduce((text, secret) => text.replaceAll(secret, "***"), line);

  const say = (at: Level) => (event: string, fields: Fields = {}) => {
    if (ORDER.indexOf(at) < ORDER.indexOf(level)) return;
    const time = new Date(now()).toISOString();
    const line = format === "json"
      ? JSON.stringify({ level: at, time, job, event, ...fields }, plain)
      : `${time} ${at.padEnd(5)} ${job} ${event}${
        Object.entries(fields).map(([name, value]) => ` ${name}=${inline(value)}`).join("")
      }`;
    write(redact(line) + "\n");
  };
  return { debug: say("debug"), info: say("info"), warn: say("warn"), error: say("error") };
}

function plain(_name: string, value: unknown): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Error) return value.message;
  return value;
}

function inline(value: unknown): string {
  const text = JSON.stringify(value, plain) ?? "undefined";
  return /^"[^\s"\\]*"$/.test(text) ? text.slice(1, -1) : text;
}
