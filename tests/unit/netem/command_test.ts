import assert from "node:assert/strict";
import { runDeno } from "../../command.ts";

/** What `deno task netem` answers where there is no stack to change. */
async function netem(...args: string[]): Promise<string> {
  const { code, stderr } = await runDeno([
    ...["run", "--no-check", "-A", "workers/commands/netem.ts", ...args],
    ...["--name", "no-such-stack"],
  ]);
  assert.equal(code, 2, stderr);
  return stderr;
}

Deno.test("netem apply, status and clear take a scenario; apply tells a mistyped one", async () => {
  for (const action of ["apply", "status", "clear"]) {
    assert.match(await netem(action, "brokers-20ms"), /There is no stack no-such-stack/);
  }
  assert.match(await netem("apply", "broker-20ms"), /nearest is "brokers-20ms"/);
});

Deno.test("netem tells how many scenarios an action takes", async () => {
  assert.match(await netem("apply"), /netem apply takes one scenario; found none/);
  assert.match(
    await netem("clear", "lossy", "partition"),
    /netem clear takes at most one scenario; found lossy partition/,
  );
  assert.match(await netem("list", "lossy"), /netem list takes no scenario; found lossy/);
});
