/** How far a capture says that it is behind, on real servers, while Kafka does not answer. */
import assert from "node:assert/strict";
import { until } from "../until.ts";
import type { CaptureRun } from "./capture_run.ts";
import { fill, KEYED, SnapshotLab, type Way } from "./snapshot_lab.ts";

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "MySQL", account: "admin" },
];

interface Lag {
  readonly bytes: number;
  readonly changes: number;
  readonly seconds: number;
}

/** The gauges as a scrape finds them. */
async function lagOf({ metrics }: CaptureRun): Promise<Lag> {
  const text = await metrics.text();
  const value = (unit: string) =>
    Number(new RegExp(`^list_sync_lag_${unit} (\\S+)$`, "m").exec(text)![1]);
  return { bytes: value("bytes"), changes: value("changes"), seconds: value("seconds") };
}

for (const way of WAYS) {
  Deno.test(`${way.kind}: the lag grows in bytes, seconds and changes while Kafka takes nothing, and goes`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    const kafka = Promise.withResolvers<void>();
    const running = lab.start({ sending: () => kafka.promise });
    let lag: Lag | undefined;
    const sees = (what: string, look: (lag: Lag) => boolean) =>
      until(
        () => `the lag ${what}; it is ${JSON.stringify(lag)}`,
        async () => look(lag = await lagOf(running)),
      );
    try {
      await running.event("capture_started");
      await running.event("snapshot_finished");
      await fill(lab, "keyed", 20);
      await sees("counts 20 changes", ({ changes }) => changes === 20);
      const { bytes } = await lagOf(running);
      await lab.run(`UPDATE ${lab.quoted("keyed")} SET v = '${"x".repeat(100)}'`);
      await sees("has grown by the update", (now) => now.bytes > bytes + 20 * 100);
      await sees("has an age", ({ seconds }) => seconds > 2);
      kafka.resolve();
      await sees("is gone", ({ changes, seconds }) => changes === 0 && seconds < 2);
      await sees("is gone in bytes", (now) => now.bytes < 20 * 100);
    } finally {
      kafka.resolve();
    }
    assert.equal((await running.stop()).changes.u, 20);
    assert.equal(running.count("retrying"), 0);
  });
}
