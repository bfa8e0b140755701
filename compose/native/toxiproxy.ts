/** Toxiproxy: proxies that delay, slow down and hold what passes through them. */

import { join } from "node:path";
import { goProgram } from "./go.ts";
import type { Way } from "./netem.ts";
import type { Note } from "./packages.ts";
import { type ServerProcess, startDetached } from "./processes.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

/** Version of Toxiproxy: the last that Debian 12's Go builds. */
export const TOXIPROXY_VERSION = "2.6.0";

const ADDRESS = "127.0.0.1";

/** Path of the server, built when the cache does not have it. */
export async function toxiproxySoftware(note: Note): Promise<string> {
  return await goProgram({
    package: "github.com/Shopify/toxiproxy/v2/cmd/server",
    version: `v${TOXIPROXY_VERSION}`,
  }, note);
}

/** Starts the server with a proxy for each way; none changes yet what passes. */
export async function startToxiproxy(
  software: string,
  options: { folder: string; api: number; ways: readonly Way[]; log: string },
): Promise<ServerProcess> {
  const { folder, api, ways, log } = options;
  await makePrivateFolder(folder);
  const file = join(folder, "proxies.json");
  const proxies = ways.map(({ name, port, upstream }) => ({
    name,
    listen: `${ADDRESS}:${port}`,
    upstream: `${ADDRESS}:${upstream}`,
    enabled: true,
  }));
  await Deno.writeTextFile(file, JSON.stringify(proxies, undefined, 2));
  await giveToServerUser(folder);
  const user = await asServerUser([software, folder]);
  const command = [...user, software, "-host", ADDRESS, "-port", String(api), "-config", file];
  return await startDetached(command, { log, cwd: folder, env: { LOG_LEVEL: "warn" } });
}

/** Throws unless the server answers with all of its proxies. */
export async function probeToxiproxy(api: number, ways: readonly Way[]): Promise<void> {
  const response = await fetch(`http://${ADDRESS}:${api}/proxies`);
  const proxies = await response.json() as Record<string, unknown>;
  const missing = ways.find(({ name }) => !Object.hasOwn(proxies, name));
  if (missing !== undefined) throw new Error(`The proxy ${missing.name} is not there.`);
}
