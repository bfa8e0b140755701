/** How a worker ends, whose work is a few lines. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));
const JOB = `job: verify
name: stopped
database: { kind: mysql, host: 127.0.0.1, port: 1, database: shop, user: u, password: p }
table: shop.list
topic: t
files: { output: out }
`;

/** What a worker says and its exit code, when SIGTERM comes and its work ends by these lines. */
async function stopped(lines: string): Promise<{ code: number; stderr: string }> {
  const folder = Deno.makeTempDirSync();
  try {
    Deno.writeTextFileSync(`${folder}/job.yaml`, JOB);
    const script = `
      import { runWorker } from "${TOP}workers/runtime/worker.ts";
      await runWorker("verify", async ({ signal }) => {
        const aborted = new Promise((resolve) => signal.addEventListener("abort", resolve));
        Deno.kill(Deno.pid, "SIGTERM");
        await aborted;
        ${lines}
      });
    `;
    Deno.writeTextFileSync(`${folder}/worker.ts`, script);
    const { code, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", `--config=${TOP}deno.json`, `${folder}/worker.ts`, `${folder}/job.yaml`],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    return { code, stderr: new TextDecoder().decode(stderr) };
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

Deno.test("work that gives up because of a signal has ended in order", async () => {
  const { code, stderr } = await stopped("signal.throwIfAborted();");
  assert.equal(code, 143, stderr);
  assert.match(stderr, /"event":"ended","exit_code":143/);
});

Deno.test("an error after a signal is a failure all the same", async () => {
  const { code, stderr } = await stopped(`throw new Error("the disk is full");`);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /"event":"failed".*the disk is full/);
});
