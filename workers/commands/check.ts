/** `deno task check JOB`: everything that can be wrong before a job runs, each with its cure. */
import type { Finding } from "../../shared/sources/source.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readJob } from "../runtime/environment.ts";
import { allFindings, inspectJob } from "../runtime/inspect.ts";

const SPEC: CommandSpec = {
  name: "check",
  summary:
    "Validates a job, connects to its servers, and says what would go wrong and how to mend it.",
  usage: "deno task check [options] JOB",
  example: "deno task check jobs/capture-pg.yaml",
  options: {
    json: { type: "boolean", help: "Print one JSON object: job, runnable, findings." },
  },
  positionals: { name: "JOB", help: "The job file: .yaml or .toml.", min: 1, max: 1 },
};

export async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, host().args);
  if (parsed === "help") return EXIT_DONE;
  const { kind, job, secrets } = readJob(parsed.positionals[0]!);
  const log = commandLog(job, secrets);
  const findings = allFindings(await inspectJob(kind, job, { log, now: Date.now }));
  const runnable = !findings.some(({ level }) => level === "error");
  if (parsed.options.json) console.log(JSON.stringify({ job: job.name, runnable, findings }));
  else console.log(report(findings));
  return runnable ? EXIT_DONE : EXIT_FAILED;
}

/** One line a finding, its cure below it. */
function report(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  const lines = findings.flatMap(({ level, subject, found, cure }) => {
    const line = `${level.padEnd(7)}  ${subject.padEnd(width)}  ${found}`;
    const cures = level === "ok" || cure === undefined ? [] : cure.split("\n");
    return [line, ...cures.map((text) => `${" ".repeat(9)}> ${text}`)];
  });
  const count = (wanted: Finding["level"]) =>
    findings.filter(({ level }) => level === wanted).length;
  const counted = (level: Finding["level"]) =>
    `${count(level)} ${level}${count(level) === 1 ? "" : "s"}`;
  return [
    ...lines,
    "",
    `${count("ok")} ok, ${counted("warning")}, ${counted("error")}`,
  ].join("\n");
}

if (import.meta.main) await run(main);
