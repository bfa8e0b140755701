/** One send in flight, the next in preparation: what leaves a capture leaves through here. */

/** Runs sends one after another and remembers the first failure. */
export class Outbox {
  #last: Promise<void> = Promise.resolve();
  readonly #failed: (error: unknown) => void;

  /** `failed` is told at once when a send fails, so that nobody waits for more to send. */
  constructor(failed: (error: unknown) => void) {
    this.#failed = failed;
  }

  /** Starts `send` when all before it have ended well; after a failure nothing is sent any more. */
  add(send: () => Promise<void>): void {
    this.#last = this.#last.then(send);
    this.#last.catch(this.#failed);
  }

  /** Resolves when nothing is in flight; rejects with the first failure. */
  drained(): Promise<void> {
    return this.#last;
  }
}
