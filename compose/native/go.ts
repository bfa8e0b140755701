/** Programs written in Go: built from their module by the machine's Go, or by Debian's in the cache. */

import { dirname, join } from "node:path";
import { cacheFolder, exists, workFolder } from "./paths.ts";
import { type Note, unpackPackages } from "./packages.ts";
import { run, runOrFail, which } from "./processes.ts";

/** A program and the version of its module. */
export interface GoProgram {
  /** Path of the program's package: `github.com/owner/module/cmd/name`. */
  package: string;
  /** With its `v`: `v2.6.0`. */
  version: string;
}

/** What runs `go`, and what it needs in its environment. */
interface Go {
  command: string;
  env: Record<string, string>;
}

/** The oldest that is tested: Debian 12's. */
const OLDEST_GO = 19;

const MODULE_CURE =
  "see that Go reaches its module proxy (`go env GOPROXY`), and start again; or put the program there";

/** Path of the program, from the cache when it is there, else built. */
export async function goProgram(program: GoProgram, note: Note): Promise<string> {
  const name = program.package.split("/").at(-1)!;
  const folder = join(
    cacheFolder(),
    "go",
    `${program.package.replaceAll("/", "_")}-${program.version}`,
  );
  const path = join(folder, name);
  if (await exists(path)) return path;
  const work = await workFolder(dirname(folder));
  try {
    const { command, env } = await findGo(note);
    note(`building ${program.package}@${program.version}`);
    const flags = [Deno.env.get("GOFLAGS") ?? "", "-modcacherw"].join(" ").trim();
    await runOrFail(`Build of ${name}`, command, [
      "install",
      `${program.package}@${program.version}`,
    ], {
      env: {
        ...env,
        GOPATH: join(work, "path"),
        GOCACHE: join(work, "cache"),
        GOBIN: join(work, "bin"),
        GOFLAGS: flags,
        // Without it Go would ask for a C compiler.
        CGO_ENABLED: "0",
      },
      cure: `${MODULE_CURE}: ${path}`,
    });
    await Deno.chmod(join(work, "bin"), 0o755);
    await Deno.rename(join(work, "bin"), folder).catch(async (error) => {
      // Another process was first; its program is as good.
      if (!await exists(path)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return path;
}

async function findGo(note: Note): Promise<Go> {
  return await machineGo() ?? await debianGo(note);
}

async function machineGo(): Promise<Go | undefined> {
  const command = which("go");
  if (command === undefined) return undefined;
  const { output } = await run(command, ["version"]);
  const minor = /go1\.(\d+)/.exec(output)?.[1];
  return Number(minor ?? 0) >= OLDEST_GO ? { command, env: {} } : undefined;
}

/** The package's own tree, which finds itself by GOROOT. */
async function debianGo(note: Note): Promise<Go> {
  const choose = () => ["golang-go"];
  const { root } = await unpackPackages({ name: "go", suite: "machine", choose }, note);
  for await (const { name } of Deno.readDir(join(root, "usr/lib"))) {
    const home = join(root, "usr/lib", name);
    const command = join(home, "bin/go");
    if (/^go-1\.\d+$/.test(name) && await exists(command)) {
      return { command, env: { GOROOT: home } };
    }
  }
  throw new Error(`No Go below ${root}/usr/lib. To mend: remove ${root} and start again.`);
}
