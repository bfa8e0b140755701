/** One run of everything in containers: seed -> capture -> consume -> verify, with kills in the middle. */
import { SERVICES } from "../../compose/native/docker.ts";
import { waitUntil } from "../../compose/native/processes.ts";
import type { SeedSummary } from "../../shared/seed/seed.ts";
import type { VerifyResult } from "../../shared/verify/result.ts";
import { EXIT_STOPPED } from "../cli/host.ts";
import type { Container, Project } from "./project.ts";

/** What a run is asked for. */
export interface TrialOptions {
  /** Changes for each database. */
  readonly changes: number;
  /** Consumers of each database in the end. */
  readonly consumers: number;
}

/** A step and how long it took. */
export interface Step {
  readonly step: string;
  readonly seconds: number;
}

/** What became of one consumer's files. */
export interface Verified {
  readonly database: string;
  readonly consumer: string;
  readonly rows: number;
  readonly lines: number;
  readonly differences: number;
  readonly verified: boolean;
}

/** What came of a run. */
export interface TrialReport {
  readonly steps: readonly Step[];
  readonly consumers: readonly Verified[];
}

/** The services of one database. */
interface Side {
  readonly database: string;
  readonly capture: string;
  readonly consumer: string;
  readonly seeder: string;
  readonly tester: string;
}

const SIDES: readonly Side[] = [
  {
    database: "PostgreSQL",
    capture: "capture-pg",
    consumer: "pg-consumer",
    seeder: "pg-seeder",
    tester: "pg-tester",
  },
  {
    database: "MySQL",
    capture: "capture-mysql",
    consumer: "my-consumer",
    seeder: "my-seeder",
    tester: "my-tester",
  },
];

const CAPTURES = SIDES.map(({ capture }) => capture);
const CONSUMERS = SIDES.map(({ consumer }) => consumer);
const SERVERS = Object.values(SERVICES).flatMap((services) => Object.keys(services));
/** Killed beside the workers: two brokers of three hold all that is acknowledged. */
const BROKER = "broker2";
/** Far more than any step takes, on a machine that does much else too. */
const PATIENCE_MS = 300_000;
const LOOK_INTERVAL_MS = 500;
const DRAINED = EXIT_STOPPED.SIGTERM;

/** Runs the steps on a project; `say` takes a line when one begins. */
export class Trial {
  readonly #project: Project;
  readonly #options: TrialOptions;
  readonly #say: (text: string) => void;
  readonly #steps: Step[] = [];

  constructor(project: Project, options: TrialOptions, say: (text: string) => void) {
    this.#project = project;
    this.#options = options;
    this.#say = say;
  }

