/** Shows on stderr how a stack comes up: a line a part on a terminal, elsewhere a line a step. */
import type { ServerInfo, StackProgress } from "../../compose/native/stack.ts";

/** What people call the parts. */
const TITLES: Record<ServerInfo["part"], string> = {
  netem: "Toxiproxy",
  kafka: "Kafka",
  pg: "PostgreSQL",
  mysql: "MySQL",
  mariadb: "MariaDB",
};
const TITLE_WIDTH = Math.max(...Object.values(TITLES).map((title) => title.length));
const BAR_WIDTH = 20;
const USUAL_COLUMNS = 80;
/** Moves the cursor to the start of the line `n` above, and clears from there to the line's end. */
const UP = (n: number) => `\x1b[${n}F`;
const CLEAR_LINE = "\x1b[2K";

/** The state of each part as last told. */
export class StackDisplay {
  readonly #terminal: boolean;
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #begin: number;
  readonly #parts = new Map<ServerInfo["part"], StackProgress>();
  #drawn = 0;

  /** `terminal`: whether lines can be drawn again. `now`: milliseconds of any clock that only grows. */
  constructor(
    terminal = Deno.stderr.isTerminal(),
    write: (text: string) => void = (text) => Deno.stderr.writeSync(new TextEncoder().encode(text)),
    now: () => number = () => performance.now(),
  ) {
    this.#terminal = terminal;
    this.#write = write;
    this.#now = now;
    this.#begin = now();
  }

  /** Takes what `up` tells; to be given to it as `progress`. */
  readonly tell = (event: StackProgress): void => {
    const before = this.#parts.get(event.part)?.phase;
    this.#parts.set(event.part, event);
    if (this.#terminal) this.#draw();
    else if (before !== event.phase) this.#write(`${this.#line(event)}\n`);
  };

  #draw(): void {
    const lines = [...this.#parts.values()].map((event) => `${CLEAR_LINE}${this.#line(event)}\n`);
    this.#write((this.#drawn === 0 ? "" : UP(this.#drawn)) + lines.join(""));
    this.#drawn = lines.length;
  }

  #line({ part, phase, done, total }: StackProgress): string {
    const seconds = `${((this.#now() - this.#begin) / 1000).toFixed(1)} s`.padStart(7);
    const bar = done === undefined || total === undefined ? "" : ` ${barOf(done, total)}`;
    const text = `${seconds}  ${TITLES[part].padEnd(TITLE_WIDTH)}  ${phase}${bar}`;
    return this.#terminal ? text.slice(0, columns()) : text;
  }
}

function barOf(done: number, total: number): string {
  const full = total === 0 ? BAR_WIDTH : Math.round((done / total) * BAR_WIDTH);
  return `${"\u2588".repeat(full)}${"\u2591".repeat(BAR_WIDTH - full)} ${done}/${total}`;
}

/** A line that wraps could not be drawn again in place. */
function columns(): number {
  try {
    // Some terminals do not know their size and say 0.
    return (Deno.consoleSize().columns || USUAL_COLUMNS) - 1;
  } catch {
    return USUAL_COLUMNS - 1;
  }
}
