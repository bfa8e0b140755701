import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { ConfigError, RetryableError } from "../../../shared/errors.ts";
import { backoffMs, retrying } from "../../../shared/kafka/retry.ts";
import type { Log } from "../../../shared/observe/log.ts";

function recorder() {
  const events: string[] = [];
  const tell = (event: string, fields?: Readonly<Record<string, unknown>>) => {
    events.push(`${event} ${fields?.reason ?? fields?.after}`);
  };
  const log: Log = { debug: tell, info: tell, warn: tell, error: tell };
  return { events, log };
}

Deno.test("a passing fault is repeated, told once, and its end is told", async () => {
  const { events, log } = recorder();
  let attempts = 0;
  const result = await retrying(
    { log, what: "w", signal: new AbortController().signal },
    async () => {
      if (++attempts < 4) throw new RetryableError("no leader");
      return "done";
    },
  );
  equal(result, "done");
  equal(attempts, 4);
  deepEqual(events, ["kafka_retry no leader", "kafka_recovered no leader"]);
});

Deno.test("a fault that does not pass is thrown at once", async () => {
  const { log } = recorder();
  let attempts = 0;
  const work = retrying({ log, what: "w", signal: new AbortController().signal }, async () => {
    attempts++;
    throw new ConfigError("wrong");
  });
  await rejects(work, /wrong/);
  equal(attempts, 1);
});

Deno.test("the last fault is thrown when the time is over", async () => {
  const { log } = recorder();
  const retry = { log, what: "w", signal: new AbortController().signal, give_up_ms: 0 };
  await rejects(
    retrying(retry, () => Promise.reject(new RetryableError("still away"))),
    /still away/,
  );
});

Deno.test("an abort ends the waiting with its reason", async () => {
  const { log } = recorder();
  const stop = new AbortController();
  const work = retrying({ log, what: "w", signal: stop.signal }, async () => {
    queueMicrotask(() => stop.abort(new Error("closed")));
    throw new RetryableError("away");
  });
  await rejects(work, /closed/);
});

Deno.test("waits grow from tens of milliseconds to a cap, each within its upper half", () => {
  for (let attempt = 0; attempt < 40; attempt++) {
    const full = Math.min(2_000, 50 * 2 ** attempt);
    const wait_ms = backoffMs(attempt);
    ok(wait_ms >= full / 2 && wait_ms <= full, `attempt ${attempt}: ${wait_ms} ms`);
  }
});

Deno.test("what is usual at first is told as debug alone", async () => {
  const { events, log: { debug } } = recorder();
  const silent = () => {};
  const { signal } = new AbortController();
  let attempts = 0;
  const log: Log = { debug, info: silent, warn: silent, error: silent };
  await retrying({ log, what: "w", signal, usual: true }, async () => {
    if (++attempts < 2) throw new RetryableError("not known yet");
  });
  deepEqual(events, ["kafka_retry not known yet", "kafka_recovered not known yet"]);
});
