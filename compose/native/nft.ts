/** nft, which writes the kernel's packet filter: the machine's own, else Debian's in the cache. */

import { type Note, runInside, unpackPackages } from "./packages.ts";
import { which } from "./processes.ts";

/** Command line that runs nft. */
export async function nftCommand(note: Note): Promise<string[]> {
  const path = which("nft");
  if (path !== undefined) return [path];
  const choose = () => ["nftables"];
  const tree = await unpackPackages({ name: "nftables", suite: "machine", choose }, note);
  return runInside(tree, "usr/sbin/nft");
}
