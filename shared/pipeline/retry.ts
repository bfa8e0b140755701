/** Whole sessions tried again after passing faults: with backoff, reasons logged and counted. */
import { type Backoff, backoff, wait } from "../backoff.ts";
import { classify, describe } from "../errors.ts";
import type { Log } from "../observe/log.ts";
import { errorKind, type Metrics } from "../observe/metrics.ts";

/** A leader election takes a few of the first steps; a server that is down is asked twice a minute. */
export const BACKOFF: Backoff = { initial_ms: 250, max_ms: 30_000 };

/** What `retrying` works with. */
export interface Retrying {
  /** Ends the waiting. */
  readonly signal: AbortSignal;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "retries" | "errors">;
  /** @default BACKOFF */
  readonly backoff?: Backoff;
  /** In [0, 1). @default Math.random */
  readonly random?: () => number;
  /** Milliseconds from any beginning. @default performance.now */
  readonly elapsedMs?: () => number;
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
  const { backoff: steps = BACKOFF, elapsedMs = () => performance.now() } = options;
  for (let attempt = 0; !signal.aborted; attempt++) {
    const began = elapsedMs();
    try {
      return await work();
    } catch (error) {
      if (classify(error) === "stop") throw error;
      if (signal.aborted) {
        log.warn("stopped_at_fault", { error: describe(error) });
        return undefined;
      }
      if (elapsedMs() - began > steps.max_ms) attempt = 0;
      const wait_ms = Math.round(backoff(attempt, steps, random()));
      metrics.retries.add(1, { reason: labelOf(error) });
      metrics.errors.add(1, { kind: errorKind(error) });
      log.warn("retrying", { attempt: attempt + 1, wait_ms, error: describe(error) });
      await wait(wait_ms, signal);
    }
  }
  return undefined;
}

/** A word for the metric: few values, never a message. */
function labelOf(error: unknown): string {
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (typeof code === "string") return code;
  return typeof name === "string" ? name : "other";
}
