/** The user that servers run as: never root. */

import { dirname } from "node:path";
import { demand, runOrFail } from "./processes.ts";

/** Every Debian has this user and group, and they own nothing. */
const SERVER_USER = "nobody";
const SERVER_GROUP = "nogroup";
/** The capability to pass closed folders, and the bit that makes access(2) honour it as well. */
const PASSING = [
  "--securebits=+no_setuid_fixup",
  "--inh-caps=+dac_override",
  "--ambient-caps=+dac_override",
];

/**
 * Command line that starts another command as the server user; empty when this is not root anyway.
 * A checkout or cache below a closed home such as /root (mode 0700) cannot be entered by another
 * user; only then the command keeps the one capability to pass such folders. `folders`: what it must
 * reach and does not own.
 */
export async function asServerUser(folders: string[]): Promise<string[]> {
  if (Deno.uid() !== 0) return [];
  const open = (await Promise.all(folders.map(isEnterable))).every(Boolean);
  const passing = open ? [] : PASSING;
  const user = [`--reuid=${SERVER_USER}`, `--regid=${SERVER_GROUP}`, "--clear-groups"];
  return [demand("setpriv", "util-linux"), ...user, ...passing, "--"];
}

/** Makes a folder that the server user owns and nobody else can read. */
export async function makePrivateFolder(path: string): Promise<void> {
  await Deno.mkdir(path, { recursive: true, mode: 0o700 });
  await giveToServerUser(path);
}

/** Hands a file or folder to the server user; nothing to do when this is not root. */
export async function giveToServerUser(path: string): Promise<void> {
  if (Deno.uid() !== 0) return;
  await runOrFail("Change of owner", "chown", ["-R", `${SERVER_USER}:${SERVER_GROUP}`, path]);
}

async function isEnterable(path: string): Promise<boolean> {
  for (let folder = path; folder !== "/"; folder = dirname(folder)) {
    const { mode } = await Deno.stat(folder);
    if (((mode ?? 0) & 0o001) === 0) return false;
  }
  return true;
}
