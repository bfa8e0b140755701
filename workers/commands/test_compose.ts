/** `deno task test:compose`: everything in containers, run for real. */
import { buildDebianImages, OFFICIAL_IMAGES, pullImages } from "../../compose/debian/images.ts";
import { openEngine } from "../../compose/native/engine.ts";
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_STOPPED, host } from "../cli/host.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { count } from "../cli/figures.ts";
import { table } from "../cli/table.ts";
import { Project } from "../containers/project.ts";
import { Trial, type TrialOptions, type TrialReport } from "../containers/trial.ts";

const SPEC: CommandSpec = {
  name: "test:compose",
  summary:
    "Runs the files of compose/ on a Docker engine: brokers, both databases, captures and\n" +
    "consumers; writes changes, kills containers in the middle and starts them again, adds\n" +
    "consumers, compares every consumer's files with the tables, and takes all down. Without an\n" +
    "engine it starts one (root, Debian's docker.io). Where images cannot be pulled they are\n" +
    "built from Debian's packages, for which debootstrap is needed.",
  usage: "deno task test:compose [options]",
  example: "deno task test:compose --changes 10000 --consumers 2",
  options: {
    changes: { type: "number", help: "Changes for each database.", default: 100_000 },
    consumers: { type: "number", help: "Consumers of each database in the end.", default: 3 },
    debian: { type: "boolean", help: "Pull nothing: build the images from Debian's packages." },
    json: { type: "boolean", help: "Print one JSON object on stdout." },
  },
};

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { changes, consumers, debian, json } = parsed.options;
  const options = { changes: changes as number, consumers: consumers as number };
  for (const [name, least] of [["changes", 100], ["consumers", 1]] as const) {
    if (Number.isInteger(options[name]) && options[name] >= least) continue;
    throw new ConfigError(
      `--${name} is ${options[name]}; allowed are whole numbers from ${least}.`,
    );
  }
  const stop = stopAtSignals();
  try {
    const report = await runOnEngine(options, debian === true, stop.asked);
    console.log(json ? JSON.stringify(report) : text(report));
    return EXIT_DONE;
  } catch (error) {
    if (stop.code() === undefined) throw error;
    return stop.code()!;
  }
}

/** The first signal breaks the run off, and all is taken down; `asked` then rejects. */
function stopAtSignals(): { asked: Promise<never>; code: () => number | undefined } {
  let code: number | undefined;
  const asked = new Promise<never>((_, reject) => {
    host().onStop((signal) => {
      if (code === undefined) console.error(`${signal}: taking all down.`);
      code ??= EXIT_STOPPED[signal];
      reject(new Error(signal));
    });
  });
  asked.catch(() => {}); // a signal may come while nothing waits
  return { asked, code: () => code };
}

/** What is run, and on which engine and images. */
interface Report extends TrialReport {
  readonly changes: number;
  readonly engine: string;
  readonly images: "official" | "debian";
}

async function runOnEngine(
  options: TrialOptions,
  debian: boolean,
  asked: Promise<never>,
): Promise<Report> {
  const engine = await openEngine(say);
  const folder = await Deno.makeTempDir({ prefix: "list-sync-compose-" });
  try {
    const official = !debian && await Promise.race([pullImages(engine), asked]);
    if (!official) await Promise.race([buildDebianImages(engine, say), asked]);
    const env_file = official ? undefined : "compose/debian.env";
    const project = new Project(engine, folder, env_file);
    await project.writeSecrets();
    const trial = new Trial(project, options, say);
    let report: TrialReport;
    try {
      report = await Promise.race([trial.run(), asked]);
    } finally {
      await trial.down();
    }
    const images = official ? "official" : "debian";
    return { engine: engine.version, images, changes: options.changes, ...report };
  } finally {
    await Deno.remove(folder, { recursive: true });
    await engine.close();
  }
}

let last = "";

/** Says what is being done; phases that count are said once. */
function say(phase: string): void {
  if (phase !== last) console.error(phase);
  last = phase;
}

function text({ engine, images, changes, steps, consumers }: Report): string {
  const from = images === "official"
    ? Object.values(OFFICIAL_IMAGES).join(", ")
    : "built from Debian's packages";
  return [
    `Docker Engine ${engine}; images: ${from}; ${count(changes)} changes for each database`,
    "",
    table(
      ["step", "seconds"],
      steps.map(({ step, seconds }) => [step, seconds.toFixed(1)]),
    ),
    "",
    table(
      ["database", "consumer", "lines", "rows", "differences", "verified"],
      consumers.map(({ database, consumer, lines, rows, differences, verified }) => [
        database,
        consumer,
        count(lines),
        count(rows),
        count(differences),
        verified ? "yes" : "NO",
      ]),
    ),
  ].join("\n");
}

if (import.meta.main) await run(main);
