/** One suite for every Kafka client, on real brokers. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { Buffer } from "node:buffer";
import kafkajs from "kafkajs";
import { FencedError, RecordError } from "../../shared/errors.ts";
import type { Compression } from "../../shared/kafka/codecs.ts";
import { clients, openKafka } from "../../shared/kafka/mod.ts";
import { type ClientOptions, kafkaOptions } from "../../shared/kafka/options.ts";
import {
  type Admin,
  type Bytes,
  type Consumer,
  type ConsumerHandlers,
  type InBatch,
  type InRecord,
  type KafkaClient,
  type OutRecord,
  partitionId,
  type Producer,
  type TopicPartition,
} from "../../shared/kafka/port.ts";
import { createLog } from "../../shared/observe/log.ts";
import { PackedRecords } from "../../shared/wire/packed_records.ts";
import { keptBatch } from "./kept_batch.ts";
import { testStack } from "../stack.ts";
import { DEADLINE_MS, until as waitUntil } from "../until.ts";

type Name = keyof typeof clients;

const names = Object.keys(clients) as Name[];
const compressions: Compression[] = ["none", "gzip", "snappy", "lz4", "zstd"];
const { brokers } = testStack().kafka;
const run = `contract.kafka.${crypto.randomUUID().slice(0, 8)}`;
/** Short: a member that another test left behind must not hold its group back. */
const SESSION_MS = 6_000;

let made = 0;
function fresh(what: string): string {
  return `${run}.${++made}.${what}`;
}

const lines: string[] = [];
const log = createLog({
  job: "contract",
  format: "text",
  level: "debug",
  write: (line) => lines.push(line),
  now: Date.now,
});

function options(client: Name, more: Partial<ClientOptions> = {}): ClientOptions {
  return { ...kafkaOptions.parse({ brokers, client }), fetch_wait_ms: 100, ...more };
}

function open(client: Name, more: Partial<ClientOptions> = {}): Promise<KafkaClient> {
  return openKafka(options(client, more), log);
}

/** Runs `body` with an admin and a topic, and takes both away again. */
async function withTopic(
  client: Name,
  partitions: number,
  body: (admin: Admin, topic: string, kafka: KafkaClient) => Promise<void>,
): Promise<void> {
  const kafka = await open(client);
  const admin = await kafka.admin();
  const topic = fresh("topic");
  const config = { "min.insync.replicas": "2" };
  try {
    await admin.createTopics([{ name: topic, partitions, replication_factor: 3, config }]);
    await body(admin, topic, kafka);
  } finally {
    await admin.deleteTopics([topic]);
    await admin.close();
  }
}

async function withProducer(
  kafka: KafkaClient,
  body: (producer: Producer) => Promise<void>,
): Promise<void> {
  const fence = { partitions: [], ids: [] };
  const producer = await kafka.producer({ transactional_id: fresh("producer"), fence });
  try {
    await body(producer);
  } finally {
    await producer.close();
  }
}

function record(value: Bytes | null, more: Partial<OutRecord> = {}): OutRecord {
  return { key: "k", value, timestamp_ms: 1_795_255_200_123, ...more };
}

function numbered(count: number, prefix = ""): OutRecord[] {
  return Array.from({ length: count }, (_, index) => record(`${prefix}${index}`));
}

function hex(bytes: Bytes | null): string | null {
  return bytes === null ? null : Buffer.from(bytes as string).toString("hex");
}

function plain(records: readonly (InRecord | OutRecord)[]) {
  return records.map(({ key, value, timestamp_ms, headers }) => ({
    key: hex(key),
    value: hex(value),
    timestamp_ms,
    headers: (headers ?? []).map(([name, content]) => [name, hex(content)]),
  }));
}

function values(records: readonly InRecord[]): string[] {
  return records.map(({ value }) => Buffer.from(value!).toString());
}

