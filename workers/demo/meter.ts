/** Reads what a worker tells of itself on its metrics port. */

const CHANGES = /^list_sync_changes_total\{op="(\w)"\} (\d+)/gm;

/** Changes by operation. */
export type Counts = Record<"c" | "u" | "d", number>;

/** Whether the worker on `port` answers, and, for `ready`, does its work. */
export async function isUp(port: number, health: "live" | "ready"): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${port}/health/${health}`);
    await response.body?.cancel();
    return response.ok;
  } catch {
    return false;
  }
}

/** Changes whose way through the worker is complete; none while it does not answer. */
export async function changesOf(port: number): Promise<Counts> {
  const counts: Counts = { c: 0, u: 0, d: 0 };
  try {
    const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    for (const [, op, count] of text.matchAll(CHANGES)) {
      if (op! in counts) counts[op as keyof Counts] += Number(count);
    }
  } catch {
    // Not up yet, or ended: whoever waits looks at the process as well.
  }
  return counts;
}

/** All operations together. */
export function sum({ c, u, d }: Counts): number {
  return c + u + d;
}

/** Ports that nobody listens on at this moment. */
export function freePorts(count: number): number[] {
  const listeners = Array.from(
    { length: count },
    () => Deno.listen({ hostname: "127.0.0.1", port: 0 }),
  );
  const ports = listeners.map((listener) => listener.addr.port);
  for (const listener of listeners) listener.close();
  return ports;
}
