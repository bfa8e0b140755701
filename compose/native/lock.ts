/** One `up` or `down` of a stack at a time, whatever process it runs in. */

import { dirname } from "node:path";
import { stackFolder } from "./paths.ts";

/** Does `work` while holding the stack's lock; another process waits, and a dead one's lock is gone. */
export async function withStackLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const path = `${stackFolder(name)}.lock`;
  await Deno.mkdir(dirname(path), { recursive: true });
  using file = await Deno.open(path, { create: true, write: true });
  await file.lock(true);
  return await work();
}
