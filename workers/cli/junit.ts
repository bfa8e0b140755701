/** Counts of a JUnit report as `deno test --junit-path` writes it. */

/** How many tests, steps included, passed, failed and were left out. */
export interface TestCounts {
  passed: number;
  failed: number;
  skipped: number;
}

/**
 * Counts the `testcase` elements by what stands in them: a failure or error, a skip, or nothing.
 * Text and attributes are escaped in the report, so an angle bracket always begins an element.
 */
export function countTests(report: string): TestCounts {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 };
  for (const testCase of report.split("<testcase ").slice(1)) {
    if (/<(failure|error)\b/.test(testCase)) counts.failed++;
    else if (testCase.includes("<skipped")) counts.skipped++;
    else counts.passed++;
  }
  return counts;
}
