/** How long a capture gathers before it sends, while changes come fast. */

/** So much has come while a send was in flight, some 200 changes: more is to come at once. */
const BUSY_BYTES = 64 << 10;
/** Enough for a send. */
const ENOUGH_BYTES = 512 << 10;
/** Between two sends at most. */
const LINGER_MS = 20;

/**
 * Holds a send back for a moment when it would be one of hundreds a second. Brokers that have just
 * started are so busy with those that a million changes take a fifth longer on the whole way; once they
 * have run for minutes it makes no difference (measured). At 10,000 changes a second nothing waits.
 */
export class Linger {
  #end: (() => void) | undefined;

  /**
   * Resolves when what is gathered may leave: little, enough, or long after the send before.
   * @param most_bytes What a send may hold.
   * @param since_ms Milliseconds since the send before.
   */
  async wait(held_bytes: number, most_bytes: number, since_ms: number): Promise<void> {
    if (held_bytes < BUSY_BYTES || isEnough(held_bytes, most_bytes) || since_ms >= LINGER_MS) {
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, LINGER_MS - since_ms);
    this.#end = resolve;
    await promise;
    this.#end = undefined;
    clearTimeout(timer);
  }

  /** Told how much of `most_bytes` is gathered: with enough the wait ends. */
  gathered(held_bytes: number, most_bytes: number): void {
    if (isEnough(held_bytes, most_bytes)) this.#end?.();
  }
}

function isEnough(held_bytes: number, most_bytes: number): boolean {
  return held_bytes >= Math.min(ENOUGH_BYTES, most_bytes);
}
