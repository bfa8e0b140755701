/** How much goes to or comes from the brokers at once, by how far they are. */

/** Bounds what that takes of memory. */
const MOST_TIMES = 8;

/**
 * `bytes` for each `step_ms` of `ms`, in whole steps: once at least, eight times at most.
 * @param ms What one way there and back takes, as the caller measured it.
 */
export function bytesFor(bytes: number, ms: number, step_ms: number): number {
  return bytes * Math.min(MOST_TIMES, Math.max(1, Math.round(ms / step_ms)));
}
