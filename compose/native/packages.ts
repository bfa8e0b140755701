/**
 * Debian packages without installing them: apt resolves, downloads and verifies them in folders of
 * our own, and `dpkg -x` unpacks them into the cache. Nothing of the system is read except its
 * mirror and keyring, and nothing of it is written.
 */

import { dirname, join, relative } from "node:path";
import { ConfigError } from "../../shared/errors.ts";
import { cacheFolder, exists, workFolder } from "./paths.ts";
import { demand, runOrFail } from "./processes.ts";

/** A tree of unpacked packages with everything they depend on, libc included. */
export interface Unpacked {
  root: string;
  /** Version of each package by its name. */
  versions: Record<string, string>;
  /** Folders with shared libraries, for the dynamic loader. */
  libraries: string[];
  /** This tree's own dynamic loader. */
  loader: string;
}

/** One line of apt's sources: where a suite is had and the keyring that signs it. */
export interface SourceEntry {
  uri: string;
  suite: string;
  keyring: string;
}

/** What to unpack. */
export interface PackageSet {
  /** Folder in the cache, such as `mysql`. */
  name: string;
  /** `machine`: the suite that this machine runs; `unstable`: where newer servers are. */
  suite: "machine" | "unstable";
  /** Chooses the packages among all names that the suite has. */
  choose: (names: string[]) => string[];
}

/** Told what is being done, and how far it is. */
export type Note = (phase: string, done?: number, total?: number) => void;

const DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR_CURE = "see that `apt-get update` reaches the machine's mirror, and start again";
/** Unpacking is half waiting for the disk, so a few run at once. */
const UNPACK_AT_ONCE = 4;

/**
 * Returns the unpacked set, from the cache when it is there; else downloads it.
 * Two processes may do this at the same time: the first to finish wins, the other's copy is dropped.
 */
export async function unpackPackages(set: PackageSet, note: Note): Promise<Unpacked> {
  const { codename, entries } = await debianSources();
  const suite = set.suite === "machine" ? codename : set.suite;
  const folder = join(cacheFolder(), "debian", `${set.name}-${suite}`);
  const manifest = join(folder, "versions.json");
  if (!await exists(manifest)) await download(set, suite, entries, folder, note);
  const versions = JSON.parse(await Deno.readTextFile(manifest)) as Record<string, string>;
  return { root: folder, versions, ...await loaderOf(folder) };
}

