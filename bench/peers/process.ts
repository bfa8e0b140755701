/** A peer as a process of its own, with its peak memory. */
import { tailOf } from "../../compose/native/processes.ts";

/** The kernel keeps the peak: only the time since the last look can be missed. */
const LOOK_MS = 100;
/** A Connect worker commits its offsets before it ends. */
const STOP_PATIENCE_MS = 30_000;
const LOG_LINES = 15;

/** A started peer. */
export class PeerProcess implements AsyncDisposable {
  readonly started_ms = Date.now();
  readonly #child: Deno.ChildProcess;
  readonly #log: string;
  readonly #reading: Promise<void>;
  readonly #looking: ReturnType<typeof setInterval>;
  #stdout = "";
  #code: number | undefined;
  /** The most memory that the process held, in bytes (VmHWM). */
  peak_bytes = 0;

  /** Starts `command`; what it writes stands in the file `log`. */
  constructor([command = "", ...args]: readonly string[], log: string) {
    this.#log = log;
    this.#child = new Deno.Command(command, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#looking = setInterval(() => this.#look(), LOOK_MS);
    this.#reading = this.#read();
  }

  async #read(): Promise<void> {
    using file = Deno.openSync(this.#log, { append: true, create: true });
    const follow = async (stream: ReadableStream<Uint8Array>, keep: (text: string) => void) => {
      const text = new TextDecoder();
      for await (const bytes of stream) {
        file.writeSync(bytes);
        keep(text.decode(bytes, { stream: true }));
      }
    };
    const [{ code }] = await Promise.all([
      this.#child.status,
      follow(this.#child.stdout, (text) => this.#stdout += text),
      follow(this.#child.stderr, () => {}),
    ]);
    clearInterval(this.#looking);
    this.#code = code;
  }

  #look(): void {
    try {
      const status = Deno.readTextFileSync(`/proc/${this.#child.pid}/status`);
      const found = /^VmHWM:\s+(\d+) kB$/m.exec(status);
      if (found !== null) this.peak_bytes = Number(found[1]) * 1024;
    } catch {
      // The process has just ended: what was seen last stands.
    }
  }

  /** Throws when it has ended by itself. */
  readonly refuseEnded = (): void => {
    if (this.#code === undefined) return;
    throw new Error(`The peer ended with exit code ${this.#code}. Log: ${this.#log}`);
  };

  /** Waits for its end and answers what it wrote on stdout. Throws with the log's end when it failed. */
  async output(): Promise<string> {
    await this.#reading;
    if (this.#code === 0) return this.#stdout;
    const tail = await tailOf(this.#log, LOG_LINES);
    throw new Error(`The peer ended with exit code ${this.#code}. ${this.#log}:\n${tail}`);
  }

  /** Asks it to end, and waits until it has; ends it by force when it does not. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#code !== undefined) return;
    this.#child.kill("SIGTERM");
    const force = setTimeout(() => this.#child.kill("SIGKILL"), STOP_PATIENCE_MS);
    await this.#reading;
    clearTimeout(force);
  }
}
