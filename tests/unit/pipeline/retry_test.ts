import assert from "node:assert/strict";
import { ConfigError, HistoryLostError, RetryableError } from "../../../shared/errors.ts";
import { SpentError } from "../../../shared/kafka/faults.ts";
import { createLog } from "../../../shared/observe/log.ts";
import { createMetrics } from "../../../shared/observe/prometheus.ts";
import { backoff } from "../../../shared/backoff.ts";
import { retrying } from "../../../shared/pipeline/retry.ts";

function watched(signal = new AbortController().signal) {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    job: "test",
    write: (line) => lines.push(JSON.parse(line)),
    now: () => 0,
  });
  const steps = { initial_ms: 1, max_ms: 4 };
  return { lines, deps: { log, metrics: createMetrics(), signal, backoff: steps } };
}

Deno.test("Waits double up to the cap and lie in their upper half", () => {
  const steps = { initial_ms: 100, max_ms: 1000 };
  const longest = [0, 1, 2, 3, 4, 5, 2000].map((attempt) => backoff(attempt, steps, 0.999999999));
  assert.deepEqual(longest.map(Math.round), [100, 200, 400, 800, 1000, 1000, 1000]);
  const shortest = [0, 1, 2, 3, 4].map((attempt) => backoff(attempt, steps, 0));
  assert.deepEqual(shortest, [50, 100, 200, 400, 500]);
});

Deno.test("Passing faults are tried again, and each is logged and counted with its reason", async () => {
  const { lines, deps } = watched();
  let attempts = 0;
  const answer = await retrying(async () => {
    if (++attempts < 3) throw new RetryableError("the broker is away");
    return "done";
  }, deps);
  assert.equal(answer, "done");
  assert.deepEqual(
    lines.map(({ event, attempt, error }) => [event, attempt, error]),
    [["retrying", 1, "the broker is away"], ["retrying", 2, "the broker is away"]],
  );
  const text = await deps.metrics.text();
  assert.match(text, /list_sync_retries_total\{reason="RetryableError"\} 2/);
  assert.match(text, /list_sync_errors_total\{kind="RetryableError"\} 2/);
});

Deno.test("An error that is retried is counted by its class, or by that of its cause", async () => {
  const { deps } = watched();
  const lost = new HistoryLostError("the slot is gone");
  const errors = [
    new RetryableError("a new generation begins", { cause: lost }),
    new RetryableError("away", { cause: new TypeError("an answer of another kind") }),
    new SpentError("of a subclass"),
    Object.assign(new Error("reset"), { code: "ECONNRESET" }),
  ];
  await retrying(async () => {
    const error = errors.shift();
    if (error !== undefined) throw error;
  }, deps);
  const counts = [...(await deps.metrics.text()).matchAll(/_errors_total\{kind="(.*)"\} (\d+)/g)];
  assert.deepEqual(counts.map(([, kind, count]) => [kind, count]), [
    ["HistoryLostError", "1"],
    ["RetryableError", "2"],
    ["other", "1"],
  ]);
});

Deno.test("Any other error ends the work at once", async () => {
  const { lines, deps } = watched();
  for (const error of [new ConfigError("wrong"), new TypeError("a fault of ours")]) {
    await assert.rejects(retrying(() => Promise.reject(error), deps), error);
  }
  assert.deepEqual(lines, []);
});

Deno.test("A stop ends the waiting", async () => {
  const stop = new AbortController();
  const { deps } = watched(stop.signal);
  const answer = retrying(() => {
    queueMicrotask(() => stop.abort());
    return Promise.reject(new RetryableError("away"));
  }, { ...deps, backoff: { initial_ms: 3_600_000, max_ms: 3_600_000 } });
  assert.equal(await answer, undefined);
});

Deno.test("An attempt that lasted begins the count anew", async () => {
  const { lines, deps } = watched();
  let clock = 0;
  let attempts = 0;
  await retrying(async () => {
    attempts++;
    if (attempts === 3) clock += 1000;
    if (attempts < 5) throw new RetryableError("away");
  }, { ...deps, elapsedMs: () => clock });
  assert.deepEqual(lines.map((line) => line.attempt), [1, 2, 1, 2]);
});
