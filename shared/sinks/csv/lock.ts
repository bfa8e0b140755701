/** A lock that ends with its holder: flock(2) on a file that names the holder's process id. */
import { pause } from "../../backoff.ts";
import type { Health } from "../../observe/health.ts";
import type { Log } from "../../observe/log.ts";
import { writing } from "./disk.ts";

/** A lock that is held. */
export interface Lock {
  release(): void;
}

/** How often a taken lock is tried again. */
const RETRY_MS = 100;
/** How often the log repeats who holds it. */
const REMIND_MS = 10_000;

/** What `takeLock` tells while it waits. */
export interface LockContext {
  /** What is locked: `partition orders/0`. */
  readonly part: string;
  readonly log: Log;
  readonly health: Health;
}

/**
 * Takes the lock at `path`, waiting while another process holds it; rejects with the signal's reason
 * when it aborts first. The file stays: removing it would let two holders lock two files of one name.
 */
export async function takeLock(
  path: string,
  context: LockContext,
  signal: AbortSignal,
): Promise<Lock> {
  const { part, log, health } = context;
  const options = { read: true, write: true, create: true };
  const file = writing(path, () => Deno.openSync(path, options));
  try {
    for (let tries = 0; !file.tryLockSync(true); tries++) {
      signal.throwIfAborted();
      if (tries % (REMIND_MS / RETRY_MS) === 0) {
        const holder_pid = holder(path);
        log.warn("partition_locked", { part, holder_pid, lock: path });
        health.unready(part, `process ${holder_pid ?? "unknown"} holds ${path}`);
      }
      await pause(RETRY_MS, signal);
    }
  } catch (error) {
    file.close();
    throw error;
  } finally {
    health.ready(part);
  }
  try {
    writing(path, () => {
      file.truncateSync(0);
      file.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
    });
  } catch (error) {
    file.close();
    throw error;
  }
  return { release: () => file.close() };
}

/** Process id in the lock file, for people: the lock itself is flock's. */
function holder(path: string): number | undefined {
  const pid = parseInt(Deno.readTextFileSync(path));
  return Number.isNaN(pid) ? undefined : pid;
}
