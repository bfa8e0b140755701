/** Puts changes on Kafka as a capture does, and knows what a consumer must make of them. */
import assert from "node:assert/strict";
import { Kafka, logLevel } from "kafkajs";
import type { Change, Row } from "../../shared/change.ts";
import { type FormatName, formats } from "../../shared/formats/mod.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../shared/kafka/options.ts";
import type { Admin, OutRecord, Producer } from "../../shared/kafka/port.ts";
import { createLog } from "../../shared/observe/log.ts";
import { schemaBatch, schemasTopic } from "../../shared/pipeline/schemas.ts";
import { Random } from "../../shared/seed/random.ts";
import { type CsvOptions, csvOptions } from "../../shared/sinks/csv/options.ts";
import { csvFiles } from "../../shared/sinks/csv/files.ts";
import { partitionFor } from "../../shared/wire/murmur2.ts";
import { encoded } from "../encoded.ts";
import { testStack } from "../stack.ts";
import { change, table } from "../unit/sinks/fixtures.ts";
import { parse } from "csv-parse/sync";

const silent = createLog({ job: "test", write: () => {}, now: () => 0 });

/** A topic of the test's own, and what was sent to it. */
export class Feed {
  readonly topic: string;
  readonly #partitions: number;
  readonly #admin: Admin;
  #producer: Producer;
  readonly #format: FormatName;
  readonly #random = new Random(7);
  readonly #rows = new Map<number, Row>();
  #count = 0;
  /** What the files must hold: `operation op position`, once each. */
  readonly expected: string[] = [];

  private constructor(
    topic: string,
    partitions: number,
    admin: Admin,
    producer: Producer,
    format: FormatName,
  ) {
    this.topic = topic;
    this.#partitions = partitions;
    this.#admin = admin;
    this.#producer = producer;
    this.#format = format;
  }

  /** Makes a topic whose name begins with `name`. */
  static async open(
    name: string,
    { format = "json" as FormatName, partitions = 3 } = {},
  ): Promise<Feed> {
    const kafka = await openKafka(connection(), silent);
    const admin = await kafka.admin();
    const topic = `test.consume.${name}.${crypto.randomUUID().slice(0, 8)}`;
    await admin.createTopics([
      schemasTopic(3),
      { name: topic, partitions, replication_factor: 3, config: {} },
    ]);
    const producer = await kafka.producer({
      transactional_id: topic,
      fence: { partitions: [], ids: [] },
    });
    await producer.send([schemaBatch(change(0, "c", {}).source, table, Date.now())]);
    return new Feed(topic, partitions, admin, producer, format);
  }

  get count(): number {
    return this.#count;
  }

  get admin(): Admin {
    return this.#admin;
  }

  /** Sends `count` more changes; `repeat`: some of them again, after later ones. */
  async send(count: number, { repeat = false } = {}): Promise<void> {
    const { format } = await formats[this.#format]();
    const lanes: OutRecord[][] = Array.from({ length: this.#partitions }, () => []);
    for (let sent = 0; sent < count; sent++) {
      const next = this.#next();
      const { key, value } = encoded(format, next);
      const record = { key, value, timestamp_ms: Date.now() };
      lanes[partitionFor(key, this.#partitions)]!.push(record);
    }
    for (const [partition, records] of lanes.entries()) {
      const again = repeat ? records.filter((_, index) => index % 7 === 3) : [];
      await this.sendRecords(partition, [...records, ...again]);
    }
  }

  async sendRecords(partition: number, records: readonly OutRecord[]): Promise<void> {
    if (records.length === 0) return;
    await this.#producer.send([{ topic: this.topic, partition, records }]);
  }

  /** Deletes all records that are there now, as retention does. */
  async deleteRecords(): Promise<void> {
    const { topic } = this;
    const { brokers } = testStack().kafka;
    const admin = new Kafka({ brokers, logLevel: logLevel.NOTHING }).admin();
    await admin.connect();
    const ends = await admin.fetchTopicOffsets(topic);
    const partitions = ends.map(({ partition, high }) => ({ partition, offset: high }));
    await admin.deleteTopicRecords({ topic, partitions });
    await admin.disconnect();
  }

  /** Ends every partition with the markers that a restarted capture leaves: nobody delivers those. */
  async fence(): Promise<void> {
    const kafka = await openKafka({ ...connection(), client: "builtin" }, silent);
    const partitions = Array.from({ length: this.#partitions }, (_, partition) => ({
      topic: this.topic,
      partition,
    }));
    await this.#producer.close();
    this.#producer = await kafka.producer({
      transactional_id: this.topic,
      fence: { partitions, ids: [] },
    });
  }

  /** What the group has committed, partition by partition, and where the partitions end. */
  async standings(
    group_id: string,
  ): Promise<{ committed: (number | undefined)[]; ends: number[] }> {
    const committed = await this.#admin.committed(group_id, this.topic);
    const offsets = await this.#admin.offsets(this.topic);
    return { committed, ends: offsets.map(({ end }) => end) };
  }

  async close(): Promise<void> {
    await this.#producer.close();
    await this.#admin.deleteTopics([this.topic]);
    await this.#admin.close();
  }

  #next(): Change {
    const n = ++this.#count;
    const id = 1 + this.#random.below(500);
    const old = this.#rows.get(id);
    const row: Row = [id, `category ${n}`, n % 10 === 0 ? null : `"d", ${n}`];
    const op = old === undefined ? "c" : this.#random.below(3) === 0 ? "d" : "u";
    const rows = { before: old, after: op === "d" ? undefined : row };
    if (op === "d") this.#rows.delete(id);
    else this.#rows.set(id, row);
    const next = change(n, op, rows);
    if (op !== "c") this.expected.push(`deletes ${op} ${next.position}`);
    if (op !== "d") this.expected.push(`inserts ${op} ${next.position}`);
    return next;
  }
}

/** How tests connect. */
export function connection() {
  return kafkaOptions.parse({ brokers: testStack().kafka.brokers });
}

/** A job that brings `feed` into `output`. */
export function csvJob(
  feed: Feed,
  output: string,
  more: Record<string, unknown> = {},
): { name: string; job: string } & Record<string, unknown> {
  return {
    job: "consume-csv",
    name: "csv",
    kafka: { brokers: testStack().kafka.brokers, session_timeout_ms: 6_000 },
    topics: [feed.topic],
    group_id: feed.topic,
    mode: "batch",
    flush_interval_ms: 200,
    sink: { output },
    ...more,
  };
}

/** What the files hold, as `Feed.expected` says it. */
export function found(output: string, topic: string, options: Partial<CsvOptions> = {}): string[] {
  const known = csvOptions.parse({ output, ...options });
  return csvFiles(known, topic).flatMap(({ path, bytes, operation }) => {
    const text = new TextDecoder().decode(Deno.readFileSync(path).subarray(0, bytes));
    const rows: string[][] = parse(text, { from_line: 2, record_delimiter: "\n" });
    return rows.map(([op, position]) => `${operation} ${op} ${position}`);
  });
}

/** Fails with a few of the changes that are missing or stand in the files more than once. */
export function assertOnce(lines: readonly string[], expected: readonly string[]): void {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  const missing = expected.filter((line) => !counts.has(line));
  const known = new Set(expected);
  const wrong = [...counts].filter(([line, count]) => count > 1 || !known.has(line));
  assert.deepEqual(
    { missing: missing.length, first: missing.slice(0, 3), wrong: wrong.slice(0, 3) },
    { missing: 0, first: [], wrong: [] },
    `${lines.length} lines found, ${expected.length} expected`,
  );
}
