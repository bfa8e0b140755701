import assert from "node:assert/strict";
import { METRICS } from "../../../shared/observe/metrics.ts";
import { createMetrics } from "../../../shared/observe/prometheus.ts";

/** The samples of a text exposition, by name and labels. */
function samples(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(lines.map((line) => {
    const at = line.lastIndexOf(" ");
    return [line.slice(0, at), Number(line.slice(at + 1))];
  }));
}

Deno.test("every metric is named list_sync_…, a counter ends in _total, a unit stands in the name", () => {
  for (const { name, type } of Object.values(METRICS)) {
    assert.match(name, /^list_sync_[a-z_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.match(name, /_(total|seconds|bytes|changes|records|rows)$/, name);
  }
  const names = Object.values(METRICS).map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
});

Deno.test("all metrics of the table stand in the text, with help and type", async () => {
  const text = await createMetrics().text();
  for (const { name, type, help } of Object.values(METRICS)) {
    assert.ok(text.includes(`# TYPE ${name} ${type}\n`), name);
    assert.ok(text.includes(`# HELP ${name} ${help}\n`), name);
  }
});

Deno.test("counts add up by label, gauges hold the last value, histograms count into buckets", async () => {
  const metrics = createMetrics();
  metrics.changes.add(2, { op: "c" });
  metrics.changes.add(3, { op: "c" });
  metrics.changes.add(1, { op: "d" });
  metrics.lag_seconds.set(4);
  metrics.lag_seconds.set(0.5);
  metrics.batch_records.observe(7);
  metrics.batch_records.observe(700);
  metrics.lag_records.set(9, { topic: "t", partition: "0" });
  metrics.lag_records.set(8, { topic: "t", partition: "1" });
  metrics.lag_records.drop({ topic: "t", partition: "0" });
  const found = samples(await metrics.text());
  assert.equal(found.get('list_sync_changes_total{op="c"}'), 5);
  assert.equal(found.get('list_sync_changes_total{op="d"}'), 1);
  assert.equal(found.get("list_sync_lag_seconds"), 0.5);
  assert.equal(found.get('list_sync_batch_records_bucket{le="10"}'), 1);
  assert.equal(found.get('list_sync_batch_records_bucket{le="1000"}'), 2);
  assert.equal(found.get("list_sync_batch_records_sum"), 707);
  assert.equal(found.get('list_sync_lag_records{topic="t",partition="0"}'), undefined);
  assert.equal(found.get('list_sync_lag_records{topic="t",partition="1"}'), 8);
  assert.ok(found.get("list_sync_resident_memory_bytes")! > 1_000_000);
});

Deno.test("two sets of metrics do not share counts", async () => {
  const [first, second] = [createMetrics(), createMetrics()];
  first.records.add(5);
  assert.equal(samples(await second.text()).get("list_sync_records_total"), 0);
});
