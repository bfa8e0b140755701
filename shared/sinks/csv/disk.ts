/** The file operations that crash safety rests on, in one place so that a test can look at each. */
import { dirname } from "node:path";
import { ConfigError } from "../../errors.ts";

/** A file that only grows at its end, or is cut. */
export interface DiskFile {
  /** Appends all of `bytes`. */
  write(bytes: Uint8Array): void;
  /** Reads `length` bytes from `at`; fewer at the end of the file. */
  read(at: number, length: number): Uint8Array;
  size(): number;
  truncate(length: number): void;
  /** Resolves when what was written survives a power cut. */
  sync(): Promise<void>;
  close(): void;
}

/** The file system as the CSV sink needs it. Paths are whole. */
export interface Disk {
  /** `create`: makes the file, empty; `append`: opens what is there; `read`: the same, only to read. */
  open(path: string, how: "create" | "append" | "read"): DiskFile;
  exists(path: string): boolean;
  /**
   * Makes a folder with its parents; answers the folders in which names were made by it, as far as
   * this process may read them.
   */
  makeFolder(path: string): string[];
  /** Names in a folder; none where it does not exist. */
  list(path: string): string[];
  rename(from: string, to: string): void;
  remove(path: string): void;
  /** Resolves when the names in the folder survive a power cut. */
  syncFolder(path: string): Promise<void>;
}

/** System errors that say: nothing can be written here now. */
const UNWRITABLE = new Set(["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"]);

/** System errors that say: a file stands where a folder is wanted. */
const NO_FOLDER = new Set(["ENOTDIR", "EEXIST"]);

/** Does `write`; where the file system does not let it, the ConfigError names `path` and the cure. */
export function writing<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw unwritable(path, error);
  }
}

function unwritable(path: string, error: unknown): unknown {
  const code = (error as { code?: string }).code ?? "";
  if (NO_FOLDER.has(code)) {
    return new ConfigError(`Cannot write ${path}: a file stands where a folder is wanted`, {
      cure: "name a folder in sink.output, or move the file away",
      cause: error,
    });
  }
  if (code === "ENOENT") {
    return new ConfigError(`Cannot write ${path}: its folder was removed meanwhile`, {
      cure:
        "put the folder back as it was, or write everything again: an empty folder and another group_id",
      cause: error,
    });
  }
  if (!UNWRITABLE.has(code)) return error;
  return new ConfigError(`Cannot write ${path}`, {
    cure: "free space on that file system, or let this user write there, and start again",
    cause: error,
  });
}

/** The real one. */
export const disk: Disk = {
  open(path, how) {
    const options = {
      read: true,
      write: how !== "read",
      create: how === "create",
      truncate: how === "create",
    };
    const file = writing(path, () => Deno.openSync(path, options));
    if (how === "append") file.seekSync(0, Deno.SeekMode.End);
    return new RealFile(path, file);
  },
  exists(path) {
    try {
      Deno.lstatSync(path);
      return true;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  },
  makeFolder(path) {
    if (disk.exists(path)) return [];
    const parent = dirname(path);
    // A worker may read its output folder and nothing above. What it makes there it cannot sync; a
    // journaling file system makes a folder's name durable with the first sync of what lies inside.
    const above = mayRead(parent) ? [...disk.makeFolder(parent), parent] : [];
    writing(path, () => Deno.mkdirSync(path, { recursive: true }));
    return above;
  },
  list(path) {
    try {
      return [...Deno.readDirSync(path)].map((entry) => entry.name);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return [];
      throw unwritable(path, error);
    }
  },
  rename: (from, to) => writing(to, () => Deno.renameSync(from, to)),
  remove: (path) => writing(path, () => Deno.removeSync(path)),
  async syncFolder(path) {
    try {
      using folder = await Deno.open(path);
      await folder.sync();
    } catch (error) {
      throw unwritable(path, error);
    }
  },
};

function mayRead(path: string): boolean {
  return Deno.permissions.querySync({ name: "read", path }).state === "granted";
}

class RealFile implements DiskFile {
  readonly #path: string;
  readonly #file: Deno.FsFile;

  constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length;) {
      at += writing(this.#path, () => this.#file.writeSync(bytes.subarray(at)));
    }
  }

  read(at: number, length: number): Uint8Array {
    this.#file.seekSync(at, Deno.SeekMode.Start);
    const bytes = new Uint8Array(length);
    let filled = 0;
    while (filled < length) {
      const count = this.#file.readSync(bytes.subarray(filled));
      if (count === null) break;
      filled += count;
    }
    this.#file.seekSync(0, Deno.SeekMode.End);
    return bytes.subarray(0, filled);
  }

  size(): number {
    return this.#file.statSync().size;
  }

  truncate(length: number): void {
    writing(this.#path, () => this.#file.truncateSync(length));
    this.#file.seekSync(0, Deno.SeekMode.End);
  }

  async sync(): Promise<void> {
    await this.#file.sync().catch((error) => {
      throw unwritable(this.#path, error);
    });
  }

  close(): void {
    this.#file.close();
  }
}
