/** Lines of large files. */

const LF = 10;
const CHUNK_BYTES = 1 << 20;

/** How many line ends the file has. */
export function linesIn(path: string): number {
  using file = Deno.openSync(path);
  const chunk = new Uint8Array(CHUNK_BYTES);
  let lines = 0;
  for (let read = file.readSync(chunk); read !== null; read = file.readSync(chunk)) {
    const bytes = chunk.subarray(0, read);
    for (let at = bytes.indexOf(LF); at >= 0; at = bytes.indexOf(LF, at + 1)) lines++;
  }
  return lines;
}
