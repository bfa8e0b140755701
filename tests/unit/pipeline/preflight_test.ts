import assert from "node:assert/strict";
import type { Admin } from "../../../shared/kafka/port.ts";
import { preflight, templateMatcher } from "../../../shared/pipeline/preflight.ts";

Deno.test("a template accepts the topics that it can make, and no others", () => {
  const matches = templateMatcher("{name}.{schema}.{table}", "orders");
  assert.ok(matches("orders.public.list"));
  assert.ok(!matches("orders2.public.list"));
  assert.ok(!matches("orders.public"));
  assert.ok(!matches("other.orders.public.list"));
});

Deno.test("signs of a template mean themselves, and those that Kafka refuses stand as _", () => {
  const matches = templateMatcher("a.b+{table}", "orders");
  assert.ok(matches("a.b_list"));
  assert.ok(!matches("axb_list"));
});

/** What a capture with 3 replicas is told where two brokers answer and these topics are there. */
async function withTwoBrokers(topics: readonly { name: string; replicas: number }[]) {
  const brokers = [0, 0].map((port) => Deno.listen({ hostname: "127.0.0.1", port }));
  const infos = topics.map(({ name, replicas }) => ({
    name,
    id: name,
    partitions: 3,
    replication_factor: replicas,
  }));
  const admin = {
    brokers: () => Promise.resolve(brokers.map(({ addr }) => `127.0.0.1:${addr.port}`)),
    topics: (match: (name: string) => boolean) =>
      Promise.resolve(infos.filter(({ name }) => match(name))),
    topicConfig: () => Promise.resolve(new Map([["min.insync.replicas", "2"]])),
  };
  try {
    const findings = await preflight({
      admin: admin as unknown as Admin,
      connect_timeout_ms: 1_000,
      topics: { match: (name) => name === "orders.list", text: "orders.list" },
      rights: [],
      user: "ANONYMOUS",
      writes: { partitions: 3, replication_factor: 3 },
    });
    return findings.find(({ subject }) => subject === "replication_factor")!;
  } finally {
    for (const broker of brokers) broker.close();
  }
}

Deno.test("more replicas than brokers are an error while no topic has so many", async () => {
  assert.equal((await withTwoBrokers([])).level, "error");
  assert.equal((await withTwoBrokers([{ name: "orders.list", replicas: 2 }])).level, "error");
});

Deno.test("a broker that is down keeps no capture from starting whose topics are there", async () => {
  const finding = await withTwoBrokers([{ name: "orders.list", replicas: 3 }]);
  assert.equal(finding.level, "warning");
  assert.match(finding.found, /asks for 3, and the cluster has 2 brokers that are up/);
});
