import assert from "node:assert/strict";
import { holes } from "../faults/holes.ts";
import { faults } from "../faults/mod.ts";

Deno.test("every hole names a test that is there, under a name that no fault has", () => {
  for (const [name, { file, test }] of Object.entries(holes)) {
    assert.ok(!Object.hasOwn(faults, name), name);
    const text = Deno.readTextFileSync(new URL(`../../${file}`, import.meta.url));
    // Names are made of templates: what stands after the last of them is looked for.
    const part = test.replace(/^(MySQL|PostgreSQL): /, "");
    assert.ok(text.includes(part), `${name}: ${file} has no test "${test}"`);
  }
});
