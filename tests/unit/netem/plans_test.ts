/** What each backend does for a scenario, to the word, and what it refuses. */
import assert from "node:assert/strict";
import { brokerSettings, KAFKA_PORTS } from "../../../compose/native/kafka.ts";
import { type LinkName, proxiedSettings } from "../../../compose/native/netem.ts";
import { environment, NETEM_STACK_PORTS, stackWays } from "../../../compose/native/stack.ts";
import { planRules } from "../../../netem/nft.ts";
import { loadScenario, type Scenario } from "../../../netem/scenario.ts";
import { planTc, scriptOf, type TcHost } from "../../../netem/tc.ts";
import { planToxics } from "../../../netem/toxiproxy.ts";
import type { ConfigError } from "../../../shared/errors.ts";

const WAYS = stackWays(0);

/** A scenario of one link. */
function scenario(link: LinkName, conditions: Scenario["links"][LinkName]): Scenario {
  return { file: "netem/test.yaml", description: "A test.", links: { [link]: conditions } };
}

const CUT = { cuts: [{ after_ms: 0, for_ms: 1 }] };

/** Asserts a refusal that names scenario, link, value and what can do it. */
function assertRefused(work: () => unknown, message: string, cure: RegExp): void {
  assert.throws(work, (error: ConfigError) => {
    assert.equal(error.message, message);
    assert.match(error.cure!, cure);
    return true;
  });
}

const CONSUMER: TcHost = {
  at: "consumer",
  interface: "eth0",
  brokers: ["10.0.0.1"],
  databases: [],
  prefix: [],
};

Deno.test("no two ports of a stack with proxies are the same", () => {
  assert.equal(new Set(NETEM_STACK_PORTS).size, NETEM_STACK_PORTS.length - 2 - 3); // their upstreams
});

Deno.test("peers, captures, consumers and controllers know a broker by its proxies", () => {
  const more = proxiedSettings(2, KAFKA_PORTS, 0);
  const lines = brokerSettings(2, KAFKA_PORTS, "/data", more).split("\n");
  for (
    const expected of [
      "listeners=BROKER://127.0.0.1:9094,CONTROLLER://127.0.0.1:9096," +
      "PEER://127.0.0.1:9202,CAPTURE://127.0.0.1:9212,CONSUMER://127.0.0.1:9222",
      "advertised.listeners=BROKER://127.0.0.1:9094," +
      "PEER://127.0.0.1:9242,CAPTURE://127.0.0.1:9252,CONSUMER://127.0.0.1:9262",
      "inter.broker.listener.name=PEER",
      "controller.quorum.voters=1@127.0.0.1:9271,2@127.0.0.1:9272,3@127.0.0.1:9273",
    ]
  ) assert.ok(lines.includes(expected), `${expected} is missing in:\n${lines.join("\n")}`);
  const proxied = WAYS.filter(({ name }) => name.endsWith("-2"))
    .map(({ name, port, upstream }) => `${name} ${port} ${upstream}`);
  assert.deepEqual(proxied, [
    "between_brokers-2 9242 9202",
    "capture_to_brokers-2 9252 9212",
    "consumer_to_brokers-2 9262 9222",
    "between_brokers-controller-2 9272 9096",
  ]);
});

Deno.test("the environment of a stack with proxies says where captures and consumers find them", () => {
  const stack = { name: "x", engine: "native" as const, dir: "/x", port_offset: 1000, servers: [] };
  const variables = environment({ ...stack, versions: {}, netem: true });
  assert.deepEqual(variables, {
    LIST_SYNC_STACK: "/x/stack.json",
    NETEM_CAPTURE_BROKERS: "127.0.0.1:10251,127.0.0.1:10252,127.0.0.1:10253",
    NETEM_CONSUMER_BROKERS: "127.0.0.1:10261,127.0.0.1:10262,127.0.0.1:10263",
    NETEM_PG_PORT: "10280",
    NETEM_MYSQL_PORT: "10281",
  });
});

