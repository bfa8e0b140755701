/** ip and tc, which set links and what passes over them: the machine's own, else Debian's in the cache. */
import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Note, runInside, unpackPackages } from "./packages.ts";
import { which } from "./processes.ts";

const PROGRAMS = ["ip", "tc"];
/** Before and after Debian moved all programs below /usr. */
const FOLDERS = ["usr/bin", "bin", "usr/sbin", "sbin"];

/** A PATH on which both are found. */
export async function pathWithIproute(note: Note): Promise<string> {
  const path = Deno.env.get("PATH") ?? "";
  if (PROGRAMS.every((name) => which(name) !== undefined)) return path;
  const choose = () => ["iproute2"];
  const tree = await unpackPackages({ name: "iproute2", suite: "machine", choose }, note);
  const folder = join(tree.root, "list-sync-bin");
  Deno.mkdirSync(folder, { recursive: true });
  for (const name of PROGRAMS) {
    const at = FOLDERS.find((folder) => existsSync(join(tree.root, folder, name)))!;
    const command = runInside(tree, join(at, name)).map((word) => `'${word}'`).join(" ");
    const options = { mode: 0o755 };
    Deno.writeTextFileSync(join(folder, name), `#!/bin/sh\nexec ${command} "$@"\n`, options);
  }
  return `${folder}${delimiter}${path}`;
}
