/** Every fault once, one after another in one run; `deno task faults` has the long runs. */
import assert from "node:assert/strict";
import { type FaultName, faults } from "./mod.ts";
import { runFaults } from "./run/run.ts";
import { Servers } from "./run/servers.ts";

/** Kafka's brokers call one of them dead after 9 s: leaders move while the freeze lasts. */
const FREEZE_MS = 12_000;
/** Shorter than the freeze, so that what is sent to a frozen broker is given up and sent again. */
const REQUEST_TIMEOUT_MS = 5_000;
const KILLS = 20;
const HUGE_ROWS = 100_000;

Deno.test("whatever strikes, each change is in the topic and in the files once, unaltered, in order", async () => {
  await using servers = await Servers.start();
  const { lost, repeated, altered, examples, changes } = await runFaults(servers, {
    names: Object.keys(faults) as FaultName[],
    kills: KILLS,
    seed: 1,
    freeze_ms: FREEZE_MS,
    huge_rows: HUGE_ROWS,
    request_timeout_ms: REQUEST_TIMEOUT_MS,
    tell: (line) => console.log(line),
  });
  assert.ok(changes > 1_000, `only ${changes} changes were made`);
  assert.deepEqual({ lost, repeated, altered, examples }, {
    lost: 0,
    repeated: 0,
    altered: 0,
    examples: [],
  });
});