Deno.test("Toxiproxy: half of the delay each way, a third of the rate on each broker's connection", () => {
  const plan = planToxics(loadScenario("consumer-20mbit-800ms"), WAYS);
  const names = [1, 2, 3].map((node) => `consumer_to_brokers-${node}`);
  assert.deepEqual([...plan.keys()].sort(), names);
  const both = (["upstream", "downstream"] as const).flatMap((stream) => [
    {
      name: `bandwidth_${stream}`,
      type: "bandwidth",
      stream,
      toxicity: 1,
      attributes: { rate: 833 },
    },
    {
      name: `latency_${stream}`,
      type: "latency",
      stream,
      toxicity: 1,
      attributes: { latency: 400, jitter: 40 },
    },
  ]);
  for (const name of names) assert.deepEqual(plan.get(name), both);
});

Deno.test("Toxiproxy: a link that will be cut has its delay from the start, and holds all while cut", () => {
  const cut = scenario("capture_to_database", { round_trip_ms: 5, ...CUT });
  const delays = (links: LinkName[]) =>
    planToxics(cut, WAYS, new Set(links)).get("capture_to_database-pg")!
      .map(({ attributes }) => attributes["latency"]);
  assert.deepEqual(delays([]), [2, 3]);
  assert.deepEqual(delays(["capture_to_database"]), [86_400_000, 86_400_000]);
  const [first] = planToxics(loadScenario("partition"), WAYS).get("between_brokers-controller-3")!;
  assert.deepEqual(first!.attributes, { latency: 0, jitter: 0 });
});

Deno.test("nft: packets to and from a link's ports are lost at random, or all while it is cut", () => {
  const lossy = {
    file: "netem/test.yaml",
    description: "A test.",
    links: { between_brokers: { loss_percent: 2.5 }, capture_to_database: CUT },
  };
  const chain = (rules: string) =>
    `table inet list_sync_netem
delete table inet list_sync_netem
table inet list_sync_netem {
  chain output {
    type filter hook output priority filter; policy accept;
    tcp dport { 9241, 9271, 9242, 9272, 9243, 9273 } numgen random mod 10000 < 250 drop comment "between_brokers"
    tcp sport { 9241, 9271, 9242, 9272, 9243, 9273 } numgen random mod 10000 < 250 drop comment "between_brokers"
${rules}  }
}
`;
  assert.equal(planRules(lossy, WAYS), chain(""));
  assert.equal(
    planRules(lossy, WAYS, new Set(["capture_to_database"])),
    chain(
      `    tcp dport { 9280, 9281 } drop comment "capture_to_database"\n` +
        `    tcp sport { 9280, 9281 } drop comment "capture_to_database"\n`,
    ),
  );
});

Deno.test("tc: a consumer's link is shaped both ways, towards its brokers alone", () => {
  const plan = planTc(
    scenario("consumer_to_brokers", {
      round_trip_ms: 201,
      jitter_ms: 20,
      rate_mbit: 20,
      loss_percent: 1,
    }),
    CONSUMER,
    { netem: true },
  );
  const shaped = (device: string, side: string) => [
    `tc qdisc add dev ${device} root handle 1: htb`,
    `tc class add dev ${device} parent 1: classid 1:10 htb rate 10gbit quantum 200000`,
    `tc qdisc add dev ${device} parent 1:10 handle 10: netem delay 100.5ms 10ms loss 1% rate 20mbit limit 100000`,
    `tc filter add dev ${device} parent 1: protocol ip prio 1 u32 match ip ${side} 10.0.0.1/32 flowid 1:10`,
  ];
  assert.equal(
    scriptOf(plan),
    [
      "#!/bin/sh -e",
      "# load_module",
      "modprobe sch_netem || true # it may be built in",
      "modprobe ifb || true # it may be built in",
      "# remove",
      "tc qdisc del dev eth0 root 2>/dev/null || true",
      "tc qdisc del dev eth0 ingress 2>/dev/null || true",
      "ip link del ifb-netem 2>/dev/null || true",
      "# add_latency",
      ...shaped("eth0", "dst"),
      "ip link add ifb-netem type ifb",
      "ip link set ifb-netem up",
      "tc qdisc add dev eth0 handle ffff: ingress",
      "tc filter add dev eth0 parent ffff: protocol ip prio 1 u32 match u32 0 0 action mirred egress redirect dev ifb-netem",
      ...shaped("ifb-netem", "src"),
      "",
    ].join("\n"),
  );
});

