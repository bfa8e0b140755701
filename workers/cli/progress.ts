/** Progress of long work on stderr: bars on a terminal, elsewhere a line now and then. */
import process from "node:process";
import cliProgress from "cli-progress";
import { count, duration } from "./figures.ts";
import { writeToStderr } from "./stderr.ts";

/** One piece of work. */
export interface Progress {
  /** `done`: how much of the total is done so far. */
  update(done: number): void;
  /** Corrects the total, or gives one that was not known at first. */
  total(total: number): void;
  /** The work is over; what was last told stays on the screen. */
  end(): void;
}

/** Lines are this far apart where there is no terminal. */
const LINE_INTERVAL_MS = 10_000;
/** Fast enough to look alive, slow enough to cost nothing. */
const BAR_INTERVAL_MS = 200;

/** The part of cli-progress that is used here: that library brings no types. */
interface Bar {
  update(payload: Record<string, string>): void;
  update(done: number, payload: Record<string, string>): void;
  setTotal(total: number): void;
  stop(): void;
}
interface MultiBar {
  create(total: number, done: number, payload: Record<string, string>): Bar;
  log(text: string): void;
  stop(): void;
}

/** Several pieces of work, side by side or one after another. */
export class ProgressBoard {
  readonly #bars: MultiBar | undefined;
  readonly #tasks = new Set<Task>();
  readonly #write: (text: string) => void;
  readonly #now: () => number;
  readonly #timer: ReturnType<typeof setInterval>;

  /** `terminal`: whether bars can be drawn. `write` takes lines otherwise. `now`: milliseconds. */
  constructor(
    terminal = Deno.stderr.isTerminal(),
    write: (text: string) => void = (text) => writeToStderr(`${text}\n`),
    now: () => number = () => performance.now(),
    line_interval_ms = LINE_INTERVAL_MS,
  ) {
    this.#write = write;
    this.#now = now;
    this.#bars = terminal ? openBars() : undefined;
    this.#timer = setInterval(
      () => this.#tell(),
      terminal ? BAR_INTERVAL_MS : line_interval_ms,
    );
    // Showing progress is no reason for a process to live on.
    Deno.unrefTimer(this.#timer as unknown as number);
  }

  /** Begins a piece of work; `total` 0: not known yet. `done`: so much was done before. */
  begin(label: string, total: number, done = 0): Progress {
    const bar = this.#bars?.create(
      total,
      done,
      payload({ label, done, total, now: 0, seconds: 0 }),
    );
    const task = new Task(label, total, done, this.#now, bar, (ended) => {
      this.#tasks.delete(ended);
      if (bar === undefined) this.#write(ended.line());
    });
    this.#tasks.add(task);
    return task;
  }

  /** A line above the bars. */
  say(text: string): void {
    if (this.#bars === undefined) this.#write(text);
    else this.#bars.log(`${text}\n`);
  }

  /** Ends all work that has not ended. */
  close(): void {
    clearInterval(this.#timer);
    for (const task of [...this.#tasks]) task.end();
    this.#bars?.stop();
  }

  #tell(): void {
    for (const task of this.#tasks) {
      if (this.#bars === undefined) this.#write(task.line());
      else task.draw();
    }
  }
}

class Task implements Progress {
  #done: number;
  #ended_ms: number | undefined;
  readonly #start_ms: number;

  constructor(
    readonly label: string,
    private whole: number,
    private readonly before: number,
    private readonly now: () => number,
    private readonly bar: Bar | undefined,
    private readonly ended: (task: Task) => void,
  ) {
    this.#start_ms = now();
    this.#done = before;
  }

  update(done: number): void {
    this.#done = done;
  }

  total(total: number): void {
    this.whole = total;
    this.bar?.setTotal(total);
  }

  end(): void {
    if (this.#ended_ms !== undefined) return;
    this.#ended_ms = this.now();
    this.draw();
    this.bar?.stop();
    this.ended(this);
  }

  draw(): void {
    this.bar?.update(this.#done, this.#payload());
  }

  line(): string {
    const { label, text } = this.#payload();
    return `${label!.trimEnd()}: ${text}`;
  }

  #payload(): Record<string, string> {
    const [label, done, total] = [this.label, this.#done, this.whole];
    return payload({ label, done, total, now: done - this.before, seconds: this.#seconds() });
  }

  #seconds(): number {
    return ((this.#ended_ms ?? this.now()) - this.#start_ms) / 1000;
  }
}

function openBars(): MultiBar {
  return new cliProgress.MultiBar({
    stream: Object.create(process.stderr, { write: { value: writeToStderr } }),
    format: "{label} {bar} {text}",
    barsize: 30,
    hideCursor: true,
    clearOnComplete: false,
    stopOnComplete: false,
    emptyOnZero: true,
    autopadding: false,
    linewrap: false,
    gracefulExit: false,
  }, cliProgress.Presets.shades_classic);
}

/** What a line tells of. */
interface Figures {
  readonly label: string;
  readonly done: number;
  readonly total: number;
  /** So much of `done` in `seconds`. */
  readonly now: number;
  readonly seconds: number;
}

/** Label and figures of one line: done, share, rate, time left (or taken, once all is done). */
function payload({ label, done, total, now, seconds }: Figures): Record<string, string> {
  const rate = seconds > 0 ? now / seconds : 0;
  const parts = [total > 0 ? `${count(done)} of ${count(total)}` : count(done)];
  if (total > 0) parts[0] += ` (${Math.floor(done / total * 100)} %)`;
  if (rate >= 1) parts.push(`${count(Math.round(rate))}/s`);
  if (total > 0 && done >= total) parts.push(`took ${duration(seconds)}`);
  else if (total > 0 && rate > 0) parts.push(`${duration((total - done) / rate)} left`);
  return { label: label.padEnd(18), text: parts.join(", ") };
}
