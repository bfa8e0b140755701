/** Text for people and for logs. */

/**
 * Writes `text` to stderr, whole: a pipe may take a part of it. What cannot be written is dropped: a full
 * disk, a terminal or a reader of the pipe that is gone ends no work.
 */
export function writeToStderr(text: string): void {
  const bytes = new TextEncoder().encode(text);
  try {
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  } catch {
    // Dropped.
  }
}
