/** A small file system in the place of a folder; needs root. */
import { runOrFail } from "../../../compose/native/processes.ts";

/** Room for some hundred thousand lines beside what the folder holds. */
const SPARE_BYTES = 32 << 20;
const BALLAST = ".ballast";

/** The file system, mounted over a folder whose content it holds as long. */
export class SmallDisk implements AsyncDisposable {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Mounts it. Nobody may have a file of the folder open. */
  static async mount(folder: string): Promise<SmallDisk> {
    const kept = `${folder}.kept`;
    await run("cp", "-a", folder, kept);
    const used = Number((await run("du", "-s", "--block-size=1", folder)).split("\t")[0]);
    await run("mount", "-t", "tmpfs", "-o", `size=${used + SPARE_BYTES}`, "list-sync-test", folder);
    const disk = new SmallDisk(folder);
    await run("cp", "-a", `${kept}/.`, folder);
    await Deno.remove(kept, { recursive: true });
    return disk;
  }

  /** Takes all the space that is left. */
  async fill(): Promise<void> {
    using ballast = await Deno.create(`${this.#folder}/${BALLAST}`);
    for (let bytes = 64 * 1024; bytes >= 1;) {
      try {
        await ballast.write(new Uint8Array(bytes));
      } catch (error) {
        if (!/No space left/.test(String(error))) throw error;
        bytes >>= 1;
      }
    }
  }

  /** Gives that space back. */
  async empty(): Promise<void> {
    await Deno.remove(`${this.#folder}/${BALLAST}`);
  }

  /** Lets nobody write any more, or everybody again. Nobody may have a file open to write. */
  async setReadOnly(read_only: boolean): Promise<void> {
    await run("mount", "-o", `remount,${read_only ? "ro" : "rw"}`, this.#folder);
  }

  /** Puts the content back to where it was. Nobody may have a file of the folder open. */
  async [Symbol.asyncDispose](): Promise<void> {
    const kept = `${this.#folder}.kept`;
    await run("cp", "-a", this.#folder, kept);
    await run("umount", "--lazy", this.#folder);
    await Deno.remove(this.#folder, { recursive: true });
    await Deno.rename(kept, this.#folder);
  }
}

function run(command: string, ...args: string[]): Promise<string> {
  return runOrFail(`${command} ${args.join(" ")}`, command, args);
}
