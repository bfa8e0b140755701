import { deepEqual, equal, ok } from "node:assert/strict";
import { kafkaOptions, settings } from "../../../shared/kafka/options.ts";

Deno.test("a list of brokers is enough, and everything else has a default", () => {
  const all = settings(kafkaOptions.parse({ brokers: ["broker1:9092", "[::1]:9094"] }));
  equal(all.compression, "lz4");
  equal(all.tls, false);
  equal(all.auto_offset_reset, "earliest");
  ok(all.batch_bytes < 1_048_588, "a batch must pass the brokers' default bound uncompressed");
});

Deno.test("what a job sets of producing and consuming wins over the defaults", () => {
  const options = kafkaOptions.parse({ brokers: ["b:1"] });
  const all = settings({ ...options, compression: "zstd", fetch_bytes: undefined });
  equal(all.compression, "zstd");
  equal(all.fetch_bytes, 256 << 10);
});

Deno.test("times follow from request_timeout_ms, unless a job sets them", () => {
  const of = (more: Record<string, number>) => {
    const { connect_timeout_ms, retry_timeout_ms, session_timeout_ms, rebalance_timeout_ms } =
      settings(kafkaOptions.parse({ brokers: ["b:1"], ...more }));
    return [connect_timeout_ms, retry_timeout_ms, session_timeout_ms, rebalance_timeout_ms];
  };
  deepEqual(of({}), [5_000, 30_000, 45_000, 60_000]);
  deepEqual(of({ request_timeout_ms: 60_000 }), [10_000, 60_000, 90_000, 120_000]);
  deepEqual(of({ request_timeout_ms: 1_000 }), [1_000, 1_000, 6_000, 6_000]);
  deepEqual(of({ connect_timeout_ms: 700, retry_timeout_ms: 0 }), [700, 0, 45_000, 60_000]);
  const parsed = kafkaOptions.parse({ brokers: ["b:1"] });
  deepEqual(settings({ ...parsed, session_timeout_ms: 8_000 }).session_timeout_ms, 8_000);
});

const wrong: readonly (readonly [what: string, value: Record<string, unknown>])[] = [
  ["a broker without a port", { brokers: ["broker1"] }],
  ["a port that there is not", { brokers: ["broker1:70000"] }],
  ["no broker", { brokers: [] }],
  ["an unknown client", { brokers: ["b:1"], client: "librdkafka" }],
  ["a certificate without its key", { brokers: ["b:1"], tls: { cert_file: "c.pem" } }],
  ["switching verification off", { brokers: ["b:1"], tls: { insecure: true } }],
  ["an unknown mechanism", {
    brokers: ["b:1"],
    sasl: { mechanism: "md5", username: "u", password: "p" },
  }],
];

for (const [what, value] of wrong) {
  Deno.test(`${what} is refused`, () => equal(kafkaOptions.safeParse(value).success, false));
}
