/** Waiting for a condition, with a deadline. */

/** Long enough for a busy machine: a test that waits so long has failed. */
export const DEADLINE_MS = 60_000;

/** How often is looked. */
const INTERVAL_MS = 10;

/**
 * Waits until `look` gives something other than `undefined` and `false`, and returns it. `what`
 * says what is waited for, as it stands when the deadline has passed.
 */
export async function until<T>(
  what: string | (() => string),
  look: () => T | Promise<T>,
  deadline_ms = DEADLINE_MS,
): Promise<Exclude<T, undefined | false>> {
  for (const deadline = performance.now() + deadline_ms;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (performance.now() > deadline) {
      throw new Error(`Not within ${deadline_ms} ms: ${typeof what === "string" ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
