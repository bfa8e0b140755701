import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };
import { jobKinds } from "../../../workers/jobs.ts";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));
/** Tasks that are commands of ours; the others run `deno test`. */
const TASKS = Object.entries(config.tasks).filter(([, line]) => line.startsWith("deno run "))
  .map(([name]) => name);

async function task(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["task", "--quiet", ...args],
    cwd: TOP,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("the commands that the README names are there", () => {
  const wanted = ["ok", "test", "demo", "stack", "seed", "capture", "consume", "verify", "check"];
  for (const name of [...wanted, "permissions", "remove", "snapshot", "docs"]) {
    assert.ok(TASKS.includes(name), name);
  }
});

Deno.test("what is compiled is what the task list-sync runs, with its permissions and its threads", () => {
  const run = config.tasks["list-sync"].replace("deno run ", "");
  assert.ok(run.includes(` --v8-flags=${jobKinds["capture-pg"].v8_flags.join(",")} `), run);
  const parts = "--include workers/runtime/thread.ts --output list-sync ";
  assert.equal(config.tasks.compile, `deno compile ${run.replace("workers/", `${parts}workers/`)}`);
});

for (const name of TASKS) {
  Deno.test(`deno task ${name} --help shows usage and an example; a mistyped option is refused`, async () => {
    const help = await task(name, "--help");
    assert.equal(help.code, 0, help.stderr);
    assert.match(help.stdout, new RegExp(`^Usage: +deno task ${name}\\b`, "m"));
    assert.match(help.stdout, new RegExp(`^Example: deno task ${name}\\b`, "m"));
    const wrong = await task(name, "--hepl");
    assert.equal(wrong.code, 2, wrong.stdout);
    assert.match(wrong.stderr, /unknown option --hepl; nearest is --help/);
  });
}
