/**
 * Requests that kafkajs has no public call for, over its own connections: metadata with topic ids, a
 * fetch without a group, and offsets from the leaders as they are now, not as it once learnt them. The module paths are those of the pinned version.
 */
import { Buffer } from "node:buffer";
import Cluster from "kafkajs/src/cluster/index.js";
import { createLogger } from "kafkajs/src/loggers/index.js";
import socketFactory from "kafkajs/src/network/socketFactory.js";
import Encoder from "kafkajs/src/protocol/encoder.js";
import type { Log } from "../../observe/log.ts";
import { brokerFault } from "../faults.ts";
import {
  decodeFetch,
  encodeFetch,
  FETCH_KEY,
  FETCH_VERSION,
  type Fetched,
  type FetchLimits,
  type Wanted,
} from "../fetch.ts";
import type { TopicIds } from "../agreement.ts";
import type { Settings } from "../options.ts";
import { config } from "./library.ts";

/** A topic in the answer to a metadata request. */
export interface TopicMetadata {
  readonly name: string;
  readonly error_code: number;
  readonly id: string;
  readonly replication_factor: number;
  /** Leader's node id by partition; −1: none. */
  readonly leaders: readonly number[];
  /** What this user may do, where it was asked for. */
  readonly operations: number;
}

/** What this user may do: one bit for each operation, of worth only where `error_code` is 0. */
export interface Operations {
  readonly error_code: number;
  readonly operations: number;
}

/** A partition in the answer to a question for offsets. */
export interface PartitionOffset {
  readonly partition: number;
  readonly error_code: number;
  readonly offset: number;
}

/** A request of kafkajs's own shape. */
interface Request<Answer> {
  readonly name: string;
  readonly key: number;
  readonly version: number;
  readonly body: Buffer;
  readonly decode: (body: Buffer) => Answer;
}

const METADATA_KEY = 3;
/** The first version that can ask for all topics and answers their ids: brokers from 3.0 on. */
const METADATA_VERSION = 12;
const LIST_OFFSETS_KEY = 2;
/** The first version that answers one offset a partition; brokers to 4.x answer it. */
const LIST_OFFSETS_VERSION = 1;
const DESCRIBE_GROUPS_KEY = 15;
/** The first version that tells rights: brokers from 2.3 on. */
const DESCRIBE_GROUPS_VERSION = 3;
/** Stand for a timestamp. */
const TIMESTAMPS = { first: -2n, end: -1n };
/** Empty header tags; all topics; no auto-creation; no authorizations; empty tags. */
const ALL_TOPICS = Buffer.from([0, 0, 0, 0, 0]);

/** Sends single requests to brokers. */
export class Requests {
  // The library gives its inner modules no types.
  // deno-lint-ignore no-explicit-any
  readonly #cluster: any;

  private constructor(cluster: unknown) {
    this.#cluster = cluster;
  }

  /** Connects to the first broker that answers. */
  static async open(settings: Settings, log: Log): Promise<Requests> {
    const { logCreator, brokers, logLevel, ...rest } = await config(settings, log);
    const cluster = new Cluster({
      ...rest,
      brokers,
      socketFactory: socketFactory(),
      logger: createLogger({ level: logLevel, logCreator }),
      metadataMaxAge: 300_000,
      enforceRequestTimeout: true,
      allowAutoTopicCreation: false,
    });
    await cluster.connect();
    return new Requests(cluster);
  }

  /** Every topic of the cluster. */
  async topics(): Promise<TopicMetadata[]> {
    const [node] = await this.#nodes();
    return await this.#topicsOf(node!);
  }