async function download(
  set: PackageSet,
  suite: string,
  entries: SourceEntry[],
  folder: string,
  note: Note,
): Promise<void> {
  const work = await workFolder(dirname(folder));
  try {
    const apt = new PrivateApt(join(work, "apt"));
    await apt.prepare(set.suite === "machine" ? entries : [unstableOf(entries)]);
    note(`reading the package list of Debian ${suite}`);
    await apt.update();
    const packages = set.choose(await apt.names());
    note(`downloading ${packages.join(", ")}`);
    const archives = await apt.download(packages);
    const root = join(work, "root");
    await unpackAll(archives, root, note);
    await relinkInside(root);
    await Deno.writeTextFile(
      join(root, "versions.json"),
      JSON.stringify(versionsOf(archives), null, 2),
    );
    await Deno.chmod(root, 0o755);
    await renameUnlessThere(root, folder);
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** apt with its own state, cache and sources; the machine's proxies and credentials are kept. */
class PrivateApt {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async prepare(entries: SourceEntry[]): Promise<void> {
    demand("apt-get", "apt");
    for (const folder of ["lists/partial", "cache/archives/partial"]) {
      await Deno.mkdir(join(this.#folder, folder), { recursive: true });
    }
    // An empty status file means that nothing is installed: so the closure holds libc as well.
    await Deno.writeTextFile(join(this.#folder, "status"), "");
    const lines = entries.map((entry) =>
      `deb [signed-by=${entry.keyring}] ${entry.uri} ${entry.suite} main\n`
    );
    await Deno.writeTextFile(join(this.#folder, "sources.list"), lines.join(""));
    await Deno.writeTextFile(join(this.#folder, "apt.conf"), await this.#configuration(), {
      mode: 0o600,
    });
  }

  /**
   * The machine's own configuration files are left out, because their hooks clean the system's
   * folders; of what they say only how to reach a mirror is carried over.
   */
  async #configuration(): Promise<string> {
    const reach = await reachSettings();
    const own: Record<string, string> = {
      "Dir::State": this.#folder,
      "Dir::State::lists": join(this.#folder, "lists"),
      "Dir::State::status": join(this.#folder, "status"),
      "Dir::Cache": join(this.#folder, "cache"),
      "Dir::Log": this.#folder,
      "Dir::Etc::main": "/dev/null",
      "Dir::Etc::parts": "/dev/null",
      "Dir::Etc::preferences": "/dev/null",
      "Dir::Etc::preferencesparts": "/dev/null",
      "Dir::Etc::sourcelist": join(this.#folder, "sources.list"),
      "Dir::Etc::sourceparts": "/dev/null",
      "APT::Install-Recommends": "false",
      "APT::Sandbox::User": Deno.uid() === 0 ? "root" : "",
      "APT::Get::AllowUnauthenticated": "false",
      "Acquire::AllowInsecureRepositories": "false",
      // A mirror may be weeks behind. Its lists are signed all the same, and these servers are for tests.
      "Acquire::Check-Valid-Until": "false",
      "Acquire::Languages": "none",
    };
    const settings = Object.entries(own).map(([name, value]) => `${name} "${value}";`);
    return [...reach, ...settings, ""].join("\n");
  }

  async #run(what: string, command: string, args: string[]): Promise<string> {
    const env = { APT_CONFIG: join(this.#folder, "apt.conf"), LC_ALL: "C.UTF-8" };
    return await runOrFail(what, command, args, { env, cure: MIRROR_CURE });
  }

  async update(): Promise<void> {
    const args = ["-o", "APT::Update::Error-Mode=any", "update"];
    await this.#run("Reading the package list", "apt-get", args);
  }

  /** Names of all packages of the suite. */
  async names(): Promise<string[]> {
    return (await this.#run("Listing packages", "apt-cache", ["pkgnames"])).split("\n");
  }

  /** Downloads the packages with their whole closure, signatures verified; paths of the .deb files. */
  async download(packages: string[]): Promise<string[]> {
    const args = ["-qq", "-y", "--download-only", "install", ...packages];
    await this.#run(`Download of ${packages.join(", ")}`, "apt-get", args);
    const folder = join(this.#folder, "cache/archives");
    const names = await namesIn(folder);
    return names.filter((name) => name.endsWith(".deb")).map((name) => join(folder, name));
  }
}

async function unpackAll(archives: string[], root: string, note: Note): Promise<void> {
  await Deno.mkdir(root);
  const queue = [...archives];
  let done = 0;
  const worker = async () => {
    for (let archive = queue.pop(); archive !== undefined; archive = queue.pop()) {
      await runOrFail("Unpacking", "dpkg", ["-x", archive, root]);
      note("unpacking packages", ++done, archives.length);
    }
  };
  await Promise.all(Array.from({ length: UNPACK_AT_ONCE }, worker));
}

/** Makes absolute links that mean a file of the tree point into the tree. */
async function relinkInside(root: string): Promise<void> {
  const walk = async (folder: string): Promise<void> => {
    for await (const entry of Deno.readDir(folder)) {
      const path = join(folder, entry.name);
      if (entry.isDirectory) await walk(path);
      if (!entry.isSymlink) continue;
      const target = await Deno.readLink(path);
      if (!target.startsWith("/") || !await exists(join(root, target))) continue;
      await Deno.remove(path);
      await Deno.symlink(relative(folder, join(root, target)), path);
    }
  };
  await walk(root);
}

async function renameUnlessThere(from: string, to: string): Promise<void> {
  try {
    await Deno.rename(from, to);
  } catch (error) {
    if (!await exists(join(to, "versions.json"))) throw error;
  }
}

/** Package versions from file names such as `zlib1g_1%3a1.3.1-1_amd64.deb`. */
export function versionsOf(archives: string[]): Record<string, string> {
  const pairs = archives.map((archive) => {
    const [name = "", version = ""] = archive.slice(archive.lastIndexOf("/") + 1).split("_");
    return [name, decodeURIComponent(version)] as const;
  });
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** Packages made before and after Debian joined /lib and /usr/lib put their libraries in either. */
async function loaderOf(root: string): Promise<Pick<Unpacked, "libraries" | "loader">> {
  const libraries: string[] = [];
  let loader: string | undefined;
  for (const library of [join(root, "usr/lib"), join(root, "lib")]) {
    for (const triplet of await namesIn(library)) {
      if (!triplet.endsWith("-linux-gnu")) continue;
      const folder = join(library, triplet);
      libraries.push(folder);
      const file = (await namesIn(folder)).find((name) => /^ld-linux.*\.so\.\d+$/.test(name));
      if (file !== undefined) loader = join(folder, file);
    }
  }
  if (loader !== undefined) return { libraries, loader };
  throw new Error(`No dynamic loader in ${root}. To mend: remove that folder and start again.`);
}

async function namesIn(folder: string): Promise<string[]> {
  if (!await exists(folder)) return [];
  return (await Array.fromAsync(Deno.readDir(folder))).map((entry) => entry.name);
}

/** The command line that runs a program of the tree with the tree's own loader and libraries. */
export function runInside(
  tree: Unpacked,
  program: string,
  extraLibraries: string[] = [],
): string[] {
  const path = join(tree.root, program);
  const libraries = [...extraLibraries.map((folder) => join(tree.root, folder)), ...tree.libraries];
  return [tree.loader, "--argv0", path, "--library-path", libraries.join(":"), path];
}

/** The machine's release and the entries of its sources that are Debian's own. */
async function debianSources(): Promise<{ codename: string; entries: SourceEntry[] }> {
  const release = await Deno.readTextFile("/etc/os-release").catch(() => "");
  const codename = /^VERSION_CODENAME=(\S+)$/m.exec(release)?.[1];
  if (codename === undefined || !/^ID=debian$/m.test(release)) {
    throw new ConfigError(
      "The native stack takes its servers from Debian packages; this is not Debian.",
      {
        cure: "use `deno task stack up --docker` with a Docker engine",
      },
    );
  }
  const all: SourceEntry[] = [];
  for (const [path, text] of await sourceFiles()) {
    all.push(...(path.endsWith(".sources") ? parseDeb822(text) : parseOneLine(text)));
  }
  const entries = ofRelease(all, codename);
  if (entries.length > 0) return { codename, entries };
  throw new ConfigError(
    `No mirror of Debian ${codename} main in /etc/apt/sources.list or sources.list.d.`,
    {
      cure: `add a line such as: deb [signed-by=${DEBIAN_KEYRING}] MIRROR ${codename} main`,
    },
  );
}

async function sourceFiles(): Promise<[path: string, text: string][]> {
  const paths = ["/etc/apt/sources.list"];
  try {
    for await (const entry of Deno.readDir("/etc/apt/sources.list.d")) {
      if (/\.(list|sources)$/.test(entry.name)) paths.push(`/etc/apt/sources.list.d/${entry.name}`);
    }
  } catch {
    // A machine may have the one file only.
  }
  const found: [string, string][] = [];
  for (const path of paths) {
    if (await exists(path)) found.push([path, await Deno.readTextFile(path)]);
  }
  return found;
}

/** Keeps the entries of a release, its updates and its security archive that Debian's keyring signs. */
export function ofRelease(entries: SourceEntry[], codename: string): SourceEntry[] {
  const bases = [codename, "stable", "testing", "unstable", "sid"];
  const suites = new Set(bases.flatMap((base) => [base, `${base}-updates`, `${base}-security`]));
  return entries.filter(({ suite, keyring }) =>
    suites.has(suite) && keyring.includes("debian-archive")
  );
}

/** What the machine's apt is set to about reaching a mirror: proxies, checks. */
async function reachSettings(): Promise<string[]> {
  const machine = await runOrFail("Reading apt's settings", "apt-config", ["dump"]);
  return machine.split("\n").filter((line) =>
    line.startsWith("Acquire::") && !line.startsWith("Acquire::IndexTargets")
  );
}

/** The machine's release, where it is had, and what its apt is set to about reaching that place. */
export async function machineMirror(): Promise<
  { codename: string; uri: string; settings: string }
> {
  const { codename, entries } = await debianSources();
  const settings = (await reachSettings()).map((line) => `${line}\n`).join("");
  return { codename, uri: mainOf(entries).uri, settings };
}

/** Debian unstable on the mirror that the machine already uses. */
function unstableOf(entries: SourceEntry[]): SourceEntry {
  return { ...mainOf(entries), suite: "unstable" };
}

/** The release itself, not its updates. */
function mainOf(entries: SourceEntry[]): SourceEntry {
  return entries.find((entry) => !/-(updates|security)$/.test(entry.suite)) ?? entries[0]!;
}

/** Reads lines of the form `deb [options] uri suite component…` (sources.list(5)). */
export function parseOneLine(text: string): SourceEntry[] {
  const entries: SourceEntry[] = [];
  for (const line of text.split("\n")) {
    const match = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)$/.exec(line.split("#")[0]!);
    if (match === null) continue;
    const [, options = "", uri = "", suite = "", components = ""] = match;
    if (!components.split(/\s+/).includes("main")) continue;
    const keyring = /signed-by=(\S+)/i.exec(options)?.[1] ?? DEBIAN_KEYRING;
    entries.push({ uri, suite, keyring });
  }
  return entries;
}

/** Reads deb822 stanzas (sources.list(5)); disabled ones and those with an inline key are left out. */
export function parseDeb822(text: string): SourceEntry[] {
  const entries: SourceEntry[] = [];
  const bare = text.split("\n").filter((line) => !line.startsWith("#")).join("\n");
  for (const stanza of bare.split(/\n\s*\n/)) {
    const field = (name: string): string =>
      new RegExp(`^${name}:((?:.*)(?:\\n[ \\t].*)*)`, "im").exec(stanza)?.[1]?.trim() ?? "";
    if (field("Enabled").toLowerCase() === "no") continue;
    if (!field("Types").split(/\s+/).includes("deb")) continue;
    if (!field("Components").split(/\s+/).includes("main")) continue;
    const keyring = field("Signed-By") || DEBIAN_KEYRING;
    if (!keyring.startsWith("/")) continue;
    const uris = field("URIs").split(/\s+/);
    for (const suite of field("Suites").split(/\s+/)) {
      entries.push(...uris.map((uri) => ({ uri, suite, keyring })));
    }
  }
  return entries;
}
