/** The one place where work is tried again: capped exponential backoff with jitter, reasons logged. */
import { classify, describe } from "../errors.ts";
import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics.ts";

/** How long to wait between attempts. */
export interface Backoff {
  /** Longest wait before the first repetition, in milliseconds. */
  readonly initial_ms: number;
  /** Longest wait before any. */
  readonly max_ms: number;
}

/** A leader election takes a few of the first steps; a server that is down is asked twice a minute. */
export const BACKOFF: Backoff = { initial_ms: 250, max_ms: 30_000 };

/**
 * How long to wait before repetition number `attempt` (from 0), in milliseconds: between half of the
 * doubled wait and all of it, so that many clients do not come back at once ("equal jitter" of
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). `random` is in [0, 1).
 */
export function backoff(attempt: number, { initial_ms, max_ms }: Backoff, random: number): number {
  const longest = Math.min(max_ms, initial_ms * 2 ** attempt);
  return longest / 2 + random * longest / 2;
}

/** What `retrying` works with. */
export interface Retrying {
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "retries">;
  /** @default BACKOFF */
  readonly backoff?: Backoff;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
  /** Milliseconds from any beginning. @default performance.now */
  readonly elapsed_ms?: () => number;
}

/**
 * Does `work`, again and again while it fails with errors that `classify` calls passing; any other
 * error is thrown on. An attempt that lasted longer than the longest wait begins the count anew.
 * Answers what `work` answers; undefined when `signal` aborted between two attempts.
 */
export async function retrying<T>(
  work: () => Promise<T>,
  options: Retrying,
): Promise<T | undefined> {
  const { signal, log, metrics, random = Math.random } = options;
  const { backoff: steps = BACKOFF, elapsed_ms = () => performance.now() } = options;
  for (let attempt = 0; !signal.aborted; attempt++) {
    const began = elapsed_ms();
    try {
      return await work();
    } catch (error) {
      if (classify(error) === "stop") throw error;
      if (signal.aborted) return undefined;
      if (elapsed_ms() - began > steps.max_ms) attempt = 0;
      const wait_ms = Math.round(backoff(attempt, steps, random()));
      metrics.retries.add(1, { reason: reasonOf(error) });
      log.warn("retrying", { attempt: attempt + 1, wait_ms, error: describe(error) });
      await wait(wait_ms, signal);
    }
  }
  return undefined;
}

/** Resolves after `ms`, or at once when `signal` aborts. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, ms);
    signal.addEventListener("abort", end);
  });
}

/** A word for the metric: few values, never a message. */
function reasonOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === "string") return code;
  return typeof name === "string" ? name : "other";
}
