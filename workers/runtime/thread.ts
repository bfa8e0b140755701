/** The first module of a thread: it makes a small world for one worker, and loads the worker into it. */
import process from "node:process";
import { setHost, type StopSignal } from "../cli/host.ts";

/** The modules that may run in a thread; literal, so that no right to read code is needed. */
const MODULES = {
  "capture-mariadb.ts": () => import("../capture-mariadb.ts"),
  "capture-mysql.ts": () => import("../capture-mysql.ts"),
  "capture-pg.ts": () => import("../capture-pg.ts"),
  "consume-csv.ts": () => import("../consume-csv.ts"),
  "seed.ts": () => import("../seed.ts"),
  "verify.ts": () => import("../verify.ts"),
  "launcher/brokers.ts": () => import("../launcher/brokers.ts"),
};

/** What a thread is told first. */
export interface ThreadStart {
  /** The worker's file in workers/. */
  readonly module: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

/** What a thread is told later: to drain and end. */
export interface ThreadStop {
  readonly stop: StopSignal;
}

/** What a thread tells. */
export type ThreadTold = { readonly answer: string } | { readonly exit_code: number };

const thread = globalThis as unknown as {
  onmessage: (event: MessageEvent) => void;
  postMessage(told: ThreadTold): void;
};

thread.onmessage = async ({ data }: MessageEvent<ThreadStart>) => {
  const listeners: ((signal: StopSignal) => void)[] = [];
  let asked: StopSignal | undefined;
  thread.onmessage = ({ data }: MessageEvent<ThreadStop>) => {
    asked = data.stop;
    for (const listener of listeners) listener(data.stop);
  };
  // Client libraries list the whole environment when they are imported: they see the job's names.
  Object.defineProperty(process, "env", { value: { ...data.env } });
  setHost({
    args: data.args,
    has_terminal: false,
    env: (name) => data.env[name],
    onStop(listener) {
      listeners.push(listener);
      if (asked !== undefined) listener(asked); // before the worker was there to hear it
    },
    answer: (answer) => thread.postMessage({ answer }),
    exit(exit_code) {
      thread.postMessage({ exit_code });
      return Deno.exit(exit_code);
    },
  });
  await MODULES[data.module as keyof typeof MODULES]();
};