async function readAll(admin: Admin, at: TopicPartition): Promise<InRecord[]> {
  const { first, end } = (await admin.offsets(at.topic))[at.partition]!;
  const records: InRecord[] = [];
  for await (const batch of admin.read(at, first, end)) records.push(...batch.records);
  return records;
}

/** Waits, and shows the client's last log lines when it was in vain. */
function until(what: string, holds: () => boolean): Promise<unknown> {
  return waitUntil(() =>
    `${what}
${lines.slice(-15).join("")}`, holds);
}

/** A consumer that remembers what it was told. */
class Reader {
  readonly name: string;
  readonly batches: InBatch[] = [];
  readonly owned = new Set<string>();
  readonly failures: unknown[] = [];
  /** What `assigned` answers, by partition id. */
  readonly start = new Map<string, number>();
  consumer!: Consumer;
  onBatch: (batch: InBatch) => Promise<void> = async () => {};
  onRevoked: (partitions: readonly TopicPartition[]) => Promise<void> = async () => {};
  onLost: ConsumerHandlers["outOfRange"] = async () => {
    throw new Error("outOfRange was not expected");
  };

  constructor(name = "reader") {
    this.name = name;
  }

  async open(kafka: KafkaClient, topic: string, group_id = fresh("group")): Promise<this> {
    this.consumer = await kafka.consumer({
      group_id,
      topics: [topic],
      auto_offset_reset: "earliest",
      session_timeout_ms: SESSION_MS,
      fetch_bytes: 1 << 20,
      handlers: {
        assigned: async (partitions) => {
          partitions.forEach((at) => this.owned.add(partitionId(at)));
          // As a sink does: where it stands wins, and a leader's move may bring an assignment anew.
          return partitions.map((at) => this.next(at) || this.start.get(partitionId(at)));
        },
        revoked: async (partitions) => {
          await this.onRevoked(partitions);
          partitions.forEach((at) => this.owned.delete(partitionId(at)));
        },
        batch: async (batch) => {
          this.batches.push(keptBatch(batch));
          await this.onBatch(batch);
        },
        failed: (error) => this.failures.push(error),
        outOfRange: (at, asked, first, end) => this.onLost(at, asked, first, end),
      },
    });
    return this;
  }

  get records(): InRecord[] {
    return this.batches.flatMap(({ records }) => records);
  }

  next(at: TopicPartition): number {
    const mine = this.batches.filter((batch) => partitionId(batch) === partitionId(at));
    return mine.at(-1)?.next_offset ?? 0;
  }
}

