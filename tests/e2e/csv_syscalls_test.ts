/** The order of the CSV sink's system calls as the kernel saw it: data, journal, name, then the group. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { runInside, unpackPackages } from "../../compose/native/packages.ts";
import { inFolder } from "../unit/sinks/fixtures.ts";
import { assertOnce, csvJob, Feed, found } from "./consume_feed.ts";

const WORKER = fileURLToPath(new URL("../../workers/consume-csv.ts", import.meta.url));
const SABOTAGED = fileURLToPath(new URL("sabotage/consume_csv.ts", import.meta.url));

const CALLS = "fsync,fdatasync,rename,renameat,renameat2,write,writev,sendto,sendmsg";

/** Something that the kernel was asked to do, when it had been done. */
type Step =
  | { readonly what: "write" | "sync"; readonly path: string }
  | { readonly what: "rename"; readonly from: string; readonly path: string }
  | { readonly what: "commit" };

/** The steps of a trace made with `-f -yy -xx`. */
function stepsOf(trace: string): Step[] {
  const unfinished = new Map<string, string>();
  const steps: Step[] = [];
  for (const line of trace.split("\n")) {
    const [, pid, text] = /^(\d+)\s+(.*)$/.exec(line) ?? [];
    if (pid === undefined || text === undefined) continue;
    const cut = /^(.*) <unfinished \.\.\.>$/.exec(text);
    if (cut !== null) {
      // What is sent is under way from here on; what is synced is safe only when the call is over.
      if (isCommit(cut[1]!)) steps.push({ what: "commit" });
      else unfinished.set(pid, cut[1]!);
      continue;
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(text);
    const whole = resumed === null ? text : (unfinished.get(pid) ?? "") + resumed[1]!;
    unfinished.delete(pid);
    const step = stepOf(whole);
    if (step !== undefined) steps.push(step);
  }
  return steps;
}

function stepOf(call: string): Step | undefined {
  if (isCommit(call)) return { what: "commit" };
  const synced = /^f(?:data)?sync\(\d+<(.*)>\)\s+= 0/.exec(call);
  if (synced !== null) return { what: "sync", path: unescaped(synced[1]!) };
  const written = /^write\(\d+<([^>]*)>/.exec(call);
  if (written !== null) return { what: "write", path: unescaped(written[1]!) };
  if (!call.startsWith("rename")) return undefined;
  const [from, path] = [...call.matchAll(/"([^"]*)"/g)].map(([, name]) => unescaped(name!));
  return { what: "rename", from: from!, path: path! };
}

/** Kafka's requests begin with their length and their number: 8 is OffsetCommit. */
function isCommit(call: string): boolean {
  return /^(write|writev|sendto|sendmsg)\(\d+<TCP.*?"(\\x[0-9a-f]{2}){4}\\x00\\x08/.test(call);
}

function unescaped(text: string): string {
  return text.replaceAll(/\\x([0-9a-f]{2})/g, (_, hex) => String.fromCharCode(parseInt(hex, 16)));
}

/** What a journal's name must come after, and what the name of a whole file. */
const DATA = /\.(part|tmp)$/;
const BEFORE_NAMES = /\.(part|tmp)$|\/\.list-sync\//;

/** Says what was done too early; for a topic of one partition. */
function disorder(steps: readonly Step[], output: string): { wrong: string[]; seen: string } {
  const wrong: string[] = [];
  const counts: Record<string, number> = {};
  const unsynced = new Set<string>();
  let synced: number | undefined;
  const count = (name: string) => counts[name] = (counts[name] ?? 0) + 1;
  const refuse = (when: string, kinds: RegExp) => {
    for (const path of unsynced) if (kinds.test(path)) wrong.push(`${when}: ${path} is not synced`);
  };
  for (const step of steps) {
    if (step.what !== "commit" && !step.path.startsWith(output)) continue;
    switch (step.what) {
      case "write":
        if (!step.path.endsWith(".lock")) unsynced.add(step.path);
        break;
      case "sync":
        if (unsynced.delete(step.path)) {
          count(
            step.path.endsWith(".part")
              ? "data"
              : step.path.endsWith(".tmp")
              ? "journal"
              : "folder",
          );
        }
        break;
      case "rename":
        // A journal's name is given when it and all that it tells of is on disk; that of a whole
        // file when the journal's own name is.
        refuse(`rename to ${step.path}`, step.path.endsWith(".json") ? DATA : BEFORE_NAMES);
        count(step.path.endsWith(".json") ? "rename of the journal" : "rename of a file");
        unsynced.add(step.path.replace(/\/[^/]*$/, ""));
        break;
      case "commit":
        // A file may hold more by now, of batches that came after the flush; what the journal tells
        // of was looked at when it got its name.
        refuse("commit", /(?<!\.part)$/);
        // The first may say where a new group begins.
        if (counts.data === synced && counts["commit"] !== undefined) {
          wrong.push("commit: no data was synced since the last one");
        }
        synced = counts.data;
        count("commit");
    }
  }
  if (counts["data"] !== synced) wrong.push("commit: none came after the last data");
  const seen = ["data", "journal", "folder", "rename of the journal", "rename of a file", "commit"];
  return { wrong, seen: seen.filter((name) => (counts[name] ?? 0) > 0).join(", ") };
}

const ALL = "data, journal, folder, rename of the journal, rename of a file, commit";

/** Runs a consumer under strace, and says in which order it worked. */
async function traced(script: string, ...before: string[]) {
  const tree = await unpackPackages(
    { name: "strace", suite: "machine", choose: () => ["strace"] },
    () => {},
  );
  let result: ReturnType<typeof disorder> | undefined;
  await inFolder(async (folder) => {
    const feed = await Feed.open("syscalls", { partitions: 1 });
    try {
      await feed.send(3_000);
      const output = `${Deno.realPathSync(folder)}/out`;
      const job = csvJob(feed, output, {
        sink: { output, rotate_rows: 900 },
        flush_interval_ms: 10,
      });
      job.kafka = { ...job.kafka as object, fetch_bytes: 64 * 1024 };
      Deno.writeTextFileSync(`${folder}/job.yaml`, JSON.stringify(job));
      const options = [
        "-f",
        "-yy",
        "-xx",
        "-s",
        "16",
        "-e",
        `trace=${CALLS}`,
        "-o",
        `${folder}/trace`,
      ];
      const [program, ...inside] = [...runInside(tree, "usr/bin/strace"), ...options];
      const worker = [
        Deno.execPath(),
        "run",
        "--no-prompt",
        "-A",
        script,
        ...before,
        `${folder}/job.yaml`,
      ];
      const { code, stderr } = await new Deno.Command(program!, {
        args: [...inside, ...worker],
        stdout: "null",
        stderr: "piped",
      }).output();
      const said = new TextDecoder().decode(stderr).slice(-2000);
      if (/ptrace.*not permitted/i.test(said)) {
        throw new Error(
          "strace may not trace here, so the order of the system calls cannot be seen. To mend:" +
            " sysctl kernel.yama.ptrace_scope=1, or in a container --cap-add=SYS_PTRACE",
        );
      }
      assert.equal(code, 0, said);
      assertOnce(found(output, feed.topic, { rotate_rows: 900 }), feed.expected);
      result = disorder(stepsOf(Deno.readTextFileSync(`${folder}/trace`)), output);
    } finally {
      await feed.close();
    }
  });
  return result!;
}

Deno.test("Data is synced, then the journal, then its name, and only then the group's offset is committed", async () => {
  assert.deepEqual(await traced(WORKER), { wrong: [], seen: ALL });
});

Deno.test("A consumer that commits before its data is seen by its system calls", async () => {
  const { wrong } = await traced(SABOTAGED, "commit before data");
  assert.ok(wrong.includes("commit: none came after the last data"), wrong.join("\n"));
});

Deno.test("A sink that does not sync its data is seen by its system calls", async () => {
  const { wrong } = await traced(SABOTAGED, "journal before data");
  assert.match(wrong.join("\n"), /rename to .*\.json: .*\.part is not synced/);
});
