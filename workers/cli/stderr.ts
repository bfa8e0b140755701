/** Text on stderr, whole. */

/** Writes all of `text`: a pipe may take a part of it. Throws when stderr takes no more. */
export function writeToStderr(text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
}
