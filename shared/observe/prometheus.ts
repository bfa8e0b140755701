/** Metrics that are counted, and told in the Prometheus text format. */
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import { METRICS, type Metrics, type Spec } from "./metrics.ts";

/** Metrics of its own registry: two in one process (tests, the library) do not share counts. */
export function createMetrics(): Metrics {
  const registry = new Registry();
  const meters = Object.entries(METRICS).map(([key, spec]) => [key, meter(spec, registry)]);
  const metrics = Object.fromEntries(meters) as Metrics;
  return {
    ...metrics,
    text() {
      metrics.resident_memory.set(Deno.memoryUsage().rss);
      return registry.metrics();
    },
  };
}

function meter(spec: Spec, registry: Registry): unknown {
  const about = {
    name: spec.name,
    help: spec.help,
    labelNames: [...spec.labels],
    registers: [registry],
  };
  if (spec.type === "counter") {
    const counter = new Counter(about);
    return { add: (count: number, labels = {}) => counter.inc(labels, count) };
  }
  if (spec.type === "gauge") {
    const gauge = new Gauge(about);
    return {
      set: (value: number, labels = {}) => gauge.set(labels, value),
      drop: (labels = {}) => gauge.remove(labels),
    };
  }
  const histogram = new Histogram({ ...about, buckets: [...spec.buckets ?? []] });
  return { observe: (value: number, labels = {}) => histogram.observe(labels, value) };
}
