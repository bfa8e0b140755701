/** What `Producer.send` promises, whichever client sends: one at a time, and none after a failure. */
import { RetryableError } from "../errors.ts";

/** The sends of one producer. */
export class OneSend {
  #sending = false;
  #spent: unknown;

  /** Does `send`. Throws when the last one has not ended, and RetryableError when one has failed. */
  async run<Answer>(send: () => Promise<Answer>): Promise<Answer> {
    if (this.#sending) throw new Error("send was called again before the last send ended");
    if (this.#spent !== undefined) {
      throw new RetryableError("The producer is spent by an earlier error", { cause: this.#spent });
    }
    this.#sending = true;
    try {
      return await send();
    } catch (error) {
      this.#spent = error;
      throw error;
    } finally {
      this.#sending = false;
    }
  }
}
