/** A scenario: the conditions of each link, as a file says them. */
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { type LinkName, LINKS } from "../compose/native/netem.ts";
import { ConfigError } from "../shared/errors.ts";
import { nearestHint } from "../shared/jobs/nearest.ts";
import { loadFile } from "../shared/jobs/reader.ts";

/** No test waits longer for one answer, or for one cut. */
const LONGEST_DELAY_MS = 60_000;
const LONGEST_CUT_MS = 3_600_000;

const cut = z.strictObject({
  after_ms: z.int().min(0).max(LONGEST_CUT_MS)
    .describe("When the link is cut, in milliseconds after the scenario was applied."),
  for_ms: z.int().min(1).max(LONGEST_CUT_MS)
    .describe("How long nothing passes, in milliseconds."),
});

const conditions = z.strictObject({
  round_trip_ms: z.int().min(1).max(LONGEST_DELAY_MS).optional()
    .describe("Added to a round trip, in milliseconds: half of it each way."),
  jitter_ms: z.int().min(1).max(LONGEST_DELAY_MS).optional()
    .describe("A round trip may take so much more or less, in milliseconds: half of it each way."),
  rate_mbit: z.number().min(0.1).max(10_000).optional()
    .describe(
      "Most that one worker, or one broker, sends over the link and most that it gets, in 10^6 bits a second.",
    ),
  loss_percent: z.number().min(0.01).max(50).optional()
    .describe("Packets that are lost at random, each way, in percent."),
  cuts: z.array(cut).min(1).optional()
    .describe("Times in which nothing passes, one after another."),
}).superRefine((link, context) => {
  const refuse = (path: (string | number)[], message: string) =>
    context.addIssue({ code: "custom", path, message });
  const { round_trip_ms = 0, jitter_ms, cuts = [] } = link;
  if (Object.values(link).every((value) => value === undefined)) {
    refuse([], "says nothing. Give at least one of: " + Object.keys(link_words).join(", ") + ".");
  }
  if (jitter_ms !== undefined && jitter_ms > round_trip_ms) {
    refuse(["jitter_ms"], `is ${jitter_ms}, more than round_trip_ms (${round_trip_ms || "none"}).`);
  }
  cuts.forEach(({ after_ms }, at) => {
    const before = cuts[at - 1];
    const free_ms = before === undefined ? 0 : before.after_ms + before.for_ms;
    if (before !== undefined && after_ms <= free_ms) {
      refuse(["cuts", at, "after_ms"], `is ${after_ms}; the cut before it lasts until ${free_ms}.`);
    }
  });
});

/** What a link may say, for messages. */
const link_words = conditions.shape;

const links = z.strictObject(
  {
    between_brokers: conditions.optional()
      .describe("From each broker to each other one, their controllers included."),
    capture_to_brokers: conditions.optional().describe("From captures to the brokers."),
    consumer_to_brokers: conditions.optional().describe("From consumers to the brokers."),
    capture_to_database: conditions.optional().describe("From captures to their databases."),
  } satisfies Record<LinkName, z.ZodType>,
).refine((links) => Object.keys(links).length > 0, {
  message: `names no link. Allowed: ${LINKS.join(", ")}.`,
});

/** Schema of a scenario file. */
export const scenarioSchema = z.strictObject({
  description: z.string().min(1).describe("What it is, in one sentence."),
  links: links.describe("The links, and the conditions of each; the others stay as they are."),
});

/** The conditions of one link. */
export type Conditions = z.infer<typeof conditions>;

/** A scenario with the file that says it. */
export interface Scenario extends z.infer<typeof scenarioSchema> {
  readonly file: string;
}

const FOLDER = fileURLToPath(new URL(".", import.meta.url));

/** Names of the scenarios that come with the project. */
export function scenarioNames(): string[] {
  return [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
    .filter((name) => name.endsWith(".yaml")).map((name) => basename(name, ".yaml")).sort();
}

/** Reads a scenario by its name, or by its path. Throws ConfigError that lists every problem. */
export function loadScenario(name: string): Scenario {
  const file = /[/.]/.test(name) ? name : `netem/${knownName(name)}.yaml`;
  const path = file === name ? name : join(FOLDER, basename(file));
  const readTextFile = () => Deno.readTextFileSync(path);
  return { file, ...loadFile(file, "scenario", scenarioSchema, { readTextFile }) };
}

function knownName(name: string): string {
  const known = scenarioNames();
  if (known.includes(name)) return name;
  throw new ConfigError(
    `There is no scenario ${name}${nearestHint(name, known)}.`,
    { cure: `choose among ${known.join(", ")}, or name a file` },
  );
}

/** The links that a scenario has conditions for, with them. */
export function linksOf(scenario: Scenario): [LinkName, Conditions][] {
  return LINKS.flatMap((name) => {
    const conditions = scenario.links[name];
    return conditions === undefined ? [] : [[name, conditions] as [LinkName, Conditions]];
  });
}

/** The error for a condition that a backend cannot make. */
export function cannotMake(
  scenario: Scenario,
  link: LinkName,
  condition: keyof Conditions,
  backend: string,
  why: string,
  cure: string,
): ConfigError {
  const value = scenario.links[link]?.[condition];
  const found = condition === "cuts" ? `${(value as unknown[]).length}` : String(value);
  return new ConfigError(
    `${scenario.file}: ${link}.${condition} (${found}) cannot be made by ${backend}: ${why}.`,
    { cure },
  );
}
