/** Processes that outlive the command that starts them. */
import assert from "node:assert/strict";
import {
  isAlive,
  lastLines,
  runOrFail,
  startDetached,
  startTicks,
  stop,
  waitUntil,
} from "../../../compose/native/processes.ts";

async function inFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("a detached process leads its own session, keeps its pid and logs both streams", async () => {
  await inFolder(async (folder) => {
    const log = `${folder}/log`;
    const script = 'echo out; echo err >&2; cat "/proc/$$/stat"; exec sleep 60';
    const server = await startDetached(["/bin/sh", "-c", script], { log, cwd: folder });
    try {
      assert.ok(await waitUntil(() => Deno.readTextFileSync(log).includes(")"), 10_000, 10));
      const [out, err, stat] = Deno.readTextFileSync(log).split("\n");
      assert.deepEqual([out, err], ["out", "err"]);
      const session = stat!.slice(stat!.lastIndexOf(")") + 2).split(" ")[3];
      assert.equal(Number(session), server.pid, `session of: ${stat}`);
      assert.ok(isAlive(server));
    } finally {
      assert.equal(await stop(server, "SIGTERM", 10_000), "stopped");
    }
    assert.equal(isAlive(server), false);
    assert.equal(await stop(server, "SIGTERM", 10_000), "gone");
  });
});

Deno.test("a process that has another start time is not ours and is left alone", async () => {
  await inFolder(async (folder) => {
    const options = { log: `${folder}/log`, cwd: folder };
    const other = await startDetached(["/bin/sleep", "60"], options);
    try {
      const recycled = { pid: other.pid, start_ticks: other.start_ticks - 1 };
      assert.equal(await stop(recycled, "SIGKILL", 0), "gone");
      assert.ok(isAlive(other), "the process with the recycled pid still runs");
    } finally {
      await stop(other, "SIGKILL", 0);
    }
  });
});

Deno.test("a process that ignores its signal is killed when patience ends", async () => {
  await inFolder(async (folder) => {
    const log = `${folder}/log`;
    const script = 'trap "" TERM; echo ready; while :; do sleep 0.1; done';
    const server = await startDetached(["/bin/sh", "-c", script], { log, cwd: folder });
    assert.ok(await waitUntil(() => Deno.readTextFileSync(log) !== "", 10_000, 10));
    assert.equal(await stop(server, "SIGTERM", 50), "killed");
  });
});

Deno.test("there is no start time of a process that is not there", () => {
  assert.ok(startTicks(Deno.pid)! > 0);
  assert.equal(startTicks(4_194_305), undefined); // above the largest pid that Linux gives
});

Deno.test("a failed command's error holds its exit code and the end of its output", async () => {
  await assert.rejects(
    runOrFail("Making tea", "/bin/sh", ["-c", "echo no water; exit 3"]),
    { message: "Making tea failed: /bin/sh ended with code 3.\nno water" },
  );
});

Deno.test("the last lines of a text leave out a trailing line feed", () => {
  assert.equal(lastLines("a\nb\nc\n", 2), "b\nc");
});
