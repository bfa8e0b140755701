import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { dirname, join } from "node:path";
import config from "../../../deno.json" with { type: "json" };
import { jobKinds } from "../../../workers/jobs.ts";
import { holes } from "../../faults/holes.ts";
import { faults } from "../../faults/mod.ts";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));
/** A file of a reader's own, by its name or by a word in capitals. */
const EXAMPLE = /\/visits\.yaml$|[A-Z]{3}/;
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

for (const file of ["README.md", "tests/README.md", "netem/README.md", "bench/README.md"]) {
  const text = Deno.readTextFileSync(TOP + file);

  Deno.test(`the tasks and files that ${file} names are there`, () => {
    const tasks = [...text.matchAll(/deno\s+task\s+([a-z][a-z:-]*[a-z])/g)].map(([, name]) =>
      name!
    );
    assert.deepEqual([...new Set(tasks)].filter((name) => !Object.hasOwn(config.tasks, name)), []);
    const paths = [
      ...text.matchAll(/\b(?:tests|jobs|compose|shared|workers|netem)\/[\w./-]*\.[a-z]+/g),
    ]
      .map(([path]) => path).filter((path) => !EXAMPLE.test(path));
    assert.deepEqual([...new Set(paths)].filter((path) => !isThere(TOP + path)), []);
  });

  Deno.test(`links of ${file} lead somewhere`, () => {
    for (const [, path, anchor] of text.matchAll(/\]\(([\w./-]*)(?:#([\w-]+))?\)/g)) {
      const target = path === "" ? text : Deno.readTextFileSync(join(TOP, dirname(file), path!));
      const anchors = [...target.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
        title!.toLowerCase().replaceAll(/[^\w -]/g, "").replaceAll(" ", "-")
      );
      assert.ok(anchor === undefined || anchors.includes(anchor), `${file}: ${path}#${anchor}`);
    }
  });
}

Deno.test("tests/README.md has a row for each fault", () => {
  const text = Deno.readTextFileSync(`${TOP}tests/README.md`);
  const named = text.split("\n").filter((line) => line.startsWith("| "))
    .flatMap((line) => line.split("|").at(-2)!.match(/(?<=`)[a-z_]+(?=`)/g) ?? []);
  assert.deepEqual(named.sort(), [...Object.keys(faults), ...Object.keys(holes)].sort());
});

Deno.test("what is compiled is what the task list-sync runs, with its permissions and its threads", () => {
  const run = config.tasks["list-sync"].replace("deno run ", "");
  assert.ok(run.includes(` --v8-flags=${jobKinds["capture-pg"].v8_flags.join(",")} `), run);
  const parts = "--include workers/runtime/thread.ts --output list-sync ";
  assert.equal(config.tasks.compile, `deno compile ${run.replace("workers/", `${parts}workers/`)}`);
});

Deno.test("no task asks at a terminal for a permission that it lacks", () => {
  const asking = Object.entries(config.tasks).filter(([, line]) =>
    /^deno (run|compile|test) /.test(line) && !/ (-A|--no-prompt) /.test(line)
  );
  assert.deepEqual(asking, []);
});

for (const name of TASKS) {
  Deno.test(`deno task ${name} --help shows usage and an example; a mistyped option is refused`, async () => {
    const help = await task(name, "--help");
    assert.equal(help.code, 0, help.stderr);
    assert.match(help.stdout, new RegExp(`^Usage: +deno task ${name}\\b`, "m"));
    assert.match(help.stdout, new RegExp(`^Example: deno task ${name}\\b`, "m"));
    const wrong = await task(name, "--hepl");
    assert.equal(wrong.code, 2, wrong.stdout);
    assert.match(wrong.stderr, /unknown option --hepl; nearest is "--help"/);
  });
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}
