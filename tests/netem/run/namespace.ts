/** Commands in a network namespace of their own, in which loopback is all that there is. */
import { pathWithIproute } from "../../../compose/native/iproute.ts";
import { nftCommand } from "../../../compose/native/nft.ts";

/** Runs a command to its end, its stderr shown; throws when it printed nothing. Needs root. */
export async function inNamespace(command: string[]): Promise<{ code: number; stdout: string }> {
  const script = 'ip link set lo up && exec "$@"';
  await nftCommand(() => {}); // inside nothing can be downloaded
  const { code, stdout } = await new Deno.Command("unshare", {
    args: ["--net", "/bin/sh", "-c", script, "sh", ...command],
    env: { PATH: await pathWithIproute(() => {}) },
    stdin: "null",
    stderr: "inherit",
  }).output();
  const text = new TextDecoder().decode(stdout);
  if (text === "") throw new Error(`${command.join(" ")} ended with ${code} and printed nothing`);
  return { code, stdout: text };
}
