/** The demo as a user runs it, on a stack of its own. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { exists, stackFolder } from "../../compose/native/paths.ts";
import { POSTGRES_PORT } from "../../compose/native/postgres.ts";
import { isAlive } from "../../compose/native/processes.ts";
import { status } from "../../compose/native/stack.ts";
import type { DemoReport } from "../../workers/demo/report.ts";

/** Far from the ports of other stacks. */
const PORT_OFFSET = 21_000;
/** A cold cache is filled first. */
const DEADLINE_MS = 240_000;

function start(name: string, args: string[]): Deno.ChildProcess {
  const script = fileURLToPath(new URL("../../workers/commands/demo.ts", import.meta.url));
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", script, "--name", name, "--port-offset", String(PORT_OFFSET), ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(DEADLINE_MS),
  }).spawn();
}

async function ended(child: Deno.ChildProcess) {
  const { code, stdout, stderr } = await child.output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

const ops = (c: number, u: number, d: number) => ({ c, u, d });

Deno.test("a demo brings changes of both databases into files that equal the tables", async () => {
  const name = "test-demo";
  {
    using _taken = Deno.listen({ hostname: "127.0.0.1", port: POSTGRES_PORT + PORT_OFFSET });
    const { code, stderr } = await ended(start(name, ["--rows", "10000"]));
    assert.equal(code, 2, stderr);
    assert.equal(
      await exists(stackFolder(name)),
      true,
      "what a failed demo leaves, the next clears",
    );
  }
  const { code, stdout, stderr } = await ended(start(name, ["--rows", "10000", "--json"]));
  assert.equal(code, 0, stderr);
  const report = JSON.parse(stdout) as DemoReport;
  assert.equal(report.verified, true, stdout);
  assert.equal(report.rows, 10_000);
  for (const source of [report.sources.pg!, report.sources.mysql!]) {
    assert.deepEqual(source.written, ops(5000, 2500, 2500));
    assert.deepEqual(source.captured, source.written);
    assert.deepEqual(source.consumed, source.written);
    assert.equal(source.repetitions, 0);
    assert.equal(source.rows_compared, 2500);
    assert.equal(source.verified, true);
    for (const [phase, seconds] of Object.entries(source.seconds)) assert.ok(seconds > 0, phase);
    for (const [phase, rate] of Object.entries(source.rates)) assert.ok(rate > 0, phase);
  }
  assert.deepEqual(report.sources.pg!.tables, ["demo.list", "demo.list_full"]);
  assert.equal(await exists(stackFolder(name)), false, "servers and data are gone");
});

Deno.test("Ctrl-C ends workers and servers, and the exit code says so", async () => {
  const name = "test-demo-stop";
  const child = start(name, ["--rows", "5000000", "--sources", "pg"]);
  const result = ended(child);
  let over = false;
  result.then(() => over = true);
  while (!over && !await exists(`${stackFolder(name)}/logs/demo-seed-pg.log`)) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const { servers } = (await status(name))!;
  assert.equal(servers.length, 4, "three brokers and a database");
  child.kill("SIGINT");
  const { code, stderr } = await result;
  assert.equal(code, 130, stderr);
  assert.equal(await exists(stackFolder(name)), false, "servers and data are gone");
  for (const server of servers) assert.equal(isAlive(server), false, `${server.name} runs`);
});

Deno.test("a source that there is not is refused with the nearest, before anything starts", async () => {
  const { code, stderr } = await ended(start("test-demo-none", ["--sources", "pg,mysqk"]));
  assert.equal(code, 2);
  assert.match(stderr, /"mysqk"; nearest is "mysql"/);
  assert.equal(await exists(stackFolder("test-demo-none")), false);
});
