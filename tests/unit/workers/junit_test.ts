/** Counting what a JUnit report says. */
import assert from "node:assert/strict";
import { countTests } from "../../../workers/cli/junit.ts";

const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="4" failures="1" errors="0" time="0.008">
  <testsuite name="./a_test.ts" tests="4" disabled="1" errors="0" failures="1">
    <testcase name="a &gt; b &quot;&lt;failure&gt;&quot;" classname="./a_test.ts" time="0.0">
    </testcase>
    <testcase name="fails" classname="./a_test.ts" time="0.0">
      <failure message="Uncaught Error: x &lt;testcase &gt;">text</failure>
    </testcase>
    <testcase name="left out" classname="./a_test.ts" time="0.0">
      <skipped/>
    </testcase>
    <testcase name="closed in itself" classname="./a_test.ts" time="0.0"/>
  </testsuite>
</testsuites>
`;

Deno.test("a report's tests are counted by what stands in them, not by their names", () => {
  assert.deepEqual(countTests(REPORT), { passed: 2, failed: 1, skipped: 1 });
});

Deno.test("a report that was never written counts nothing", () => {
  assert.deepEqual(countTests(""), { passed: 0, failed: 0, skipped: 0 });
});