for (const client of names) {
  const test = (what: string, body: () => Promise<void>) =>
    Deno.test(`${client}: ${what}`, async () => {
      lines.length = 0;
      await body();
    });

  test("a topic is made with its settings, has an id, and another one when made anew", () =>
    withTopic(client, 3, async (admin, topic) => {
      const [before] = await admin.topics((name) => name === topic);
      deepEqual({ ...before, id: "" }, {
        name: topic,
        id: "",
        partitions: 3,
        replication_factor: 3,
      });
      equal((await admin.topicConfig(topic)).get("min.insync.replicas"), "2");
      deepEqual(await admin.offsets(topic), Array(3).fill({ first: 0, end: 0 }));
      deepEqual([...await admin.brokers()].sort(), [...brokers].sort());
      await admin.deleteTopics([topic]);
      await admin.createTopics([{
        name: topic,
        partitions: 1,
        replication_factor: 3,
        config: {},
      }]);
      const [after] = await admin.topics((name) => name === topic);
      equal(after!.partitions, 1);
      ok(before!.id !== "" && before!.id !== after!.id, `${before!.id} and ${after!.id}`);
    }));

  test("creating a topic that exists leaves it as it is", () =>
    withTopic(client, 2, async (admin, topic) => {
      await admin.createTopics([{
        name: topic,
        partitions: 5,
        replication_factor: 3,
        config: {},
      }]);
      equal((await admin.topics((name) => name === topic))[0]!.partitions, 2);
    }));

  test("rights are told: all of them where the brokers have no ACLs; asking makes nothing", () =>
    withTopic(client, 1, async (admin, topic) => {
      const held = await admin.rights("topic", topic);
      deepEqual([...held!], ["Read", "Write", "Create", "Describe", "DescribeConfigs"]);
      const absent = `${topic}.${"x".repeat(200)}`.slice(0, 249);
      equal(await admin.rights("topic", absent), undefined);
      ok((await admin.rights("group", fresh("group")))!.has("Read"));
      ok((await admin.rights("transactional-id", fresh("producer")))!.has("Describe"));
      equal(await admin.mayCreate(absent), true);
      deepEqual(await admin.topics((name) => name === absent), []);
    }));

  test("acknowledged offsets follow the records, batch by batch and partition by partition", () =>
    withTopic(client, 2, async (admin, topic, kafka) => {
      await withProducer(kafka, async (producer) => {
        const sent = await producer.send([
          { topic, partition: 0, records: numbered(3) },
          { topic, partition: 1, records: numbered(5) },
          { topic, partition: 0, records: numbered(2, "more ") },
        ]);
        deepEqual(sent, [
          { topic, partition: 0, next_offset: 3 },
          { topic, partition: 1, next_offset: 5 },
          { topic, partition: 0, next_offset: 5 },
        ]);
        const [again] = await producer.send([{ topic, partition: 0, records: numbered(1) }]);
        equal(again!.next_offset, 6);
      });
      deepEqual(await admin.offsets(topic), [{ first: 0, end: 6 }, { first: 0, end: 5 }]);
      deepEqual(values(await readAll(admin, { topic, partition: 0 })), [
        ..."012",
        "more 0",
        "more 1",
        "0",
      ]);
    }));

  test("keys, values and headers come back byte for byte", () =>
    withTopic(client, 1, async (admin, topic, kafka) => {
      const records = [
        record("text"),
        record(null),
        record("", { key: "" }),
        record("日本語 🐘 \u0000 é", { key: "ключ" }),
        record(Uint8Array.from({ length: 256 }, (_, byte) => byte), { key: new Uint8Array([0]) }),
        record("x".repeat(900_000)),
        record("h", { headers: [["a", "1"], ["b", new Uint8Array([255, 0])], ["leer", ""]] }),
        record("old", { timestamp_ms: 0 }),
      ];
      await withProducer(kafka, async (producer) => {
        await producer.send([{ topic, partition: 0, records }]);
      });
      deepEqual(plain(await readAll(admin, { topic, partition: 0 })), plain(records));
    }));

  test("a send larger than a batch may be is cut and arrives whole and in order", () =>
    withTopic(client, 1, async (admin, topic, kafka) => {
      const records = Array.from(
        { length: 300 },
        (_, index) => record(`${index} ${noise(20_000)}`),
      );
      await withProducer(kafka, async (producer) => {
        const [end] = await producer.send([{ topic, partition: 0, records }]);
        equal(end!.next_offset, 300);
      });
      const read = values(await readAll(admin, { topic, partition: 0 }));
      deepEqual(read.map((text) => text.split(" ")[0]), numbered(300).map(({ value }) => value));
    }));

  test("what is prepared while a send is in flight follows it, of any size", () =>
    withTopic(client, 2, async (admin, topic, kafka) => {
      const sends = [3, 40, 200, 1].map((count, send) =>
        Array.from({ length: count }, (_, index) => record(`${send}:${index} ${noise(20_000)}`))
      );
      await withProducer(kafka, async (producer) => {
        let sending: Promise<unknown> = Promise.resolve();
        for (const records of sends) {
          const packed = PackedRecords.of(records);
          const batches = [0, 1].map((partition) => ({ topic, partition, records: packed }));
          producer.prepare(batches);
          await sending;
          sending = producer.send(batches);
        }
        await sending;
      });
      for (const partition of [0, 1]) {
        deepEqual(plain(await readAll(admin, { topic, partition })), plain(sends.flat()));
      }
    }));

  test("a batch that the broker calls too large is split, prepared or not", () =>
    withTopic(client, 1, async (admin, topic) => {
      const kafka = await open(client, { compression: "none", batch_bytes: 4 << 20 });
      const records = PackedRecords.of(
        Array.from({ length: 9 }, (_, index) => record(`${index}${noise(300_000)}`)),
      );
      await withProducer(kafka, async (producer) => {
        for (const end_offset of [9, 18]) {
          const [end] = await producer.send([{ topic, partition: 0, records }]);
          equal(end!.next_offset, end_offset);
          producer.prepare([{ topic, partition: 0, records }]);
        }
        await producer.send([{ topic, partition: 0, records: numbered(1) }]);
      });
      const read = values(await readAll(admin, { topic, partition: 0 }));
      deepEqual(read.map((text) => text[0]), [..."012345678", ..."012345678", "0"]);
    }));

  test("a record larger than the topic takes is a RecordError that says how to mend it", () =>
    withTopic(client, 1, async (_admin, topic, kafka) => {
      await withProducer(kafka, async (producer) => {
        const records = [record("small"), record(noise(1_500_000))];
        await rejects(
          producer.send([{ topic, partition: 0, records }]),
          (error) =>
            error instanceof RecordError && /MESSAGE_TOO_LARGE/.test(error.message) &&
            /max\.message\.bytes/.test(error.cure ?? ""),
        );
      });
    }));

  test("who asks is told of a record that is too large, and what stands before it is written alone", () =>
    withTopic(client, 2, async (admin, topic, kafka) => {
      const options = { transactional_id: topic, fence: { partitions: [], ids: [] } };
      const producer = await kafka.producer({ ...options, tells_too_large: true });
      try {
        const large = record(noise(1_500_000));
        const [first, other] = await producer.send([
          { topic, partition: 0, records: [...numbered(2), large, ...numbered(1, "behind ")] },
          { topic, partition: 1, records: numbered(3) },
        ]);
        equal(first!.next_offset, 2);
        equal(first!.too_large?.index, 2);
        ok(first!.too_large?.error instanceof RecordError);
        deepEqual(other, { topic, partition: 1, next_offset: 3 });
        const [again] = await producer.send([{ topic, partition: 0, records: [large] }]);
        deepEqual([again!.next_offset, again!.too_large?.index], [-1, 0]);
        const rest = { topic, partition: 0, records: numbered(1, "behind ") };
        deepEqual(await producer.send([rest]), [{ topic, partition: 0, next_offset: 3 }]);
      } finally {
        await producer.close();
      }
      deepEqual(values(await readAll(admin, { topic, partition: 0 })), ["0", "1", "behind 0"]);
    }));

  test("a range is read from its first offset to the one before its end", () =>
    withTopic(client, 1, async (admin, topic, kafka) => {
      const at = { topic, partition: 0 };
      await withProducer(kafka, async (producer) => {
        await producer.send([{ ...at, records: numbered(50) }]);
      });
      const read: InBatch[] = [];
      for await (const batch of admin.read(at, 10, 20)) read.push(batch);
      deepEqual(
        read.flatMap(({ records }) => records.map(({ offset }) => offset)),
        Array.from({ length: 10 }, (_, index) => 10 + index),
      );
      equal(read.at(-1)!.next_offset, 20);
      deepEqual(await Array.fromAsync(admin.read(at, 50, 50)), []);
    }));

  test("a consumer begins at the offsets it is told, else where the topic begins", () =>
    withTopic(client, 2, async (_admin, topic, kafka) => {
      await withProducer(kafka, async (producer) => {
        await producer.send([0, 1].map((partition) => ({
          topic,
          partition,
          records: numbered(10, `${partition}:`),
        })));
      });
      const reader = new Reader();
      reader.start.set(`${topic}/1`, 7);
      await reader.open(kafka, topic);
      await until("13 records", () => reader.records.length >= 13);
      deepEqual(values(reader.records).sort(), [
        ...numbered(10, "0:").map(({ value }) => value as string),
        "1:7",
        "1:8",
        "1:9",
      ]);
      for (const { end_offset } of reader.batches) equal(end_offset, 10);
      await reader.consumer.close();
      deepEqual([...reader.owned], []);
      deepEqual(reader.failures, []);
    }));

  test("no batch of a partition comes before the last one is done", () =>
    withTopic(client, 1, async (_admin, topic, kafka) => {
      await withProducer(kafka, async (producer) => {
        for (let i = 0; i < 5; i++) {
          const records = Array.from({ length: 20 }, () => record(noise(40_000)));
          await producer.send([{ topic, partition: 0, records }]);
        }
      });
      const reader = new Reader();
      let atWork = 0;
      let most = 0;
      reader.onBatch = async () => {
        most = Math.max(most, ++atWork);
        await new Promise((resolve) => setTimeout(resolve, 20));
        atWork--;
      };
      await reader.open(kafka, topic);
      await until("100 records", () => reader.records.length >= 100);
      equal(most, 1);
      ok(reader.batches.length > 1, "the bound of a fetch cuts 4 MB into several batches");
      deepEqual(
        reader.records.map(({ offset }) => offset),
        Array.from({ length: 100 }, (_, index) => index),
      );
      await reader.consumer.close();
    }));

  test("a paused partition is silent until it is resumed; a sought one goes on from there", () =>
    withTopic(client, 2, async (_admin, topic, kafka) => {
      const silent = { topic, partition: 0 };
      const reader = await new Reader().open(kafka, topic);
      await until("an assignment", () => reader.owned.size === 2);
      await withProducer(kafka, async (producer) => {
        await producer.send([{ ...silent, records: numbered(1) }]);
        await until("a batch", () => reader.records.length === 1);
        reader.consumer.pause([silent]);
        await producer.send([0, 1].map((partition) => ({
          topic,
          partition,
          records: numbered(3, `${partition}:`),
        })));
        await until("the other partition", () => reader.next({ topic, partition: 1 }) === 3);
        deepEqual(values(reader.records).filter((value) => value.startsWith("0:")), []);
        reader.consumer.resume([silent]);
        await until("the resumed partition", () => reader.next(silent) === 4);
        reader.consumer.seek(silent, 2);
        await producer.send([{ ...silent, records: numbered(1, "last ") }]);
        await until("the sought records", () => reader.records.length === 10);
        deepEqual(
          reader.batches.filter(({ partition }) => partition === 0)
            .flatMap(({ records }) => records.map(({ offset }) => offset)),
          [0, 1, 2, 3, 2, 3, 4],
        );
      });
      await reader.consumer.close();
    }));

  test("a committed offset is where the next member begins", () =>
    withTopic(client, 1, async (admin, topic, kafka) => {
      const at = { topic, partition: 0 };
      const group = fresh("group");
      await withProducer(kafka, async (producer) => {
        await producer.send([{ ...at, records: numbered(5) }]);
      });
      deepEqual(await admin.committed(group, topic), [undefined]);
      const first = await new Reader("first").open(kafka, topic, group);
      await until("5 records", () => first.records.length === 5);
      await first.consumer.commit([{ ...at, next_offset: 3 }]);
      await first.consumer.close();
      deepEqual(await admin.committed(group, topic), [3]);
      const second = await new Reader("second").open(kafka, topic, group);
      await until("2 records", () => second.records.length === 2);
      deepEqual(values(second.records), ["3", "4"]);
      await second.consumer.close();
      await admin.deleteGroups([group]);
      deepEqual(await admin.committed(group, topic), [undefined]);
    }));

  test("an offset that is gone is asked about, and reading goes on where the answer says", () =>
    withTopic(client, 1, async (_admin, topic, kafka) => {
      const at = { topic, partition: 0 };
      await withProducer(kafka, async (producer) => {
        await producer.send([{ ...at, records: numbered(4) }]);
      });
      const reader = new Reader();
      const asked: unknown[] = [];
      reader.start.set(partitionId(at), 1_000);
      reader.onLost = async (at, offset, first, end) => {
        asked.push([partitionId(at), offset, first, end]);
        return 2;
      };
      await reader.open(kafka, topic);
      await until("2 records", () => reader.records.length === 2);
      deepEqual(asked, [[partitionId(at), 1_000, 0, 4]]);
      deepEqual(values(reader.records), ["2", "3"]);
      await reader.consumer.close();
    }));

  test("a handler's error is told once, and no further batch comes", () =>
    withTopic(client, 1, async (_admin, topic, kafka) => {
      const wrong = new Error("disk full");
      const reader = new Reader();
      reader.onBatch = () => Promise.reject(wrong);
      await reader.open(kafka, topic);
      await withProducer(kafka, async (producer) => {
        await producer.send([{ topic, partition: 0, records: numbered(1) }]);
        await until("the failure", () => reader.failures.length === 1);
        await producer.send([{ topic, partition: 0, records: numbered(1) }]);
      });
      await reader.consumer.close();
      deepEqual(reader.failures, [wrong]);
      equal(reader.batches.length, 1);
    }));

  for (const other of names) {
    test(`partitions go over to ${other} only when their owner has let go`, () =>
      withTopic(client, 4, (_admin, topic, kafka) => handOver(kafka, other, topic)));

    test(`what it writes in every compression is read by ${other}, alone and in a group`, () =>
      withTopic(client, 1, (_admin, topic) => crosswise(client, other, topic)));
  }

  test("a control record at the end of a partition moves the next offset past it", () =>
    withTopic(client, 1, async (admin, topic, kafka) => {
      const at = { topic, partition: 0 };
      const builtin = await open("builtin");
      await withProducer(kafka, async (producer) => {
        await producer.send([{ ...at, records: numbered(2) }]);
      });
      const marker = { partitions: [at], ids: [] };
      const fencing = await builtin.producer({
        transactional_id: fresh("fence"),
        fence: marker,
      });
      await fencing.close();
      deepEqual(await admin.offsets(topic), [{ first: 0, end: 3 }]);
      const batches = await Array.fromAsync(admin.read(at, 0, 3));
      deepEqual(values(batches.flatMap(({ records }) => records)), ["0", "1"]);
      equal(batches.at(-1)!.next_offset, 3);
      const reader = new Reader();
      reader.start.set(partitionId(at), 2);
      await reader.open(kafka, topic);
      await until("the end", () => reader.next(at) === 3);
      deepEqual(reader.records, []);
      await reader.consumer.close();
    }));

  test("a producer that opens with the capability to fence shuts the older ones out", () =>
    withTopic(client, 2, async (admin, topic, kafka) => {
      const partitions = [0, 1].map((partition) => ({ topic, partition }));
      const ids = [fresh("old"), fresh("other"), fresh("new")];
      const [old, other] = await Promise.all(
        ids.slice(0, 2).map((transactional_id) =>
          kafka.producer({ transactional_id, fence: { partitions, ids: [] } })
        ),
      );
      const at = partitions[0]!;
      await old!.send([{ ...at, records: numbered(1, "old ") }]);
      await other!.send([{ ...at, records: numbered(1, "other ") }]);
      const successor = await kafka.producer({
        transactional_id: ids[2]!,
        fence: { partitions, ids: ids.slice(0, 2) },
      });
      const [tail] = await admin.offsets(topic);
      for (const producer of [old!, other!]) {
        const late = producer.send([{ ...at, records: numbered(1, "late ") }]);
        if (kafka.capabilities.fences) await rejects(late, FencedError);
        else await late;
      }
      if (kafka.capabilities.fences) deepEqual((await admin.offsets(topic))[0], tail);
      const [sent] = await successor.send([{ ...at, records: numbered(1, "new ") }]);
      equal(sent!.next_offset, (await admin.offsets(topic))[0]!.end);
      const expected = kafka.capabilities.fences ? [] : ["late 0", "late 0"];
      deepEqual(values(await readAll(admin, at)), ["old 0", "other 0", ...expected, "new 0"]);
      await Promise.all([old!, other!, successor].map((producer) => producer.close()));
    }));

  test("a leader that moves in the middle loses nothing and doubles nothing", () =>
    withTopic(client, 1, async (admin, topic) => {
      const kafka = await open(client, { batch_bytes: 1_024 }); // several batches a send
      const at = { topic, partition: 0 };
      const reader = await new Reader().open(kafka, topic);
      let sent = 0;
      await withProducer(kafka, async (producer) => {
        const send = async () => {
          await producer.send([{ ...at, records: numbered(100, `${sent++}:`) }]);
        };
        for (let i = 0; i < 20; i++) await send();
        const moved = moveLeader(topic);
        let done = false;
        moved.finally(() => done = true);
        while (!done) await send();
        await moved;
        for (let i = 0; i < 20; i++) await send();
      });
      const expected = Array.from({ length: sent }, (_, send) => numbered(100, `${send}:`))
        .flat().map(({ value }) => value);
      sameOrder(values(await readAll(admin, at)), expected);
      await until("all records", () => reader.records.length >= expected.length);
      sameOrder(values(reader.records), expected);
      await reader.consumer.close();
      deepEqual(reader.failures, []);
    }));

  test("closing ends a send that waits for brokers", () =>
    withTopic(client, 1, async (_admin, topic, kafka) => {
      const producer = await kafka.producer({
        transactional_id: fresh("producer"),
        fence: { partitions: [], ids: [] },
      });
      const sending = producer.send([{ topic, partition: 7, records: numbered(1) }]);
      sending.catch(() => {});
      await until("a retry", () => lines.some((line) => line.includes("kafka_retry")));
      await producer.close();
      await rejects(sending, { name: "RetryableError" });
    }));

  test("brokers that cannot be reached are named with host and port", async () => {
    const kafka = await open(client, { brokers: ["127.0.0.1:1"] });
    await rejects(kafka.admin(), /Kafka broker at 127\.0\.0\.1:1: .*ECONNREFUSED/);
  });

  test("a missing permission is named, with the job's line that grants it", async () => {
    const script = `
      import { openKafka } from ${JSON.stringify(import.meta.resolve("../../shared/kafka/mod.ts"))};
      import { createLog } from ${
      JSON.stringify(import.meta.resolve("../../shared/observe/log.ts"))
    };
      const log = createLog({ job: "t", write: () => {}, now: () => 0 });
      const kafka = await openKafka(${JSON.stringify(options(client))}, log);
      await kafka.admin().catch((error) => console.log(JSON.stringify([error.name, error.message, error.cure])));`;
    const { stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "--quiet",
        "--no-prompt",
        "--allow-env",
        "--allow-read",
        "--config",
        new URL("../../deno.json", import.meta.url).pathname,
        `data:application/typescript,${encodeURIComponent(script)}`,
      ],
    }).output();
    const said = new TextDecoder().decode(stdout);
    ok(said !== "", new TextDecoder().decode(stderr));
    const [name, message, cure] = JSON.parse(said);
    equal(name, "ConfigError");
    ok(
      message.includes(`may not connect to ${brokers.find((at) => message.includes(at))}`),
      message,
    );
    ok(cure.includes("kafka.brokers"), cure);
  });
}