  /** Runs all steps but the last, which is `down`. Throws where something is not as it must be. */
  async run(): Promise<TrialReport> {
    await this.#step("build", () => this.#build());
    await this.#step("start servers", () => this.#up("--wait", ...SERVERS));
    await this.#step("start workers", () => this.#startWorkers());
    await this.#step("seed; kill and start again", () => this.#seedAndKill());
    await this.#step("scale", () => this.#scale());
    const consumers = await this.#step("catch up and verify", () => this.#verify());
    await this.#step("stop workers", () => this.#stopWorkers());
    return { steps: this.#steps, consumers };
  }

  /** Takes all down, volumes too, and looks that nothing stays behind. */
  async down(): Promise<void> {
    await this.#step("take down", async () => {
      await this.#project.compose("Taking down", "down", "--volumes", "--remove-orphans");
      const left = await this.#project.left();
      if (left.length > 0) throw new Error(`Left behind after down: ${left.join(" ")}`);
    });
  }

  async #step<T>(step: string, work: () => Promise<T>): Promise<T> {
    this.#say(`${step} ...`);
    const began = performance.now();
    const result = await work();
    this.#steps.push({ step, seconds: (performance.now() - began) / 1000 });
    return result;
  }

  /** One worker's service builds the image of all. */
  async #build(): Promise<void> {
    await this.#project.compose("Building images", "build", "db-pgsql", CAPTURES[0]!);
  }

  async #up(...args: string[]): Promise<void> {
    await this.#project.compose("Starting containers", "up", "--detach", "--no-build", ...args);
  }

  async #startWorkers(): Promise<void> {
    await this.#up(...CAPTURES, ...CONSUMERS);
    const workers = await this.#project.containers(...CAPTURES, ...CONSUMERS);
    await this.#ready(await this.#project.containers(...CAPTURES));
    // Consumers are ready when their topics are there, which the first change makes.
    await this.#until("the consumers live", async () => {
      const answers = await Promise.all(
        workers.map((worker) => this.#project.ask(worker, "/health/live")),
      );
      return answers.every(({ code }) => code === 0);
    });
    for (const worker of workers) await this.#demandIsolation(worker);
  }

  async #ready(workers: readonly Container[]): Promise<void> {
    const names = workers.map(({ service }) => service).join(", ");
    await this.#until(`${names} are ready`, async () => {
      const answers = await Promise.all(
        workers.map((worker) => this.#project.ask(worker, "/health/ready")),
      );
      return answers.every(({ code }) => code === 0);
    });
  }

  /** The worker is process 1, has the permissions of its job and not all, and is not root. */
  async #demandIsolation({ id, service }: Container): Promise<void> {
    const script = "tr '\\0' ' ' < /proc/1/cmdline; id -u; touch /app/x 2>&1 || true";
    const seen = await this.#project.docker("Looking inside", "exec", id, "sh", "-c", script);
    const [, command = "", user] = /^(.*?)(\d+)\n.*Read-only file system/s.exec(seen) ?? [];
    const isWorker = /^deno run .*--allow-net=\S*broker1:9092\S* .*\/app\/workers\//.test(command);
    if (isWorker && !/ (-A|--allow-all|--allow-net) /.test(command) && user !== "0") return;
    throw new Error(`${service} is not alone with the permissions of its job:\n${seen}`);
  }

  /** Writes to both databases; at a quarter of it kills all workers and a broker, and starts them again. */
  async #seedAndKill(): Promise<void> {
    const { changes } = this.#options;
    const seeds = Promise.all(SIDES.map((side) => this.#seed(side)));
    seeds.catch(() => {}); // told below
    const workers = await this.#project.containers(...CAPTURES, ...CONSUMERS);
    const consumers = workers.filter(({ service }) => CONSUMERS.includes(service));
    const written = async () => {
      const found = await Promise.all(
        consumers.map((consumer) => this.#project.progressOf(consumer)),
      );
      return found.map((progress) => progress?.changes ?? 0);
    };
    await this.#until(
      "a quarter of the changes is in the files",
      async () => (await written()).every((count) => count >= changes / 4),
    );
    if ((await written()).every((count) => count >= changes)) {
      throw new Error("All changes were in the files before a worker was killed: raise --changes");
    }
    const [broker] = await this.#project.containers(BROKER);
    const ids = workers.map(({ id }) => id);
    await this.#project.docker("Killing containers", "kill", broker!.id, ...ids);
    await this.#project.docker("Starting containers", "start", ...ids);
    await this.#ready(workers);
    await this.#project.docker("Starting a broker", "start", broker!.id);
    await seeds;
  }

  async #seed({ database, seeder }: Side): Promise<void> {
    const rows = `--rows=${this.#options.changes}`;
    const { code, output } = await this.#project.once(seeder, {}, rows, "--json");
    if (code !== 0) throw new Error(`${seeder} ended with ${code}:\n${output}`);
    const { inserted, updated, deleted } = resultIn<SeedSummary>(output);
    const written = inserted + updated + deleted;
    if (written === this.#options.changes) return;
    throw new Error(`${seeder} wrote ${written} changes into ${database}: ${output}`);
  }

  async #scale(): Promise<void> {
    const scales = CONSUMERS.flatMap((name) => ["--scale", `${name}=${this.#options.consumers}`]);
    await this.#up("--no-recreate", ...scales, ...CONSUMERS);
    await this.#ready(await this.#project.containers(...CONSUMERS));
  }

  /** Every consumer's files hold the table: those that were killed, and those that came later. */
  async #verify(): Promise<Verified[]> {
    const found: Verified[] = [];
    for (const side of SIDES) {
      for (const consumer of await this.#project.containers(side.consumer)) {
        let last: Verified | undefined;
        await this.#until(
          `the files of ${consumer.service} ${consumer.hostname} hold the table`,
          async () => {
            const progress = await this.#project.progressOf(consumer);
            if (progress?.lag !== 0) return false;
            last = await this.#compare(side, consumer);
            return last.verified;
          },
        );
        found.push(last!);
      }
    }
    return found;
  }

  async #compare({ database, tester }: Side, { hostname }: Container): Promise<Verified> {
    const { code, output } = await this.#project.once(tester, { CONSUMER: hostname }, "--json");
    if (code > 1) throw new Error(`${tester} ended with ${code}:\n${output}`);
    const result = resultIn<VerifyResult>(output);
    return {
      database,
      consumer: hostname,
      rows: result.rows_compared,
      lines: result.lines_read,
      differences: result.difference_count,
      verified: code === 0 && result.verified,
    };
  }

  /** A worker that is process 1 gets SIGTERM itself: it drains, and is not killed. */
  async #stopWorkers(): Promise<void> {
    const workers = await this.#project.containers(...CAPTURES, ...CONSUMERS);
    await this.#project.compose("Stopping workers", "stop", ...CAPTURES, ...CONSUMERS);
    for (const { id, service } of workers) {
      const format = "--format={{.State.ExitCode}}";
      const code = await this.#project.docker("Looking at a container", "inspect", format, id);
      if (Number(code) !== DRAINED) {
        throw new Error(`${service} ended with ${code.trim()} after SIGTERM, not ${DRAINED}.`);
      }
    }
  }

  async #until(what: string, look: () => Promise<boolean>): Promise<void> {
    if (await waitUntil(look, PATIENCE_MS, LOOK_INTERVAL_MS)) return;
    const logs = await this.#project.compose("Reading logs", "logs", "--no-color", "--tail=15");
    throw new Error(`Waited ${PATIENCE_MS / 1000} s in vain: ${what}.\n${logs}`);
  }
}

/** The JSON object that a worker with `--json` writes on stdout, among log lines and bars. */
function resultIn<T>(output: string): T {
  const line = output.split("\n").find((text) => text.startsWith('{"job":'));
  if (line === undefined) throw new Error(`No result in:\n${output}`);
  return JSON.parse(line) as T;
}
