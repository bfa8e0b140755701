/** Bad networks: what is asked for is there, and workers hold. `deno task netem test` has the long runs. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { Scenario } from "../../netem/scenario.ts";
import { ToxiproxyBackend } from "../../netem/toxiproxy.ts";
import { measureLinks } from "./run/links.ts";
import { replicationTime } from "./run/measure.ts";
import { inNamespace } from "./run/namespace.ts";
import { NetemServers } from "./run/servers.ts";
import { hold, isWhole } from "./run/workers.ts";

/** Some of each scenario, with short cuts: the consumers' first, then the captures'. */
const HARSH: Scenario = {
  file: "tests/netem/netem_test.ts",
  description: "20 ms between brokers, slow consumers, a far database, and cuts.",
  links: {
    between_brokers: { round_trip_ms: 20 },
    consumer_to_brokers: {
      round_trip_ms: 800,
      jitter_ms: 80,
      rate_mbit: 20,
      cuts: [{ after_ms: 1_000, for_ms: 6_000 }],
    },
    capture_to_brokers: { cuts: [{ after_ms: 2_000, for_ms: 5_000 }] },
    capture_to_database: { round_trip_ms: 200, cuts: [{ after_ms: 4_000, for_ms: 4_000 }] },
  },
};
const CHANGES = 5_000;

Deno.test("links are as slow as a scenario asks, before workers hold behind them and through cuts", async (t) => {
  await using servers = await NetemServers.start();
  const backend = new ToxiproxyBackend(servers.stack);

  await t.step("without a scenario no link takes time", async () => {
    const { wrong } = await measureLinks(servers, { ...HARSH, links: {} });
    assert.deepEqual(wrong, []);
  });

  await t.step("delay and rate are there, each on its link alone", async () => {
    const near_ms = await replicationTime(servers.stack.kafka.brokers);
    await backend.apply(HARSH, new Set());
    const { wrong, found } = await measureLinks(servers, HARSH);
    assert.deepEqual(wrong, [], found.join("\n"));
    const far_ms = await replicationTime(servers.stack.kafka.brokers);
    assert.ok(far_ms >= 20, `followers hold a record after ${far_ms} ms, ${near_ms} without delay`);
  });

  await t.step("what captures send arrives whole, and no group begins anew", async () => {
    const held = await hold(servers, {
      scenario: HARSH,
      backend,
      changes: CHANGES,
      consumers: 1,
      tell: (line) => console.log(line),
    });
    assert.equal(held.length, 2);
    for (const one of held) assert.ok(isWhole(one), JSON.stringify(one));
  });

  await t.step("clear takes all away", async () => {
    await backend.clear();
    const lines = await backend.status();
    assert.deepEqual(lines.filter((line) => !line.endsWith(": as it is")), []);
  });
});

/** Runs a measurement in a network namespace of its own, in which the packet filter and tc may be set. */
async function measureAlone<T>(what: string): Promise<T> {
  const script = fileURLToPath(new URL("run/alone.ts", import.meta.url));
  const { stdout } = await inNamespace([Deno.execPath(), "run", "-A", "--no-check", script, what]);
  return JSON.parse(stdout) as T;
}

Deno.test("nft loses the share of packets that a scenario asks for, all in a cut, none when cleared", async () => {
  const { sent, lost, cut, cleared } = await measureAlone<
    { sent: number; lost: number; cut: boolean; cleared: string[] }
  >("loss");
  assert.ok(lost > 0.02 * sent && lost < 0.3 * sent, `${lost} of ${sent} segments were sent again`);
  assert.equal(cut, true, "a connection was made over a link that is cut");
  assert.deepEqual(cleared, []);
});

Deno.test("tc gives the rate that a scenario asks for by tbf, where the kernel has no netem", async () => {
  const { before_mbit, mbit, after_mbit } = await measureAlone<
    { before_mbit: number; mbit: number; after_mbit: number }
  >("rate");
  assert.ok(mbit > 10 && mbit < 26, `asked for are 20 Mbit/s; found are ${mbit}`);
  assert.ok(before_mbit > 40, `before: ${before_mbit}`);
  assert.ok(after_mbit > 40, `cleared: ${after_mbit}`);
});