Deno.test("tc: a broker delays what goes to its peers, which do the same for it", () => {
  const host: TcHost = { ...CONSUMER, at: "broker", brokers: ["10.0.0.2", "10.0.0.3"] };
  const plan = planTc(loadScenario("brokers-20ms"), host, { netem: true });
  assert.deepEqual(plan.add_latency, []);
  assert.deepEqual(plan.add_latency_broker.map((words) => words.join(" ")), [
    "tc qdisc add dev eth0 root handle 1: htb",
    "tc class add dev eth0 parent 1: classid 1:10 htb rate 10gbit quantum 200000",
    "tc qdisc add dev eth0 parent 1:10 handle 10: netem delay 10ms limit 100000",
    "tc filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.0.0.2/32 flowid 1:10",
    "tc filter add dev eth0 parent 1: protocol ip prio 1 u32 match ip dst 10.0.0.3/32 flowid 1:10",
  ]);
});

Deno.test("tc: two links of one host have a class each; a link that is cut loses all", () => {
  const both: Scenario = {
    file: "netem/test.yaml",
    description: "A test.",
    links: { capture_to_database: { round_trip_ms: 200 }, capture_to_brokers: CUT },
  };
  const host: TcHost = { ...CONSUMER, at: "capture", databases: ["10.0.0.9"] };
  const queues = (cut: LinkName[]) =>
    planTc(both, host, { netem: true }, new Set(cut)).add_latency.map((words) => words.join(" "))
      .filter((line) => line.includes("netem") && line.includes("dev eth0 parent 1:"));
  assert.deepEqual(queues(["capture_to_brokers"]), [
    "tc qdisc add dev eth0 parent 1:10 handle 10: netem loss 100% limit 100000",
    "tc qdisc add dev eth0 parent 1:20 handle 20: netem delay 100ms limit 100000",
  ]);
});

Deno.test("tc: without netem a rate is made by tbf, and all else is refused", () => {
  const rate = scenario("consumer_to_brokers", { rate_mbit: 20 });
  const plan = planTc(rate, CONSUMER, { netem: false });
  assert.deepEqual(plan.load_module, [["modprobe", "ifb"]]);
  assert.ok(
    plan.add_latency.some((words) =>
      words.join(" ") ===
        "tc qdisc add dev eth0 parent 1:10 handle 10: tbf rate 20mbit burst 128kb latency 500ms"
    ),
    scriptOf(plan),
  );
  const why = "cannot be made by tc: this kernel has no netem, and tbf knows a rate alone.";
  assertRefused(
    () => planTc(loadScenario("consumer-20mbit-800ms"), CONSUMER, { netem: false }),
    `netem/consumer-20mbit-800ms.yaml: consumer_to_brokers.round_trip_ms (800) ${why}`,
    /--backend toxiproxy, or a kernel with the module sch_netem/,
  );
  assertRefused(
    () => planTc(loadScenario("lossy"), CONSUMER, { netem: false }),
    `netem/lossy.yaml: consumer_to_brokers.loss_percent (5) ${why}`,
    /--backend nft/,
  );
});

Deno.test("tc: a host without the scenario's links, or without addresses, is refused", () => {
  assertRefused(
    () => planTc(loadScenario("brokers-20ms"), CONSUMER, { netem: true }),
    "netem/brokers-20ms.yaml says nothing of a link that begins at a consumer.",
    /it is about between_brokers: choose another --at/,
  );
  assertRefused(
    () => planTc(loadScenario("database-200ms"), { ...CONSUMER, at: "capture" }, { netem: true }),
    "capture_to_database needs the addresses of its other end.",
    /give --databases ADDRESS/,
  );
});

Deno.test("loss is refused by Toxiproxy; delay and rate by nft; each names what can", () => {
  assertRefused(
    () => planToxics(loadScenario("lossy"), WAYS),
    "netem/lossy.yaml: between_brokers.loss_percent (5) cannot be made by toxiproxy: it passes " +
      "streams on, in which no packet is lost.",
    /--backend nft, .* or --backend tc/,
  );
  assertRefused(
    () => planRules(loadScenario("brokers-20ms"), WAYS),
    "netem/brokers-20ms.yaml: between_brokers.round_trip_ms (20) cannot be made by nft: it drops " +
      "packets and cannot hold them back.",
    /--backend toxiproxy; or --backend tc/,
  );
  assertRefused(
    () => planRules(scenario("between_brokers", { rate_mbit: 20 }), WAYS),
    "netem/test.yaml: between_brokers.rate_mbit (20) cannot be made by nft: what it drops above a " +
      "rate is no queue, as a link has one.",
    /--backend toxiproxy or --backend tc/,
  );
});
