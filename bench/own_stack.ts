/** Servers that a benchmark brings up for itself. */
import { parentOf } from "../compose/native/processes.ts";
import { freePortOffset } from "../compose/native/ports.ts";
import {
  down,
  NETEM_STACK_PORTS,
  STACK_PORTS,
  type StackInfo,
  up,
  type UpOptions,
} from "../compose/native/stack.ts";
import { statePath } from "../compose/native/state.ts";
import { EXIT_STOPPED, host } from "../workers/cli/host.ts";

/**
 * Does `work` on a stack of its own, named by LIST_SYNC_STACK meanwhile. It is gone afterwards, also
 * when a signal ends this process early.
 */
export async function onOwnStack<T>(
  more: Pick<UpOptions, "only" | "brokers" | "netem" | "long_lived">,
  work: (stack: StackInfo) => Promise<T>,
): Promise<T> {
  const name = `bench-${Deno.pid}`;
  host().onStop(async (signal) => {
    killChildren();
    await down({ name, wipe: true });
    host().exit(EXIT_STOPPED[signal]);
  });
  const port_offset = freePortOffset(more.netem ? NETEM_STACK_PORTS : STACK_PORTS);
  const stack = await up({ ...more, name, port_offset });
  try {
    Deno.env.set("LIST_SYNC_STACK", statePath(name));
    return await work(stack);
  } finally {
    await down({ name, wipe: true });
  }
}

/** Ends the workers and peers that this process has started: without servers they would wait for ever. */
function killChildren(): void {
  for (const { name } of Deno.readDirSync("/proc")) {
    const pid = Number(name);
    if (Number.isInteger(pid) && parentOf(pid) === Deno.pid) Deno.kill(pid, "SIGKILL");
  }
}
