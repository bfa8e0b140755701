/** A broker that was frozen, and for a while after it goes on does not know that others lead its partitions. */
import assert from "node:assert/strict";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import type { Admin } from "../../shared/kafka/port.ts";
import { BROKERS, Servers } from "../faults/run/servers.ts";
import { SILENT } from "../silent.ts";

const PARTITIONS = [0, 1, 2];
/** How often a client that knows nothing asks, from the moment on at which the broker goes on. */
const LOOKS = 8;

Deno.test("clients that come while a thawed broker still takes itself for a leader are told the true ends", async () => {
  await using servers = await Servers.start(["kafka"]);
  const { brokers } = servers.stack.kafka;
  const open = (addresses: readonly string[]) =>
    openKafka(
      kafkaOptions.parse({ brokers: addresses, request_timeout_ms: 5_000 }),
      SILENT,
    );
  const kafka = await open(brokers);
  const admin = await kafka.admin();
  const producer = await kafka.producer({
    transactional_id: "frozen",
    fence: { partitions: [], ids: [] },
  });
  // One of them is the controller, which learns last that it no longer is.
  for (const [index, name] of BROKERS.entries()) {
    const topic = `frozen-${name}`;
    const config = { "min.insync.replicas": "2" };
    await admin.createTopics([{
      name: topic,
      partitions: PARTITIONS.length,
      replication_factor: 3,
      config,
    }]);
    const send = async (count: number) => {
      const records = Array.from({ length: count }, (_, at) => ({
        key: null,
        value: `${at}`,
        timestamp_ms: Date.now(),
      }));
      await producer.send(PARTITIONS.map((partition) => ({ topic, partition, records })));
    };
    await send(5);
    await servers.freeze(name);
    try {
      await send(100); // taken by those who lead its partitions by then
    } finally {
      await servers.thaw(name);
    }
    const frozen = brokers[index]!;
    const stranger = [frozen, ...brokers.filter((address) => address !== frozen)];
    const told: string[] = [];
    for (let look = 0; look < LOOKS; look++) {
      const admin = await (await open(stranger)).admin();
      told.push(await endsOf(admin, topic));
      await admin.close();
    }
    assert.deepEqual(
      [...new Set(told)],
      ["105, 105, 105"],
      `${name} was frozen; told one after another: ${told.join(" | ")}`,
    );
  }
  await producer.close();
  await admin.close();
});

async function endsOf(admin: Admin, topic: string): Promise<string> {
  return (await admin.offsets(topic)).map(({ end }) => end).join(", ");
}
