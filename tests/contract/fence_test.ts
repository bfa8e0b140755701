/** Brokers forget transactional ids that are not used; these do so after two seconds instead of seven days. */
import { rejects } from "node:assert/strict";
import { freePortOffset } from "../../compose/native/ports.ts";
import { down, STACK_PORTS, up } from "../../compose/native/stack.ts";
import { FencedError, RetryableError } from "../../shared/errors.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import type { KafkaClient, Producer } from "../../shared/kafka/port.ts";
import { SILENT } from "../silent.ts";
import { ownStackName } from "../stack.ts";

const NAME = ownStackName();
const FORGOTTEN_MS = 2_000;
/** By then what was not used is forgotten, and the broker has looked for such several times. */
const LONG_MS = 6_000;
const AT = { topic: "fenced", partition: 0 };

let kafka: KafkaClient;

Deno.test.beforeAll(async () => {
  const info = await up({
    name: NAME,
    port_offset: freePortOffset(STACK_PORTS),
    only: ["kafka"],
    docker: false,
    brokers: {
      "transactional.id.expiration.ms": String(FORGOTTEN_MS),
      "transaction.remove.expired.transaction.cleanup.interval.ms": "500",
    },
  });
  kafka = await openKafka(kafkaOptions.parse({ brokers: info.kafka!.brokers }), SILENT);
  const admin = await kafka.admin();
  await admin.createTopics([
    { name: AT.topic, partitions: 1, replication_factor: 3, config: {} },
  ]);
  await admin.close();
});

Deno.test.afterAll(async () => void await down({ name: NAME, wipe: true, keep_logs: true }));

function open(transactional_id: string): Promise<Producer> {
  return kafka.producer({ transactional_id, fence: { partitions: [AT], ids: [] } });
}

function send(producer: Producer, value: string) {
  return producer.send([{ ...AT, records: [{ key: "k", value, timestamp_ms: Date.now() }] }]);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("a producer that keeps its fence is shut out by its successor, however long it has run", async () => {
  const first = await open("kept");
  await send(first, "before");
  for (const end = Date.now() + LONG_MS; Date.now() < end;) {
    await first.keepFence();
    await send(first, "between");
    await pause(FORGOTTEN_MS / 4);
  }
  const second = await open("kept");
  await rejects(send(first, "late"), FencedError);
  await send(second, "after");
  await Promise.all([first.close(), second.close()]);
});

Deno.test("a producer whose id is forgotten is told so, and another one goes on", async () => {
  const first = await open("forgotten");
  await send(first, "before");
  await pause(LONG_MS);
  await rejects(first.keepFence(), (error: Error) => {
    return error instanceof RetryableError && /INVALID_PRODUCER_ID_MAPPING/.test(error.message);
  });
  await rejects(send(first, "late"), /spent/);
  const second = await open("forgotten");
  await send(second, "after");
  await Promise.all([first.close(), second.close()]);
});
