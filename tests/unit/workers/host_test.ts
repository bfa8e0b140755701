import assert from "node:assert/strict";
import { distinctRequests, type StopSignal } from "../../../workers/cli/host.ts";

Deno.test("a signal that a group hands on again is no second request to stop", () => {
  const asked: StopSignal[] = [];
  let now_ms = 0;
  const take = distinctRequests((signal) => asked.push(signal), () => now_ms);
  take("SIGTERM");
  now_ms = 40; // by `deno task`
  take("SIGTERM");
  now_ms = 80; // by the launcher
  take("SIGTERM");
  assert.deepEqual(asked, ["SIGTERM"]);
  for (now_ms = 100; now_ms < 600; now_ms += 100) take("SIGINT"); // by a person in a hurry
  assert.deepEqual(asked, ["SIGTERM", "SIGINT"]);
});
