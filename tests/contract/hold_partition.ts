/** Another process that holds a partition's lock. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

/** Starts `sink_holder.ts` and waits until it holds; the caller kills it. */
export async function holdPartition(...args: string[]): Promise<Deno.ChildProcess> {
  const script = fileURLToPath(new URL("./sink_holder.ts", import.meta.url));
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "-A", script, ...args],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  assert.equal(new TextDecoder().decode(value).trim(), "held");
  await reader.cancel();
  return child;
}
