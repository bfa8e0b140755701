/** Many consumers at once, started as users start them: `deno task consume` or `deno task list-sync`. */
import { fileURLToPath } from "node:url";
import type { ConsumeSummary } from "../../shared/pipeline/consume.ts";
import { tailOf } from "../../compose/native/processes.ts";
import { childrenCpuSeconds, memoryOf } from "./processes.ts";

/** A process each, or a thread each of one process. */
export type Way = "processes" | "threads";

/** Looking at a hundred processes takes a tenth of a second: no more than a twentieth of a core goes there. */
const SHARE_OF_LOOKING = 20;
const SHORTEST_INTERVAL_MS = 200;

/** What is shown of the log when a consumer fails. */
const LOG_LINES = 12;

/** What they did, and what it took. */
export interface FleetResult {
  /** From the command's start to its end, starting and ending of the consumers included. */
  readonly seconds: number;
  /** Processor time of the launcher and all consumers. */
  readonly cpu_seconds: number;
  /**
   * Added memory of one consumer at the peak of all. Processes: the sum of their PSS, divided by
   * their number, for Deno's binary is in memory once. Threads: how much the process has grown
   * since it was about to start them, divided by their number.
   */
  readonly added_bytes: number;
  /** RSS of all at that peak, divided by their number. */
  readonly rss_bytes: number;
  /** By the name of the job. */
  readonly summaries: ReadonlyMap<string, ConsumeSummary>;
}

/** Runs the jobs side by side to their ends. Throws when one fails, with the end of `log_file`. */
export async function runFleet(
  way: Way,
  jobs: readonly string[],
  log_file: string,
): Promise<FleetResult> {
  const began = performance.now();
  const cpu_before = childrenCpuSeconds();
  const command = way === "processes" ? ["consume"] : ["list-sync", "consume"];
  const child = new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...command, "--json", ...jobs],
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const meter = new MemoryMeter(way);
  const [{ code }, stdout] = await Promise.all([
    child.status,
    new Response(child.stdout).text(),
    follow(child.stderr, log_file, (pid) => meter.add(pid)),
  ]);
  meter.end();
  const seconds = (performance.now() - began) / 1000;
  if (code !== 0) {
    const tail = await tailOf(log_file, LOG_LINES);
    throw new Error(`The consumers ended with ${code}. The last lines of ${log_file}:\n${tail}`);
  }
  return {
    seconds,
    cpu_seconds: childrenCpuSeconds() - cpu_before,
    ...meter.each(jobs.length),
    summaries: summariesIn(stdout),
  };
}

/** Writes the log lines to a file and tells the process of each worker that starts. */
async function follow(
  stderr: ReadableStream<Uint8Array>,
  log_file: string,
  started: (pid: number) => void,
): Promise<void> {
  using log = Deno.openSync(log_file, { write: true, create: true, truncate: true });
  let rest = "";
  for await (const text of stderr.pipeThrough(new TextDecoderStream())) {
    log.writeSync(new TextEncoder().encode(text));
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) {
      if (!line.includes('"worker_started"')) continue;
      started((JSON.parse(line) as { worker_pid: number }).worker_pid);
    }
  }
}

/** Each worker prints one object. */
function summariesIn(stdout: string): Map<string, ConsumeSummary> {
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return new Map(lines.map((line) => {
    const { job, ...summary } = JSON.parse(line) as ConsumeSummary & { job: string };
    return [job, summary];
  }));
}

/** Looks at the memory of the workers' processes again and again. */
class MemoryMeter {
  readonly #way: Way;
  readonly #pids = new Set<number>();
  /** Of the process before its threads. */
  #before = 0;
  #added = 0;
  #rss = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(way: Way) {
    this.#way = way;
  }

  add(pid: number): void {
    if (this.#pids.size === 0) {
      if (this.#way === "threads") this.#before = memoryOf(pid)?.rss ?? 0;
      this.#timer = setTimeout(() => this.#look(), 0);
    }
    this.#pids.add(pid);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  each(count: number): Pick<FleetResult, "added_bytes" | "rss_bytes"> {
    return { added_bytes: this.#added / count, rss_bytes: this.#rss / count };
  }

  #look(): void {
    const began = performance.now();
    let [rss, pss] = [0, 0];
    for (const pid of this.#pids) {
      const memory = memoryOf(pid);
      rss += memory?.rss ?? 0;
      pss += memory?.pss ?? 0;
    }
    const added = this.#way === "threads" ? rss - this.#before : pss;
    if (added > this.#added) [this.#added, this.#rss] = [added, rss];
    const took_ms = performance.now() - began;
    const interval_ms = Math.max(SHORTEST_INTERVAL_MS, SHARE_OF_LOOKING * took_ms);
    this.#timer = setTimeout(() => this.#look(), interval_ms);
  }
}
