/** Reads the arguments of a command; its specification is also its `--help`. */
import { ConfigError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";

/** One option of a command, given as `--name value`, `--name=value` or, when boolean, `--name`. */
export interface OptionSpec {
  type: "string" | "boolean" | "number";
  /** Placeholder of the value in the usage text: `N`, `FILE`. */
  value?: string;
  help: string;
  default?: string | boolean | number;
}

/** A command: what it takes, and what its `--help` says. */
export interface CommandSpec {
  name: string;
  /** One sentence: what the command does. */
  summary: string;
  /** The command line's form: `deno task seed [options] JOB`. */
  usage: string;
  /** A command line that works as it stands. */
  example: string;
  options: Record<string, OptionSpec>;
  /** Without it the command takes no positional arguments. */
  positionals?: { name: string; help: string; min: number; max: number };
}

/** The value of an option as its type says; undefined: not given and no default. */
export type OptionValue = string | boolean | number | undefined;

/** What a command was given. */
export interface Arguments {
  options: Record<string, OptionValue>;
  positionals: string[];
}

/**
 * Reads `args` as `spec` says. Answers "help" after printing the usage to stdout when `--help` or
 * `-h` stands anywhere before `--`. `--no-NAME` turns a boolean option off. Throws ConfigError for
 * unknown options (naming the nearest), missing or wrong values, and wrong counts of positionals.
 */
export function parseCommand(spec: CommandSpec, args: readonly string[]): Arguments | "help" {
  const options: Record<string, OptionValue> = {};
  for (const [name, option] of Object.entries(spec.options)) options[name] = option.default;
  const positionals: string[] = [];

  for (let at = 0; at < args.length; at++) {
    const arg = args[at]!;
    if (arg === "--help" || arg === "-h") {
      console.log(usageText(spec));
      return "help";
    }
    if (arg === "--") {
      positionals.push(...args.slice(at + 1));
      break;
    }
    if (!arg.startsWith("-") || arg === "-") {
      positionals.push(arg);
      continue;
    }
    const [name, attached] = splitOption(arg);
    if (isNegation(spec, name) && attached === undefined) {
      options[name.slice("no-".length)] = false;
      continue;
    }
    const option = Object.hasOwn(spec.options, name) ? spec.options[name] : undefined;
    if (option === undefined) throw unknownOption(spec, arg, name);
    if (option.type === "boolean") {
      options[name] = readBoolean(name, attached);
      continue;
    }
    const next = args[at + 1];
    if (attached === undefined && (next === undefined || next.startsWith("--"))) {
      throw new ConfigError(`${spec.name}: --${name} needs a value, and none follows.`, {
        cure: `write --${name} ${option.value ?? "VALUE"}`,
      });
    }
    if (attached === undefined) at++;
    options[name] = readValue(spec, name, option, attached ?? next!);
  }
  checkCount(spec, positionals);
  return { options, positionals };
}

/** The text of `--help`. */
export function usageText(spec: CommandSpec): string {
  const rows = Object.entries(spec.options).map(([name, option]) => {
    const flag = option.type === "boolean"
      ? `--${name}`
      : `--${name} ${option.value ?? (option.type === "number" ? "N" : "TEXT")}`;
    const shown = option.default !== undefined && option.default !== false && option.default !== "";
    return [flag, shown ? `${option.help} (default ${option.default})` : option.help] as const;
  });
  if (spec.positionals) rows.unshift([spec.positionals.name, spec.positionals.help]);
  rows.push(["--help", "Show this text."]);
  const width = Math.max(...rows.map(([flag]) => flag.length));
  const listed = rows.map(([flag, help]) => {
    const lines = wrapped(help, Math.max(40, HELP_WIDTH - width - 4));
    return `  ${flag.padEnd(width)}  ${lines.join(`\n${" ".repeat(width + 4)}`)}`;
  });
  return [
    spec.summary,
    "",
    `Usage:   ${spec.usage}`,
    `Example: ${spec.example}`,
    "",
    ...listed,
  ].join("\n");
}

/** Columns of a line of help; longer ones are broken between words. */
const HELP_WIDTH = 100;

function wrapped(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const longer = lines.at(-1) === "" ? word : `${lines.at(-1)} ${word}`;
    if (longer.length <= width || lines.at(-1) === "") lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

function splitOption(arg: string): [name: string, attached: string | undefined] {
  const name = arg.replace(/^--?/, "");
  const equals = name.indexOf("=");
  return equals < 0 ? [name, undefined] : [name.slice(0, equals), name.slice(equals + 1)];
}

function isNegation(spec: CommandSpec, name: string): boolean {
  const positive = name.slice("no-".length);
  return name.startsWith("no-") && !Object.hasOwn(spec.options, name) &&
    Object.hasOwn(spec.options, positive) && spec.options[positive]!.type === "boolean";
}

function unknownOption(spec: CommandSpec, arg: string, name: string): ConfigError {
  const known = [...Object.keys(spec.options), "help"];
  const hint = nearestHint(name, known, (near) => `--${near}`);
  return new ConfigError(
    `${spec.name}: unknown option ${arg.split("=")[0]}${hint}. ` +
      `Allowed: ${known.map((option) => `--${option}`).join(", ")}.`,
  );
}

function readBoolean(name: string, attached: string | undefined): boolean {
  if (attached === undefined || attached === "true") return true;
  if (attached === "false") return false;
  throw new ConfigError(
    `--${name} is true or false; found ${JSON.stringify(attached)}.`,
    { cure: `write --${name} or --no-${name}` },
  );
}

function readValue(
  spec: CommandSpec,
  name: string,
  option: OptionSpec,
  text: string,
): string | number {
  if (option.type === "string") return text;
  const value = text.trim() === "" ? NaN : Number(text.replaceAll("_", ""));
  if (!Number.isFinite(value)) {
    throw new ConfigError(
      `${spec.name}: --${name} takes a number; found ${JSON.stringify(text)}.`,
    );
  }
  return value;
}

function checkCount(spec: CommandSpec, positionals: readonly string[]): void {
  const { name, min, max } = spec.positionals ?? { name: "", min: 0, max: 0 };
  if (positionals.length >= min && positionals.length <= max) return;
  const wanted = max === 0
    ? "takes no arguments besides options"
    : min === max
    ? `takes ${min} ${name}`
    : max === Infinity
    ? `takes at least ${min} ${name}`
    : `takes ${min} to ${max} ${name}`;
  const found = positionals.length === 0
    ? "none was given"
    : `found ${positionals.length}: ${positionals.map((text) => JSON.stringify(text)).join(" ")}`;
  throw new ConfigError(`${spec.name} ${wanted}; ${found}.`, { cure: `usage: ${spec.usage}` });
}
