/** What a worker runs in: a process of its own, or a thread beside others. */

/** The signals that ask a worker to drain and end; SIGHUP comes when its terminal is closed. */
export type StopSignal = "SIGHUP" | "SIGINT" | "SIGTERM";

/** Exit codes after an orderly end by a signal, as shells number signals. */
export const EXIT_STOPPED: Readonly<Record<StopSignal, number>> = {
  SIGHUP: 129,
  SIGINT: 130,
  SIGTERM: 143,
};

/** What reaches a worker from outside, and how it ends. */
export interface Host {
  /** The words after the worker's name. */
  readonly args: readonly string[];
  /** Whether stderr is a terminal that no other worker of this program draws on. */
  readonly has_terminal: boolean;
  /** A variable of the environment. */
  env(name: string): string | undefined;
  /** Calls `listener` each time that the worker is asked to stop; see `distinctRequests`. */
  onStop(listener: (signal: StopSignal) => void): void;
  /** Hands a text to whoever started the worker. */
  answer(text: string): void;
  /** Ends the worker at once. */
  exit(code: number): never;
}

const processHost: Host = {
  args: Deno.args,
  has_terminal: Deno.stderr.isTerminal(),
  env: (name) => Deno.env.get(name),
  onStop(listener) {
    const take = distinctRequests(listener, () => performance.now());
    for (const signal of Object.keys(EXIT_STOPPED) as StopSignal[]) {
      Deno.addSignalListener(signal, () => take(signal));
    }
  },
  answer: (text) => console.log(text),
  exit: (code) => Deno.exit(code),
};

/** Signals closer together than this are one request. */
const REPEAT_MS = 500;

/**
 * Passes a signal on to `listener` unless another came just before: service managers and `timeout`
 * signal a whole group, in which `deno task` and the launcher hand the same signal on once more, and a
 * second request means to end without a drain. `now`: milliseconds.
 */
export function distinctRequests(
  listener: (signal: StopSignal) => void,
  now: () => number,
): (signal: StopSignal) => void {
  let taken_ms = -Infinity;
  return (signal) => {
    if (now() - taken_ms < REPEAT_MS) return;
    taken_ms = now();
    listener(signal);
  };
}

let current = processHost;

/** The host of this program: the process, unless a thread has set another. */
export function host(): Host {
  return current;
}

/** Sets the host; before any module of a worker is loaded. */
export function setHost(host: Host): void {
  current = host;
}