/** Compares long lists, telling the first difference instead of the whole. */
function sameOrder(actual: readonly unknown[], expected: readonly unknown[]): void {
  const at = expected.findIndex((value, index) => actual[index] !== value);
  const here = at === -1 ? expected.length : at;
  deepEqual(
    { length: actual.length, from: here, next: actual.slice(here, here + 5) },
    { length: expected.length, from: here, next: expected.slice(here, here + 5) },
  );
}

/** Takes the partition's leader out of its replicas; resolves when another one leads. */
async function moveLeader(topic: string): Promise<void> {
  const library = new kafkajs.Kafka({ brokers, logLevel: kafkajs.logLevel.NOTHING }).admin();
  await library.connect();
  try {
    const leaderOf = async () => {
      const { topics } = await library.fetchTopicMetadata({ topics: [topic] });
      return topics[0]!.partitions[0]!;
    };
    const { leader, replicas } = await leaderOf();
    await library.alterPartitionReassignments({
      topics: [{
        topic,
        partitionAssignment: [{ partition: 0, replicas: replicas.filter((id) => id !== leader) }],
      }],
    });
    const started = performance.now();
    while ((await leaderOf()).leader === leader) {
      ok(performance.now() - started < DEADLINE_MS, `broker ${leader} still leads ${topic}`);
    }
  } finally {
    await library.disconnect();
  }
}

