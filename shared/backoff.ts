/** How long to wait before work is tried again. Every retry takes its waits from here. */

/** The steps of the waiting. */
export interface Backoff {
  /** Longest wait before the first repetition, in milliseconds. */
  readonly initial_ms: number;
  /** Longest wait before any. */
  readonly max_ms: number;
}

/**
 * How long to wait before repetition number `attempt` (from 0), in milliseconds: between half of the
 * doubled wait and all of it, so that many clients do not come back at once ("equal jitter" of
 * "Exponential Backoff And Jitter", AWS Architecture Blog, 2015). `random` is in [0, 1).
 */
export function backoff(attempt: number, { initial_ms, max_ms }: Backoff, random: number): number {
  const longest = Math.min(max_ms, initial_ms * 2 ** attempt);
  return longest / 2 + random * longest / 2;
}

/** Resolves when `signal` is aborted. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/** What `work` answers; undefined once `signal` aborts, and what comes then is dropped. */
export async function unlessAborted<T>(
  work: Promise<T>,
  signal: AbortSignal,
): Promise<T | undefined> {
  if (signal.aborted) return undefined;
  const over = Promise.withResolvers<undefined>();
  const end = () => over.resolve(undefined);
  signal.addEventListener("abort", end);
  try {
    return await Promise.race([work, over.promise]);
  } finally {
    signal.removeEventListener("abort", end);
  }
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

/** Resolves after `ms`, or rejects with the signal's reason as soon as it aborts. */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await wait(ms, signal);
  signal.throwIfAborted();
}