  /** Ids of all topics as each broker that answers tells them. */
  async topicIds(): Promise<TopicIds[]> {
    const nodes = await this.#nodes();
    const answers = await Promise.allSettled(nodes.map((node) => this.#topicsOf(node)));
    return answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : [])
      .map((topics) =>
        new Map(
          topics.flatMap(({ name, error_code, id }) => error_code === 0 ? [[name, id]] : []),
        )
      );
  }

  /** What this user may do with a topic. */
  async topicOperations(name: string): Promise<Operations> {
    const [node] = await this.#nodes();
    const [topic] = await this.#topicsOf(node!, oneTopic(name));
    return topic!;
  }

  /** What this user may do with a group, from its coordinator. */
  async groupOperations(group_id: string): Promise<Operations> {
    const [node] = await this.#nodes();
    // The cluster's own search for it tells no refusal, only that it failed.
    const broker = await this.#cluster.findBroker({ nodeId: String(node) });
    const { coordinator } = await broker.findGroupCoordinator({
      groupId: group_id,
      coordinatorType: 0,
    });
    return await this.#send(coordinator.nodeId, {
      name: "DescribeGroups",
      key: DESCRIBE_GROUPS_KEY,
      version: DESCRIBE_GROUPS_VERSION,
      body: new Encoder().writeArray([group_id]).writeBoolean(true).buffer,
      decode: decodeGroupOperations,
    });
  }

  async #nodes(): Promise<number[]> {
    await this.#cluster.connect();
    await this.#cluster.refreshMetadata();
    return this.#cluster.getNodeIds();
  }

  async #topicsOf(node: number, body: Buffer = ALL_TOPICS): Promise<TopicMetadata[]> {
    return await this.#send(node, {
      name: "Metadata",
      key: METADATA_KEY,
      version: METADATA_VERSION,
      body,
      decode: decodeTopics,
    });
  }

  /** Fetches from the broker that leads what is wanted. */
  async fetch(leader: number, wanted: readonly Wanted[], limits: FetchLimits): Promise<Fetched[]> {
    const { error_code, partitions } = await this.#send(leader, {
      name: "Fetch",
      key: FETCH_KEY,
      version: FETCH_VERSION,
      body: encodeFetch(wanted, limits),
      decode: decodeFetch,
    });
    if (error_code !== 0) {
      throw brokerFault(`error ${error_code}`, `Fetching from broker ${leader}`);
    }
    return partitions;
  }

  /** First or end offset of partitions of a topic, from the broker that leads them. */
  async offsets(
    leader: number,
    topic: string,
    partitions: readonly number[],
    which: "first" | "end",
  ): Promise<PartitionOffset[]> {
    return await this.#send(leader, {
      name: "ListOffsets",
      key: LIST_OFFSETS_KEY,
      version: LIST_OFFSETS_VERSION,
      body: encodeListOffsets(topic, partitions, TIMESTAMPS[which]),
      decode: decodeListOffsets,
    });
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async #send<Answer>(node: number | string, request: Request<Answer>): Promise<Answer> {
    const broker = await this.#cluster.findBroker({ nodeId: String(node) });
    return await broker.connectionPool.send({
      request: {
        apiKey: request.key,
        apiVersion: request.version,
        apiName: request.name,
        encode: async () => {
          const encoder = new Encoder();
          encoder.writeBufferInternal(request.body);
          return encoder;
        },
      },
      response: {
        // The decoded value travels in an object: the library reads its throttle time.
        decode: async (body: Buffer) => ({
          clientSideThrottleTime: 0,
          answer: request.decode(body),
        }),
        parse: async ({ answer }: { answer: Answer }) => answer,
      },
    });
  }
}

