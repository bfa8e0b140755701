/** Waiting for a condition. */

/** How often is looked. */
const INTERVAL_MS = 100;

/** How long to wait, and what ends it early. */
export interface Waiting {
  readonly signal: AbortSignal;
  readonly patience_ms: number;
}

/** Waits until `look` answers true. Throws when it takes too long, and when the signal aborts. */
export async function until(
  what: string,
  look: () => Promise<boolean>,
  { signal, patience_ms }: Waiting,
): Promise<void> {
  const deadline = performance.now() + patience_ms;
  while (!await look()) {
    signal.throwIfAborted();
    if (performance.now() > deadline) {
      throw new Error(`Waited ${Math.round(patience_ms / 1000)} s in vain: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS));
  }
}
