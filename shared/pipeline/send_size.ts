/** How much a capture sends at once. */
import { bytesFor } from "../kafka/distance.ts";

/** What brokers beside a capture take at most to acknowledge a few bytes. */
const NEAR_MS = 10;

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
    return bytesFor(this.#send_bytes, this.#quickest_ms, NEAR_MS);
  }
}