/** Reads a metadata response of version 12, header tags included. */
export function decodeTopics(body: Buffer): TopicMetadata[] {
  const cursor = new Cursor(body);
  cursor.tags();
  cursor.at += 4; // throttle time
  cursor.array(() => {
    cursor.at += 4; // node id
    cursor.string();
    cursor.at += 4; // port
    cursor.string();
    cursor.tags();
  });
  cursor.string(); // cluster id
  cursor.at += 4; // controller id
  return cursor.array(() => {
    const error_code = cursor.int16();
    const name = cursor.string() ?? "";
    const id = cursor.uuid();
    cursor.at += 1; // internal
    const leaders: number[] = [];
    let replication_factor = 0;
    cursor.array(() => {
      cursor.at += 2; // error code: a missing leader is −1 already
      const index = cursor.int32();
      leaders[index] = cursor.int32();
      cursor.at += 4; // leader epoch
      replication_factor = cursor.array(() => cursor.int32()).length;
      cursor.array(() => cursor.int32()); // in sync
      cursor.array(() => cursor.int32()); // offline
      cursor.tags();
    });
    const operations = cursor.int32();
    cursor.tags();
    return { name, error_code, id, replication_factor, leaders, operations };
  });
}

/** Empty header tags; one topic: no id, its name, empty tags; no auto-creation; authorizations; empty tags. */
function oneTopic(name: string): Buffer {
  const bytes = Buffer.from(name);
  return Buffer.concat([
    Buffer.from([0, 2]),
    Buffer.alloc(16),
    // A topic's name has 249 bytes at most: its length takes one or two of a varint.
    Buffer.from(bytes.length < 127 ? [bytes.length + 1] : [bytes.length + 1 & 0x7f | 0x80, 1]),
    bytes,
    Buffer.from([0, 0, 1, 0]),
  ]);
}

/** Reads a response of version 3 with one group; what is asked for are its last four bytes. */
function decodeGroupOperations(body: Buffer): Operations {
  return { error_code: body.readInt16BE(8), operations: body.readInt32BE(body.length - 4) };
}

function encodeListOffsets(
  topic: string,
  partitions: readonly number[],
  timestamp: bigint,
): Buffer {
  const name = Buffer.from(topic);
  const body = Buffer.alloc(4 + 4 + 2 + name.length + 4 + partitions.length * 12);
  let at = body.writeInt32BE(-1, 0); // replica id: a client
  at = body.writeInt32BE(1, at);
  at = body.writeInt16BE(name.length, at);
  at += name.copy(body, at);
  at = body.writeInt32BE(partitions.length, at);
  for (const partition of partitions) {
    at = body.writeInt32BE(partition, at);
    at = body.writeBigInt64BE(timestamp, at);
  }
  return body;
}

/** Reads a response of version 1 with one topic. */
function decodeListOffsets(body: Buffer): PartitionOffset[] {
  let at = 4 + 2 + body.readInt16BE(4); // number of topics, name
  const count = body.readInt32BE(at);
  at += 4;
  return Array.from({ length: count }, () => {
    const partition = body.readInt32BE(at);
    const error_code = body.readInt16BE(at + 4);
    const offset = Number(body.readBigInt64BE(at + 14)); // behind a timestamp
    at += 22;
    return { partition, error_code, offset };
  });
}

/** Reads Kafka's compact encoding. */
class Cursor {
  readonly #body: Buffer;
  at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  int16(): number {
    this.at += 2;
    return this.#body.readInt16BE(this.at - 2);
  }

  int32(): number {
    this.at += 4;
    return this.#body.readInt32BE(this.at - 4);
  }

  varint(): number {
    let value = 0;
    for (let shift = 0;; shift += 7) {
      const byte = this.#body.readUInt8(this.at++);
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  string(): string | null {
    const length = this.varint() - 1;
    if (length < 0) return null;
    this.at += length;
    return this.#body.toString("utf8", this.at - length, this.at);
  }

  uuid(): string {
    this.at += 16;
    const hex = this.#body.toString("hex", this.at - 16, this.at);
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  }

  array<Entry>(entry: () => Entry): Entry[] {
    return Array.from({ length: Math.max(0, this.varint() - 1) }, entry);
  }

  tags(): void {
    for (let count = this.varint(); count > 0; count--) {
      this.varint();
      const length = this.varint();
      this.at += length;
    }
  }
}
