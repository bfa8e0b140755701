/** One `up` or `down` of a stack at a time, whatever process it runs in. */

import { dirname } from "node:path";
import { stackFolder } from "./paths.ts";

/** Does `work` while holding the stack's lock; another process waits, and a dead one's lock is gone. */
export async function withStackLock<T>(name: string, work: () => Promise<T>): Promise<T> {
  const path = lockPath(name);
  await Deno.mkdir(dirname(path), { recursive: true });
  for (;;) {
    using file = await Deno.open(path, { create: true, write: true });
    await file.lock(true);
    if (await isStillThere(path, file)) return await work();
  }
}

/** False when the holder before us has removed the file: then others lock a new one. */
async function isStillThere(path: string, file: Deno.FsFile): Promise<boolean> {
  const found = await Deno.stat(path).catch(() => undefined);
  return found !== undefined && found.ino === (await file.stat()).ino;
}

/** Removes the lock's file; to be called while holding it. */
export async function removeStackLock(name: string): Promise<void> {
  await Deno.remove(lockPath(name));
}

function lockPath(name: string): string {
  return `${stackFolder(name)}.lock`;
}