/** Text that no codec makes smaller. */
function noise(length: number): string {
  const bytes = new Uint8Array(Math.ceil(length * 3 / 4));
  for (let at = 0; at < bytes.length; at += 65_536) {
    crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  }
  return Buffer.from(bytes).toString("base64").slice(0, length);
}

async function crosswise(writer: Name, reader: Name, topic: string): Promise<void> {
  const at = { topic, partition: 0 };
  const sent: OutRecord[] = [];
  for (const compression of compressions) {
    const records = numbered(200, `${compression} ${"abcdef".repeat(50)} `);
    await withProducer(await open(writer, { compression }), async (producer) => {
      await producer.send([{ ...at, records }]);
    });
    sent.push(...records);
  }
  const kafka = await open(reader);
  const admin = await kafka.admin();
  deepEqual(plain(await readAll(admin, at)), plain(sent));
  await admin.close();
  const member = await new Reader().open(kafka, topic);
  await until("all records", () => member.records.length >= sent.length);
  deepEqual(plain(member.records), plain(sent));
  await member.consumer.close();
}

/** Two members of one group: the second gets its share, and no partition ever has two owners. */
async function handOver(kafka: KafkaClient, other: Name, topic: string): Promise<void> {
  const group = fresh("group");
  const [first, second] = [new Reader("first"), new Reader("second")];
  const story: string[] = [];
  let slow = Promise.resolve();
  first.onRevoked = async () => {
    deepEqual([...second.owned], [], "the second member must own nothing yet");
    await slow;
    story.push("let go");
  };
  await first.open(kafka, topic, group);
  await until("all for the first", () => first.owned.size === 4);
  let letGo = () => {};
  slow = new Promise((resolve) => letGo = resolve);
  // A batch is at work while the rebalance begins: it must end before anything is let go.
  let finish = () => {};
  first.onBatch = async () => {
    await new Promise<void>((resolve) => finish = resolve);
    story.push("batch done");
  };
  await withProducer(kafka, async (producer) => {
    await producer.send([{ topic, partition: 0, records: numbered(1) }]);
  });
  await until("a batch at work", () => first.batches.length === 1);
  await second.open(await open(other), topic, group);
  const started = performance.now();
  await until("the second waits while heartbeats come", () => {
    deepEqual([...second.owned], []);
    return performance.now() - started > SESSION_MS + 1_000;
  });
  first.onBatch = async () => {};
  finish();
  await until("the batch is done", () => story.length === 1);
  letGo();
  await until("both have a share", () => first.owned.size === 2 && second.owned.size === 2);
  deepEqual(story, ["batch done", "let go"]);
  deepEqual([...first.owned].filter((id) => second.owned.has(id)), []);
  await second.consumer.close();
  await until("all for the first again", () => first.owned.size === 4);
  slow = Promise.resolve();
  await first.consumer.close();
  deepEqual([first.failures, second.failures], [[], []]);
}
