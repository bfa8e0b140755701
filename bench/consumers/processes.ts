/** What the kernel knows of processes: memory and processor time (proc(5)). */

/** Clock ticks a second in /proc: USER_HZ, which is 100 on every Linux that Deno runs on. */
const TICKS_PER_SECOND = 100;

/** Memory of one process, in bytes. */
export interface Memory {
  /** All pages that it has in memory, those of Deno's own binary included. */
  readonly rss: number;
  /** The same with each page divided by the number of processes that have it: sums of it are true. */
  readonly pss: number;
}

/** Memory of a process; undefined when it has ended. */
export function memoryOf(pid: number): Memory | undefined {
  let text: string;
  try {
    text = Deno.readTextFileSync(`/proc/${pid}/smaps_rollup`);
  } catch {
    return undefined;
  }
  const kilobytes = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, "m").exec(text)?.[1]);
  const [rss, pss] = [kilobytes("Rss") * 1024, kilobytes("Pss") * 1024];
  return Number.isNaN(rss + pss) ? undefined : { rss, pss };
}

/** Processor time that a process has taken, user and system, in seconds; 0 when it has ended. */
export function cpuSeconds(pid: number): number {
  return ticks(pid, 11, 12);
}

/** The same of all children that this process has waited for, and of theirs. */
export function childrenCpuSeconds(): number {
  return ticks(Deno.pid, 13, 14);
}

/** The sum of two fields, counted after the command's name. */
function ticks(pid: number, user: number, system: number): number {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return (Number(fields[user]) + Number(fields[system])) / TICKS_PER_SECOND;
  } catch {
    return 0;
  }
}
