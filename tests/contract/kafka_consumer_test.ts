/** What keeps a consumer going while the cluster around it changes, for every client, on real brokers. */
import { deepEqual, ok } from "node:assert/strict";
import { Buffer } from "node:buffer";
import { clients, openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import {
  type Admin,
  type Consumer,
  type InBatch,
  type KafkaClient,
  type OutRecord,
  partitionId,
  type TopicPartition,
} from "../../shared/kafka/port.ts";
import { createLog } from "../../shared/observe/log.ts";
import { keptBatch } from "./kept_batch.ts";
import { testStack } from "../stack.ts";
import { until as waitUntil } from "../until.ts";

type Name = keyof typeof clients;

const names = Object.keys(clients) as Name[];
const { brokers } = testStack().kafka;
const run = `contract.consumer.${crypto.randomUUID().slice(0, 8)}`;
/** Above the deadline: a member that is left behind shows as a group that does not go on. */
const SESSION_MS = 60_000;

const lines: string[] = [];
const log = createLog({
  job: "contract",
  format: "text",
  level: "debug",
  write: (line) => lines.push(line),
  now: Date.now,
});

let made = 0;
function fresh(what: string): string {
  return `${run}.${++made}.${what}`;
}

function open(client: Name): Promise<KafkaClient> {
  const options = { ...kafkaOptions.parse({ brokers, client }), fetch_wait_ms: 100 };
  return openKafka(options, log);
}

async function withTopics(
  client: Name,
  partitions: number,
  body: (kafka: KafkaClient, admin: Admin, topics: [string, string]) => Promise<void>,
): Promise<void> {
  lines.length = 0;
  const kafka = await open(client);
  const admin = await kafka.admin();
  const topics: [string, string] = [fresh("a"), fresh("b")];
  try {
    await create(admin, topics[0], partitions);
    await body(kafka, admin, topics);
  } finally {
    await admin.deleteTopics(topics);
    await admin.close();
  }
}

function create(admin: Admin, name: string, partitions: number): Promise<void> {
  return admin.createTopics([{ name, partitions, replication_factor: 3, config: {} }]);
}

async function send(
  kafka: KafkaClient,
  batches: readonly (TopicPartition & { readonly records: readonly OutRecord[] })[],
): Promise<void> {
  const fence = { partitions: [], ids: [] };
  const producer = await kafka.producer({ transactional_id: fresh("producer"), fence });
  try {
    for (const batch of batches) await producer.send([batch]);
  } finally {
    await producer.close();
  }
}

function record(value: string): OutRecord {
  return { key: "k", value, timestamp_ms: 1_795_255_200_123 };
}

/** Waits, and shows the client's last log lines when it was in vain. */
function until(what: string, holds: () => boolean): Promise<unknown> {
  return waitUntil(() =>
    `${what}
${lines.slice(-30).join("")}`, holds);
}

/** A consumer that remembers in which order it was told what. */
class Witness {
  readonly owned = new Set<string>();
  readonly batches: InBatch[] = [];
  /** What broke the contract of the handlers. */
  readonly wrong: string[] = [];
  consumer!: Consumer;

  async open(kafka: KafkaClient, topics: readonly string[], group_id: string): Promise<this> {
    this.consumer = await kafka.consumer({
      group_id,
      topics,
      auto_offset_reset: "earliest",
      session_timeout_ms: SESSION_MS,
      fetch_bytes: 1 << 10,
      handlers: {
        assigned: async (partitions) => {
          for (const id of partitions.map(partitionId)) {
            if (this.owned.has(id)) this.wrong.push(`${id} was assigned twice`);
            this.owned.add(id);
          }
          await new Promise((resolve) => setTimeout(resolve, 50));
          return partitions.map((at) => this.#next(at));
        },
        revoked: async (partitions) => {
          for (const id of partitions.map(partitionId)) {
            if (!this.owned.delete(id)) this.wrong.push(`${id} was revoked and not assigned`);
          }
        },
        batch: async (batch) => {
          const id = partitionId(batch);
          if (!this.owned.has(id)) this.wrong.push(`a batch of ${id}, which is not assigned`);
          this.batches.push(keptBatch(batch));
        },
        failed: (error) => this.wrong.push(`failed: ${error}`),
        outOfRange: async (_at, _asked, first) => first,
      },
    });
    return this;
  }

  values(topic: string): string[] {
    return this.batches.filter((batch) => batch.topic === topic).flatMap(({ records }) => records)
      .map(({ value }) => Buffer.from(value!).toString());
  }

  #next(at: TopicPartition): number | undefined {
    return this.batches.findLast((batch) => partitionId(batch) === partitionId(at))?.next_offset;
  }
}

for (const client of names) {
  const test = (what: string, body: () => Promise<void>) => Deno.test(`${client}: ${what}`, body);

  test("offsets asked for while a topic comes are told when its leaders are there", () =>
    withTopics(client, 3, async (kafka, admin, [, later]) => {
      const other = await kafka.admin();
      try {
        const asked = Array.from({ length: 6 }, () => other.offsets(later));
        const answers = Promise.all(asked);
        answers.catch(() => {}); // told below
        await until("a refusal", () => lines.some((line) => line.includes("kafka_retry")));
        await create(admin, later, 3);
        for (const answer of await answers) deepEqual(answer, Array(3).fill({ first: 0, end: 0 }));
      } finally {
        await other.close();
      }
    }));

  const { capabilities } = await open(client);
  if (capabilities.fair_fetches) {
    test("a batch larger than a fetch comes though another partition always has news", () =>
      withTopics(client, 6, async (kafka, _admin, [topic]) => {
        const busy = Array.from({ length: 300 }, (_, partition) => ({
          topic,
          partition: partition % 3,
          records: [record(noise(500))],
        }));
        // The other three have the same leaders, and come later in the order of partitions.
        const large = [3, 4, 5].map((partition) => ({
          topic,
          partition,
          records: Array.from({ length: 20 }, () => record(noise(5_000))),
        }));
        await send(await open("builtin"), [...busy, ...large]);
        const witness = await new Witness().open(kafka, [topic], fresh("group"));
        await until("all records", () => witness.values(topic).length === 360);
        await witness.consumer.close();
        const places = large.map(({ partition }) =>
          witness.batches.findIndex((batch) => batch.partition === partition)
        );
        ok(
          Math.max(...places) < 60,
          `the large batches came as number ${places} of ${witness.batches.length}`,
        );
        deepEqual(witness.wrong, []);
      }));
  }

  test("a topic that a broker did not know when the group met is read soon after it comes", () =>
    withTopics(client, 3, async (kafka, admin, [topic, later]) => {
      const witness = await new Witness().open(kafka, [topic, later], fresh("group"));
      await until(
        "the assignment, or a refusal",
        () => witness.owned.size === 3 || lines.some((line) => line.includes("kafka_retry")),
      );
      await create(admin, later, 3);
      await until("the new topic's partitions", () => witness.owned.size === 6);
      await witness.consumer.close();
      deepEqual(witness.wrong, []);
    }));

  test("a consumer that is closed while it joins leaves nobody behind in the group", () =>
    withTopics(client, 3, async (kafka, _admin, [topic]) => {
      const group = fresh("group");
      const stays = await new Witness().open(kafka, [topic], group);
      await until("the assignment", () => stays.owned.size === 3);
      // At every step of joining, which takes some milliseconds; kafkajs closes only when it is done.
      const step_ms = client === "kafkajs" ? 10 : 0.25;
      for (let wait_ms = 0; wait_ms < 20; wait_ms += step_ms) {
        const leaves = await new Witness().open(kafka, [topic], group);
        await new Promise((resolve) => setTimeout(resolve, wait_ms));
        await leaves.consumer.close();
        deepEqual(leaves.wrong, []);
      }
      const comes = await new Witness().open(kafka, [topic], group);
      await until("a share", () => comes.owned.size > 0 && stays.owned.size > 0);
      await Promise.all([stays, comes].map(({ consumer }) => consumer.close()));
      deepEqual([stays.wrong, comes.wrong], [[], []]);
    }));

  test("a topic made anew while it is read is given up before it is assigned again", () =>
    withTopics(client, 3, async (kafka, admin, [topic]) => {
      const witness = await new Witness().open(kafka, [topic], fresh("group"));
      await until("the assignment", () => witness.owned.size === 3);
      await admin.deleteTopics([topic]);
      await create(admin, topic, 3);
      const news = [0, 1, 2].map((partition) => ({ topic, partition, records: [record("new")] }));
      await send(await open("builtin"), news);
      await until("the new records", () => witness.values(topic).length === 3);
      await witness.consumer.close();
      deepEqual(witness.wrong, []);
    }));
}

/** Text that no codec makes smaller. */
function noise(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(Math.ceil(length * 3 / 4)));
  return Buffer.from(bytes).toString("base64").slice(0, length);
}
