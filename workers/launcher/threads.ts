/** Workers as threads of this process: less memory for each, and one crash of the engine ends all. */
import type { Permissions } from "../../shared/jobs/permissions.ts";
import { EXIT_FAILED } from "../cli/main.ts";
import { writeToStderr } from "../cli/stderr.ts";
import { jobKind } from "../jobs.ts";
import type { ThreadStart, ThreadStop, ThreadTold } from "../runtime/thread.ts";
import { askingGrants, type BrokersAnswer, type JobFile, variablesOf } from "./grants.ts";
import type { Started, Workers } from "./workers.ts";

/** As a shell numbers SIGKILL. */
const EXIT_KILLED = 137;

/** A thread with a worker in it, and what it tells. */
interface Thread extends Started {
  readonly answer: Promise<string>;
}

export const threads: Workers = {
  place: "in a thread",
  prepare: async () => {},
  async askBrokers(file) {
    const thread = startThread("launcher/brokers.ts", file, askingGrants(file), []);
    const answer = await Promise.race([thread.answer, thread.ended]);
    if (typeof answer === "string") return JSON.parse(answer) as BrokersAnswer;
    return { error: `the thread that asks them ended with ${answer}`, refused: false };
  },
  start: (file, permissions, passed) =>
    startThread(jobKind(file.loaded.kind).worker, file, permissions, passed),
};

/** Nothing is allowed that is not named: a thread without a word about it has what its maker has. */
function optionsOf({ net, read, write }: Permissions): Deno.PermissionOptionsObject {
  return {
    net: [...net],
    read: [...read],
    write: [...write],
    env: false,
    run: false,
    ffi: false,
    sys: false,
    import: false,
  };
}

function startThread(
  module: string,
  file: JobFile,
  permissions: Permissions,
  passed: readonly string[],
): Thread {
  const answer = Promise.withResolvers<string>();
  const ended = Promise.withResolvers<number>();
  const thread = new Worker(new URL("../runtime/thread.ts", import.meta.url), {
    type: "module",
    name: file.loaded.job.name,
    deno: { permissions: optionsOf(permissions) },
  });
  thread.onmessage = ({ data }: MessageEvent<ThreadTold>) =>
    "answer" in data ? answer.resolve(data.answer) : ended.resolve(data.exit_code);
  thread.onerror = (event) => {
    event.preventDefault();
    writeToStderr(`${event.message}\n`);
    ended.resolve(EXIT_FAILED);
  };
  const start = { module, args: [...passed, file.path], env: variablesOf(permissions.env) };
  thread.postMessage(start satisfies ThreadStart);
  return {
    pid: Deno.pid,
    answer: answer.promise,
    ended: ended.promise,
    stop: (stop) => thread.postMessage({ stop } satisfies ThreadStop),
    kill() {
      thread.terminate();
      ended.resolve(EXIT_KILLED);
    },
  };
}
