/** The machine that a run is made on, and when it has nothing to do. */

/** What a figure depends on. */
export interface Machine {
  readonly cores: number;
  readonly processor: string;
  readonly memory_bytes: number;
  /** `Linux 6.1.0`. */
  readonly system: string;
}

/** This machine. */
export function thisMachine(): Machine {
  const processor = /^model name\s*: (.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
  return {
    cores: navigator.hardwareConcurrency,
    processor: processor ?? Deno.build.arch,
    memory_bytes: Deno.systemMemoryInfo().total,
    system: `Linux ${Deno.osRelease().split("-")[0]}`,
  };
}

/** Less is what a database and three brokers do when nothing is asked of them. */
const IDLE_SHARE = 0.85;
const LOOK_MS = 500;
/** Longer than a database cleans up after a million changes; a machine that others use is never idle. */
const PATIENCE_MS = 20_000;

/**
 * Waits until the processors have been idle for half a second, so that nobody pays for what servers
 * still do after the work of the one before; goes on when they never are.
 */
export async function untilIdle(): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  for (let last = ticks(); performance.now() < deadline;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const now = ticks();
    if ((now.idle - last.idle) / (now.total - last.total) >= IDLE_SHARE) return;
    last = now;
  }
}

/** Clock ticks of all processors since boot (proc(5), /proc/stat). */
function ticks(): { idle: number; total: number } {
  const [line = ""] = Deno.readTextFileSync("/proc/stat").split("\n");
  const [user = 0, nice = 0, system = 0, idle = 0, iowait = 0, ...rest] = line.split(/\s+/).slice(1)
    .map(Number);
  const busy = user + nice + system + rest.slice(0, 3).reduce((sum, part) => sum + part, 0);
  return { idle: idle + iowait, total: idle + iowait + busy };
}
