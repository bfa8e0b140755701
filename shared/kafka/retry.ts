/** Requests to brokers tried again after passing faults, each new reason told once. */
import { type Backoff, backoff, pause } from "../backoff.ts";
import { classify, RetryableError } from "../errors.ts";
import type { Log } from "../observe/log.ts";

/** A leader election on idle brokers takes a few first steps; a broker that is back is found in two seconds. */
const BACKOFF: Backoff = { initial_ms: 50, max_ms: 2_000 };

/** How one piece of work is repeated. */
export interface Retry {
  readonly log: Log;
  /** What is tried, for the log: `produce`, `find the coordinator of group g`. */
  readonly what: string;
  /** Ends the repetitions with its reason. */
  readonly signal: AbortSignal;
  /** That it does not succeed at once is no news, so that the log has it as debug. */
  readonly usual?: boolean;
  /** The last fault is thrown when this time is over; absent: never. */
  readonly give_up_ms?: number;
}

/**
 * Runs `attempt` until it does not fail with an error that `classify` calls passing.
 * Each new reason is logged once as `kafka_retry`, and its end as `kafka_recovered`.
 */
export async function retrying<T>(retry: Retry, attempt: () => Promise<T>): Promise<T> {
  const fault = new FaultLog(retry.log, retry.what, retry.usual);
  const started = performance.now();
  for (let attempts = 0;; attempts++) {
    retry.signal.throwIfAborted();
    try {
      const result = await attempt();
      fault.over();
      return result;
    } catch (error) {
      retry.signal.throwIfAborted();
      if (classify(error) === "stop") throw error;
      const passed = performance.now() - started;
      if (retry.give_up_ms !== undefined && passed >= retry.give_up_ms) throw error;
      fault.met(error);
    }
    await pause(backoffMs(attempts), retry.signal);
  }
}

/** Tells each reason once until the work has gone on. */
export class FaultLog {
  readonly #log: Log;
  readonly #what: string;
  readonly #usual: boolean;
  readonly #reasons = new Set<string>();

  constructor(log: Log, what: string, usual = false) {
    this.#log = log;
    this.#what = what;
    this.#usual = usual;
  }

  /** The fault came, perhaps again. */
  met(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#reasons.has(reason)) return;
    this.#reasons.add(reason);
    this.#log[this.#usual ? "debug" : "warn"]("kafka_retry", { what: this.#what, reason });
  }

  /** The work went on. */
  over(): void {
    if (this.#reasons.size === 0) return;
    this.#log[this.#usual ? "debug" : "info"]("kafka_recovered", {
      what: this.#what,
      after: [...this.#reasons],
    });
    this.#reasons.clear();
  }
}

/** Milliseconds to wait before the repetition that follows `attempts` failed ones and the first. */
export function backoffMs(attempts: number): number {
  return backoff(attempts, BACKOFF, Math.random());
}

/** The reason that a closed client gives to the work it leaves undone. */
export function closedError(what: string): RetryableError {
  return new RetryableError(`The ${what} was closed while it was at work`, {
    cure: "open another one; what was not acknowledged is found at the end of the partitions",
  });
}
