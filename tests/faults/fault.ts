/** A fault: what it does to a running pipeline, and what must hold nevertheless. */
import type { Run } from "./run/run.ts";

/** Little more than workers take for a backlog of small transactions (README, "Measured"). */
export const MOST_BYTES = 200e6;

/** One fault; its name is that of its line in the table. */
export interface Fault {
  /** What happens, as a sentence. */
  readonly does: string;
  /** What must hold beside "each change exactly once, in order", as a sentence. */
  readonly holds: string;
  /** Lets it happen; resolves when what was broken is whole again. Throws when `holds` does not. */
  strike(run: Run): Promise<void>;
}
