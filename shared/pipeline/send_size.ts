/** How much a capture sends at once. */

/** What brokers beside a capture take at most to acknowledge a few bytes. */
const NEAR_MS = 10;
/** Bounds what sends take of memory. */
const MOST_TIMES = 8;

/**
 * `send_bytes` for each 10 ms that a small send takes at best: while brokers copy one send, a capture
 * gathers the next, and with brokers 20 ms apart it waited half of the time with a full one (measured).
 */
export class SendSize {
  readonly #send_bytes: number;
  #quickest_ms = Infinity;

  constructor(send_bytes: number) {
    this.#send_bytes = send_bytes;
  }

  /** A send of a few bytes was acknowledged after so many milliseconds. */
  took(ms: number): void {
    this.#quickest_ms = Math.min(this.#quickest_ms, ms);
  }

  /** Bytes of records that may be gathered for the next send. */
  get bytes(): number {
    const times = Math.round(this.#quickest_ms / NEAR_MS);
    return this.#send_bytes * Math.min(MOST_TIMES, Math.max(1, times));
  }
}
