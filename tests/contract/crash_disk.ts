/**
 * A disk that knows what a power cut would leave: it works on a real folder and keeps beside it which
 * bytes of each file were synced, and which names each folder's sync has made last.
 */
import { createHash } from "node:crypto";
import { dirname, relative } from "node:path";
import { type Disk, disk as real, type DiskFile } from "../../shared/sinks/csv/disk.ts";

/** A file apart from its names. */
interface Inode {
  /** What the system holds, written to the disk or not. */
  cached: Uint8Array;
  /** What is on the disk for sure. */
  synced: Uint8Array;
}

/** What a power cut may leave of that which was not synced. */
export type Loss =
  /** Nothing of it. */
  | "all"
  /** Its names, but not its bytes. */
  | "bytes"
  /** Its bytes, but not its names. */
  | "names"
  /** Half of the bytes after those that were synced. */
  | "half"
  /** All of it: the process was killed, and the machine went on. */
  | "none";

export const LOSSES: readonly Loss[] = ["all", "bytes", "names", "half", "none"];

/** What the disk leaves out, to see that a test notices. */
export type Fault = "sync of data" | "sync of the journal" | "sync of folders" | undefined;

/** A disk over the folder `root`, which must be empty. `step` is called before each operation. */
export class CrashDisk implements Disk {
  readonly #root: string;
  readonly #fault: Fault;
  readonly #step: (operation: string) => Promise<void> | void;
  #names = new Map<string, Inode>();
  #kept = new Map<string, Inode>();
  /** Operations that cannot wait are looked at before the next one that can. */
  operations = 0;

  constructor(root: string, step: (operation: string) => void, fault?: Fault) {
    this.#root = root;
    this.#step = step;
    this.#fault = fault;
  }

  /** Writes what a power cut would leave now into the folder `to`. */
  image(to: string, loss: Loss): void {
    const names = loss === "all" || loss === "names" ? this.#kept : this.#names;
    for (const [path, { cached, synced }] of names) {
      const target = `${to}/${relative(this.#root, path)}`;
      Deno.mkdirSync(dirname(target), { recursive: true });
      Deno.writeFileSync(target, surviving(cached, synced, loss));
    }
  }

  /** Tells what `image` would write from other images. */
  fingerprint(loss: Loss): string {
    const names = loss === "all" || loss === "names" ? this.#kept : this.#names;
    const hash = createHash("sha256");
    for (const [path, { cached, synced }] of [...names].sort(([a], [b]) => a < b ? -1 : 1)) {
      const bytes = surviving(cached, synced, loss);
      hash.update(`${path} ${bytes.length} `).update(bytes);
    }
    return hash.digest("hex");
  }

  open(path: string, how: "create" | "append" | "read"): DiskFile {
    if (how === "read") return real.open(path, how);
    this.#before(`${how} ${this.#short(path)}`);
    const file = real.open(path, how);
    const inode = this.#inode(path, how, file);
    return {
      read: (at, length) => file.read(at, length),
      size: () => file.size(),
      close: () => file.close(),
      write: (bytes) => {
        this.#before(`write ${this.#short(path)}`);
        file.write(bytes);
        inode.cached = joined(inode.cached, bytes);
      },
      truncate: (length) => {
        this.#before(`truncate ${this.#short(path)}`);
        file.truncate(length);
        inode.cached = inode.cached.slice(0, length);
      },
      sync: () => {
        this.#before(`sync ${this.#short(path)}`);
        const lies = path.endsWith(".part") ? "sync of data" : "sync of the journal";
        if (this.#fault !== lies) inode.synced = inode.cached;
        return Promise.resolve();
      },
    };
  }

  exists(path: string): boolean {
    return real.exists(path);
  }

  makeFolder(path: string): string[] {
    return real.makeFolder(path);
  }

  list(path: string): string[] {
    return real.list(path);
  }

  rename(from: string, to: string): void {
    this.#before(`rename ${this.#short(from)}`);
    real.rename(from, to);
    this.#names.set(to, this.#names.get(from)!);
    this.#names.delete(from);
  }

  remove(path: string): void {
    this.#before(`remove ${this.#short(path)}`);
    real.remove(path);
    this.#names.delete(path);
  }

  syncFolder(path: string): Promise<void> {
    this.#before(`sync folder ${this.#short(path)}`);
    if (this.#fault === "sync of folders") return Promise.resolve();
    for (const name of this.#kept.keys()) if (dirname(name) === path) this.#kept.delete(name);
    for (const [name, inode] of this.#names) {
      if (dirname(name) === path) this.#kept.set(name, inode);
    }
    return Promise.resolve();
  }

  #inode(path: string, how: "create" | "append", file: DiskFile): Inode {
    const known = this.#names.get(path);
    const cached = how === "create" ? new Uint8Array() : file.read(0, file.size());
    const inode: Inode = known ?? { cached, synced: new Uint8Array() };
    inode.cached = cached;
    this.#names.set(path, inode);
    return inode;
  }

  #before(operation: string): void {
    this.operations++;
    this.#step(operation);
  }

  #short(path: string): string {
    return relative(this.#root, path);
  }
}

function surviving(cached: Uint8Array, synced: Uint8Array, loss: Loss): Uint8Array {
  if (loss === "none" || loss === "names") return cached;
  if (loss === "half" && cached.length > synced.length) {
    return joined(synced, cached.slice(synced.length, (synced.length + cached.length) >> 1));
  }
  return synced;
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}
