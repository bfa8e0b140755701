import assert from "node:assert/strict";
import { format } from "../../../shared/formats/json.ts";
import type {
  Admin,
  ConsumerHandlers,
  InBatch,
  KafkaClient,
  TopicPartition,
} from "../../../shared/kafka/port.ts";
import { createHealth } from "../../../shared/observe/health.ts";
import { NO_METRICS } from "../../../shared/observe/metrics.ts";
import { runConsume } from "../../../shared/pipeline/consume.ts";
import { NoneSink } from "../../../shared/sinks/none.ts";
import type { Sink } from "../../../shared/sinks/sink.ts";
import { until } from "../../until.ts";
import { context, TOPIC } from "../sinks/fixtures.ts";

/** What a batch did besides reading: questions where the topic begins and ends, and places sought. */
interface Seen {
  questions: number;
  readonly sought: (readonly [partition: number, offset: number])[];
}

function tombstones(partition: number, from: number, end: number): InBatch {
  const records = Array.from({ length: end - from }, (_, index) => {
    const tombstone = { size: 0, key: null, value: null, timestamp_ms: 0, headers: [] };
    return { ...tombstone, offset: from + index };
  });
  return { topic: TOPIC, partition, records, next_offset: end, end_offset: end };
}

/** A topic of tombstones whose partitions end at `ends`, and what a group has committed of them. */
function kafkaOf(
  ends: readonly number[],
  group: (number | undefined)[],
  seen: Seen,
): KafkaClient {
  const info = { name: TOPIC, id: "id", partitions: ends.length, replication_factor: 1 };
  const admin = {
    topics: async (match: (name: string) => boolean) => [info].filter(({ name }) => match(name)),
    offsets: async () => {
      seen.questions++;
      return ends.map((end) => ({ first: 0, end }));
    },
    committed: async () => [...group],
    async *read({ partition }, from, to) {
      yield tombstones(partition, from, to);
    },
    close: async () => {},
  } as Partial<Admin> as Admin;

  const deliver = async ({ assigned, batch }: ConsumerHandlers) => {
    const partitions = ends.map((_, partition) => ({ topic: TOPIC, partition }));
    const offsets = await assigned(partitions);
    for (const [partition, end] of ends.entries()) {
      const from = offsets[partition]!;
      if (from < end) await batch(tombstones(partition, from, end));
    }
  };
  return {
    capabilities: { fences: true, fair_fetches: true },
    admin: async () => admin,
    producer: () => Promise.reject(new Error("nothing is to be sent")),
    async consumer({ handlers }) {
      queueMicrotask(() => deliver(handlers).catch(handlers.failed));
      return {
        async commit(offsets) {
          for (const { partition, next_offset } of offsets) group[partition] = next_offset;
        },
        seek: ({ partition }, offset) => void seen.sought.push([partition, offset]),
        pause() {},
        resume() {},
        close: async () => {},
      };
    },
  };
}

/** Runs a batch to its end; answers what it read, what the group has then, and each lag that was told. */
async function batchOf(
  ends: readonly number[],
  group: (number | undefined)[],
  auto_offset_reset: "earliest" | "latest" = "earliest",
  sink: Sink = new NoneSink(),
) {
  const seen: Seen = { questions: 0, sought: [] };
  const lags: number[] = [];
  const stop = new AbortController();
  let ended = false;
  const running = runConsume({
    name: "csv",
    mode: "batch",
    topics: [TOPIC],
    flush_interval_ms: 10,
    flush_bytes: 1 << 20,
    topic_refresh_ms: 10_000,
    on_error: "fail",
    dead_letter_limit: 1,
    kafka: { fetch_bytes: 1 << 20, request_timeout_ms: 30_000, auto_offset_reset },
  }, {
    ...context(),
    kafka: kafkaOf(ends, group, seen),
    sink,
    format,
    metrics: {
      ...NO_METRICS,
      lag_records: { set: (value) => void lags.push(value), drop() {} },
    },
    health: createHealth(),
    signal: stop.signal,
  }).finally(() => ended = true);
  try {
    await until("the batch ends", () => ended, 5_000);
  } finally {
    stop.abort();
    await running;
  }
  return { records: (await running).records, group, lags, ...seen };
}

Deno.test("a batch ends where a partition brings nothing new to a target that keeps no standing", async () => {
  const nothing = await batchOf([10], [10]);
  assert.partialDeepStrictEqual(nothing, { records: 0, group: [10], lags: [] });
  const { records, group } = await batchOf([10, 10], [5, 10]);
  assert.deepEqual({ records, group }, { records: 5, group: [10, 10] });
});

Deno.test("a new group that begins at the end commits it: what comes before its next start is not passed over", async () => {
  const { records, group } = await batchOf([10, 0], [undefined, undefined], "latest");
  assert.deepEqual({ records, group }, { records: 0, group: [10, 0] });
});

Deno.test("records before the place where the group stands are no lag", async () => {
  const { lags } = await batchOf([10], [7]);
  assert.deepEqual(lags, [3, 0]);
});

Deno.test("taking a topic over asks where it ends no more often when it has many partitions", async () => {
  const few = await batchOf(Array(3).fill(1), Array(3).fill(1));
  const many = await batchOf(Array(300).fill(1), Array(300).fill(1));
  assert.equal(many.questions, few.questions);
});

Deno.test("a partition that another process held begins where the group stands once it is free", async () => {
  const group = [5, 5];
  const sink: Sink = Object.assign(new NoneSink(), {
    async open({ partition }: TopicPartition) {
      if (partition === 0) return undefined;
      await until("the other partition is read", () => group[0] === 10, 5_000);
      group[1] = 10;
      return undefined;
    },
  });
  assert.deepEqual((await batchOf([10, 10], group, "earliest", sink)).sought, [[1, 10]]);
});
