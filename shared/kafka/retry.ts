/** The one place in which a Kafka client repeats a passing fault: capped exponential backoff with jitter. */
import { classify, RetryableError } from "../errors.ts";
import type { Log } from "../observe/log.ts";

/** First wait: a leader election on idle brokers takes about as long. */
const FIRST_MS = 50;
/** Longest wait: a broker that comes back is found within it. */
const LONGEST_MS = 2_000;

/** How one piece of work is repeated. */
export interface Retry {
  readonly log: Log;
  /** What is tried, for the log: `produce`, `find the coordinator of group g`. */
  readonly what: string;
  /** Ends the repetitions with its reason. */
  readonly signal: AbortSignal;
  /** The last fault is thrown when this time is over; absent: never. */
  readonly give_up_ms?: number;
}

/**
 * Runs `attempt` until it does not fail with an error that `classify` calls passing.
 * Each new reason is logged once as `kafka_retry`, and its end as `kafka_recovered`.
 */
export async function retrying<T>(retry: Retry, attempt: () => Promise<T>): Promise<T> {
  const fault = new FaultLog(retry.log, retry.what);
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
  readonly #reasons = new Set<string>();

  constructor(log: Log, what: string) {
    this.#log = log;
    this.#what = what;
  }

  /** The fault came, perhaps again. */
  met(error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    if (this.#reasons.has(reason)) return;
    this.#reasons.add(reason);
    this.#log.warn("kafka_retry", { what: this.#what, reason });
  }

  /** The work went on. */
  over(): void {
    if (this.#reasons.size === 0) return;
    this.#log.info("kafka_recovered", { what: this.#what, after: [...this.#reasons] });
    this.#reasons.clear();
  }
}

/** Milliseconds to wait before attempt `attempts` + 2: doubled each time, capped, at random within its upper half. */
export function backoffMs(attempts: number): number {
  const full = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempts, 16));
  return full / 2 + Math.random() * full / 2;
}

/** Waits, or throws the signal's reason as soon as it is aborted. */
export function pause(wait_ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", stop);
      resolve();
    }, wait_ms);
    signal.addEventListener("abort", stop, { once: true });
  });
}

/** The reason that a closed client gives to the work it leaves undone. */
export function closedError(what: string): RetryableError {
  return new RetryableError(`The ${what} was closed while it was at work`, {
    cure: "open another one; what was not acknowledged is found at the end of the partitions",
  });
}
