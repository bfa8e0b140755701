/** `deno task test`: every test, against a stack of its own that is gone afterwards. */

import { readdirSync } from "node:fs";
import { join } from "node:path";
import { exists, stackFolder, STACKS } from "../../compose/native/paths.ts";
import { freePortOffset } from "../../compose/native/ports.ts";
import { processesWith, startTicks, stop } from "../../compose/native/processes.ts";
import { down, STACK_PORTS, up } from "../../compose/native/stack.ts";
import { statePath } from "../../compose/native/state.ts";
import { describe } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_STOPPED, host, type StopSignal } from "../cli/host.ts";
import { countTests, type TestCounts } from "../cli/junit.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { StackDisplay } from "../cli/stack_progress.ts";

const SPEC: CommandSpec = {
  name: "test",
  summary: "Runs the tests against a stack of its own, on free ports, and takes the stack down.",
  usage: "deno task test [PATH|FILTER...]",
  example: "deno task test tests/e2e",
  positionals: {
    name: "PATH|FILTER",
    help: "test files or folders; a word that is no path filters by name",
    min: 0,
    max: Infinity,
  },
  options: {},
};

/** Stacks of this command and of its tests; the number is the pid of who made them. */
const STACK_NAME = /^(?:test|faults|netem)-(\d+)(?:-|$)/;
/** The variable that says which stack the tests use. */
const STACK_VARIABLE = "LIST_SYNC_STACK";
/** After a signal, for what the tests have started. */
const STOP_PATIENCE_MS = 10_000;

/** Inputs of each fuzz test, where the environment says nothing else; the gate has time for fewer. */
const FUZZ_RUNS = "5000";

/** A run of the tests that a signal can end early. */
class Run {
  readonly #name = `test-${Deno.pid}`;
  readonly #tests = new Set<Deno.ChildProcess>();
  #signal: StopSignal | undefined;

  /** Ends the tests and what they have started; the stack is then taken down as always. */
  readonly stop = (signal: StopSignal): void => {
    this.#signal = signal;
    for (const tests of this.#tests) tests.kill(signal);
  };

  /** Brings the stack up, runs the tests, takes the stack down. */
  async finish(args: string[]): Promise<number> {
    let counts: TestCounts = { passed: 0, failed: 0, skipped: 0 };
    try {
      await removeStaleStacks();
      const offset = freePortOffset(STACK_PORTS);
      const progress = new StackDisplay().tell;
      await up({ name: this.#name, port_offset: offset, docker: false, progress });
      if (this.#signal === undefined) counts = await this.#runTests(args);
    } catch (error) {
      console.error(describe(error));
      counts.failed++;
    } finally {
      await this.#takeDown(counts);
    }
    console.log(`${counts.passed} passed, ${counts.failed} failed`);
    if (this.#signal !== undefined) return EXIT_STOPPED[this.#signal];
    return counts.failed === 0 && counts.passed > 0 ? EXIT_DONE : EXIT_FAILED;
  }

  /** Without arguments all tests: those that need no server first, then the others. */
  async #runTests(args: string[]): Promise<TestCounts> {
    const phases = args.length > 0
      ? [[await testArguments(args)]]
      : [[["--parallel", "tests/unit"]], await serviceTests()];
    const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 };
    for (const runs of phases) {
      if (this.#signal !== undefined) break;
      for (const { passed, failed, skipped } of await Promise.all(runs.map(this.#runOnce))) {
        counts.passed += passed;
        counts.failed += failed;
        counts.skipped += skipped;
      }
    }
    return counts;
  }

  readonly #runOnce = async (args: string[], index: number): Promise<TestCounts> => {
    const report = join(stackFolder(this.#name), `junit-${index}.xml`);
    await Deno.remove(report).catch(() => {});
    const tests = new Deno.Command(Deno.execPath(), {
      args: ["test", "--no-prompt", "-A", `--junit-path=${report}`, ...args],
      env: {
        [STACK_VARIABLE]: statePath(this.#name),
        LIST_SYNC_FUZZ_RUNS: Deno.env.get("LIST_SYNC_FUZZ_RUNS") ?? FUZZ_RUNS,
      },
      stdin: "null",
    }).spawn();
    this.#tests.add(tests);
    const { code } = await tests.status;
    this.#tests.delete(tests);
    const counts = countTests(await Deno.readTextFile(report).catch(() => ""));
    // A file that does not load or type-check fails the run without a test of its own.
    if (code !== 0 && counts.failed === 0) counts.failed = 1;
    return counts;
  };

  async #takeDown(counts: TestCounts): Promise<void> {
    const failed = counts.failed > 0 || counts.passed === 0;
    const keep_logs = failed && this.#signal === undefined;
    if (this.#signal !== undefined) await this.#endOrphans();
    await down({ name: this.#name, wipe: true, keep_logs });
    const logs = join(stackFolder(this.#name), "logs");
    if (keep_logs && await exists(logs)) console.error(`The servers' logs: ${logs}`);
  }

  /** Ends the servers and workers that the tests, ended by a signal, have left. */
  async #endOrphans(): Promise<void> {
    const orphans = processesWith(STACK_VARIABLE, statePath(this.#name));
    await Promise.all(orphans.map((orphan) => stop(orphan, "SIGTERM", STOP_PATIENCE_MS)));
    await removeStaleStacks();
  }
}

/** Who was killed leaves stacks behind; the pid tells that it is over. */
async function removeStaleStacks(): Promise<void> {
  if (!await exists(STACKS)) return;
  for (const name of readdirSync(STACKS)) {
    const pid = STACK_NAME.exec(name)?.[1];
    if (pid === undefined || startTicks(Number(pid)) !== undefined) continue;
    if (await exists(statePath(name))) await down({ name, wipe: true });
  }
}

/**
 * The tests that need the stack, as runs that go side by side: the faults are one long test on servers
 * of its own, which mostly waits for them.
 */
async function serviceTests(): Promise<string[][]> {
  const folders: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir("tests")) {
    if (isDirectory && name !== "unit") folders.push(`tests/${name}`);
  }
  const [faults, others] = [["tests/faults"], folders.filter((name) => name !== "tests/faults")];
  return [faults, ["--parallel", ...others.sort()]];
}

async function testArguments(args: string[]): Promise<string[]> {
  const paths: string[] = [];
  const filters: string[] = [];
  for (const arg of args) (await exists(arg) ? paths : filters).push(arg);
  const filter = filters.length === 0 ? [] : [`--filter=${filterOf(filters)}`];
  return [...filter, ...(paths.length === 0 ? ["tests"] : paths)];
}

/** One word as it stands; several as a pattern that matches any of them. */
function filterOf(words: string[]): string {
  if (words.length === 1) return words[0]!;
  return `/${words.map((word) => word.replaceAll(/[.*+?^${}()|[\]\\/]/g, "\\$&")).join("|")}/`;
}

async function main(args: string[]): Promise<number> {
  const parsed = parseCommand(SPEC, args);
  if (parsed === "help") return EXIT_DONE;
  const tests = new Run();
  host().onStop(tests.stop);
  return await tests.finish(parsed.positionals);
}

if (import.meta.main) await run(() => main(Deno.args));
