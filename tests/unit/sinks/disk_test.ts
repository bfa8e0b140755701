import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { disk } from "../../../shared/sinks/csv/disk.ts";
import { inFolder } from "./fixtures.ts";

Deno.test("a folder is made with its parents, and those that got names are told", () =>
  inFolder(async (folder) => {
    assert.deepEqual(disk.makeFolder(`${folder}/a/b/c`), [folder, `${folder}/a`, `${folder}/a/b`]);
    assert.deepEqual(disk.makeFolder(`${folder}/a/b/d`), [`${folder}/a/b`]);
    assert.deepEqual(disk.makeFolder(`${folder}/a/b`), []);
  }));

Deno.test("an output folder that is not there is made by a worker that may touch nothing else", () =>
  inFolder(async (folder) => {
    const output = `${folder}/not/there/yet`;
    const script = `
      import { disk } from ${
      JSON.stringify(import.meta.resolve("../../../shared/sinks/csv/disk.ts"))
    };
      const told = disk.makeFolder(${JSON.stringify(`${output}/.list-sync/topic`)});
      for (const each of told) await disk.syncFolder(each);
      console.log(JSON.stringify(told));`;
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        `--allow-read=${output}`,
        `--allow-write=${output}`,
        `data:application/typescript,${encodeURIComponent(script)}`,
      ],
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const told = JSON.parse(new TextDecoder().decode(stdout));
    assert.deepEqual(told, [output, `${output}/.list-sync`]);
    assert(Deno.statSync(`${output}/.list-sync/topic`).isDirectory);
  }));

Deno.test("a file in the place of the output folder is named, with what to do", () =>
  inFolder(async (folder) => {
    Deno.writeTextFileSync(`${folder}/out`, "");
    const message = /Cannot write .*out\/\.list-sync: a file stands where a folder is wanted/;
    assert.throws(() => disk.list(`${folder}/out/.list-sync`), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.match(error.message, message);
      assert.match(error.cure!, /sink\.output/);
      return true;
    });
  }));
