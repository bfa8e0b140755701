import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { generatedFiles } from "../../../workers/commands/docs.ts";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));

for (const [path, text] of generatedFiles(Deno.readTextFileSync(`${TOP}README.md`))) {
  Deno.test(`${path} is what the job schemas say`, () => {
    const isFresh = Deno.readTextFileSync(TOP + path) === text;
    assert.ok(isFresh, `${path} is stale: run deno task docs`);
  });
}
