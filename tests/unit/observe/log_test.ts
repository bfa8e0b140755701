import assert from "node:assert/strict";
import { RetryableError } from "../../../shared/errors.ts";
import { createLog, type LogOptions } from "../../../shared/observe/log.ts";

function logged(options: Partial<LogOptions> = {}) {
  const lines: string[] = [];
  const write = (line: string) => void lines.push(line);
  const now = () => Date.UTC(2026, 10, 21, 10);
  return { lines, log: createLog({ job: "orders", write, now, ...options }) };
}

Deno.test("a line is one JSON object: level, time, job, event, fields", () => {
  const { lines, log } = logged();
  log.info("started", { pid: 7, wide: 2n ** 63n });
  assert.equal(
    lines.join(""),
    '{"level":"info","time":"2026-11-21T10:00:00.000Z","job":"orders","event":"started",' +
      '"pid":7,"wide":"9223372036854775808"}\n',
  );
});

Deno.test("as text a line shows the same, with quotes only where they are needed", () => {
  const { lines, log } = logged({ format: "text" });
  log.warn("retrying", { reason: "no answer", after_ms: 20, topic: "orders.list" });
  assert.deepEqual(lines, [
    '2026-11-21T10:00:00.000Z warn  orders retrying reason="no answer" after_ms=20 topic=orders.list\n',
  ]);
});

Deno.test("as text a statement can be copied as it is, and what is undefined is left out", () => {
  const { lines, log } = logged({ format: "text" });
  log.warn("check", { cure: 'ALTER TABLE "a\\b"\n;', stack: undefined });
  assert.deepEqual(lines, [
    '2026-11-21T10:00:00.000Z warn  orders check cure="ALTER TABLE "a\\b"\\n;"\n',
  ]);
});

Deno.test("lines below the level are left out", () => {
  const { lines, log } = logged({ level: "warn" });
  log.debug("a");
  log.info("b");
  log.warn("c");
  log.error("d");
  assert.deepEqual(lines.map((line) => JSON.parse(line).event), ["c", "d"]);
});

for (const format of ["json", "text"] as const) {
  Deno.test(`no secret is written (${format}), whatever characters it holds`, () => {
    const secrets = ['a"b\\c', "line\nbreak", "pass word", "inside", "inside-longer", ""];
    const { lines, log } = logged({ secrets, format });
    for (const secret of secrets.filter((text) => text !== "")) {
      log.error("failed", {
        text: `at ${secret}!`,
        deep: [{ url: `pg://u:${encodeURIComponent(secret)}@h` }],
        error: new RetryableError("login", { cause: new Error(`with ${secret}`) }),
      });
    }
    for (const line of lines) {
      assert.doesNotMatch(line, /a\\?"b|line(\\n|%0A)break|pass( |%20)word|inside|longer/);
      assert.equal(line.match(/\*\*\*/g)?.length, 3, line);
    }
  });
}

Deno.test("an error is told with its cure and its causes", () => {
  const { lines, log } = logged();
  log.error("failed", {
    error: new RetryableError("No answer.", { cure: "wait", cause: new Error("reset") }),
  });
  assert.equal(JSON.parse(lines[0]!).error, "No answer. Cause: reset. To mend: wait");
});

Deno.test("fields cannot replace level, time, job or event", () => {
  const { lines, log } = logged();
  log.info("started", { level: "error", job: "other", time: 0, event: "x" });
  assert.deepEqual(JSON.parse(lines[0]!), {
    level: "info",
    time: "2026-11-21T10:00:00.000Z",
    job: "orders",
    event: "started",
  });
});

Deno.test("a line that cannot be written is dropped, and the next one is written", () => {
  const lines: string[] = [];
  const full = new Error("No space left on device (os error 28)");
  const write = (line: string) => {
    if (line.includes("first")) throw full;
    lines.push(line);
  };
  const { log } = logged({ write });
  log.info("first");
  log.info("second");
  assert.deepEqual(lines.map((line) => JSON.parse(line).event), ["second"]);
});

Deno.test("a call never throws, and bytes are counted rather than spelled out", () => {
  for (const format of ["json", "text"] as const) {
    const { lines, log } = logged({ format });
    const circle: Record<string, unknown> = {};
    circle.self = circle;
    log.info("odd", { circle });
    log.info("bytes", { value: new Uint8Array(3), nothing: undefined });
    assert.equal(lines.length, 2);
    assert.match(lines[1]!, /3 bytes/);
  }
});
