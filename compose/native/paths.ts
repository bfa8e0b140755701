/** Where the native stack keeps things: downloads in the user's cache folder, state in the checkout. */

import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout that this file stands in. */
export const CHECKOUT = fileURLToPath(new URL("../../", import.meta.url)).replace(/\/$/, "");

/** Folder of everything downloaded: `$XDG_CACHE_HOME/list-sync`, by default `~/.cache/list-sync`. */
export function cacheFolder(): string {
  const base = Deno.env.get("XDG_CACHE_HOME") ||
    join(Deno.env.get("HOME") ?? "/root", ".cache");
  return join(base, "list-sync");
}

/** Folder of all stacks of this checkout. */
export const STACKS = join(CHECKOUT, ".stack");

/** Folder of one stack's data, logs and state file: `.stack/NAME` in the checkout. */
export function stackFolder(name: string): string {
  return join(STACKS, name);
}

/**
 * A new folder for work that becomes a part of `folder`: `.new-PID-…`. Removes those of processes that
 * were killed.
 */
export async function workFolder(folder: string): Promise<string> {
  await Deno.mkdir(folder, { recursive: true });
  const tellsProcesses = await exists("/proc/self");
  for await (const { name } of Deno.readDir(folder)) {
    const pid = /^\.new-(\d+)-/.exec(name)?.[1];
    if (pid === undefined || !tellsProcesses || await exists(`/proc/${pid}`)) continue;
    await Deno.remove(join(folder, name), { recursive: true }).catch((error) => {
      if (!(error instanceof Deno.errors.NotFound)) throw error; // another process was first
    });
  }
  return await Deno.makeTempDir({ dir: folder, prefix: `.new-${Deno.pid}-` });
}

/** True when something stands at this path. */
export async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
