/**
 * Requests that kafkajs has no public call for, over its own connections: metadata with topic ids, a
 * fetch without a group, and offsets from the leaders as they are now, not as it once learnt them. The
 * module paths are those of the pinned version.
 */
import { Buffer } from "node:buffer";
import Cluster from "kafkajs/src/cluster/index.js";
import { createLogger } from "kafkajs/src/loggers/index.js";
import socketFactory from "kafkajs/src/network/socketFactory.js";
import Encoder from "kafkajs/src/protocol/encoder.js";
import type { Log } from "../../observe/log.ts";
import { MessageReader } from "../../wire/kafka_message.ts";
import type { TopicIds } from "../agreement.ts";
import { errorName } from "../error_names.ts";
import { brokerFault } from "../faults.ts";
import type { Fetched, FetchLimits, Wanted } from "../fetch.ts";
import type { Settings } from "../options.ts";
import {
  aboutTopics,
  type AnswerTo,
  CLIENT,
  describeGroups,
  END,
  fetch,
  FIRST,
  listOffsets,
  metadata,
  READ_UNCOMMITTED,
  type Request,
} from "../requests.ts";
import { config } from "./library.ts";

/** A topic in the answer to a metadata request. */
export interface TopicMetadata {
  readonly name: string;
  readonly error_code: number;
  readonly id: string;
  readonly replication_factor: number;
  /** Leader's node id by partition; -1: none. */
  readonly leaders: readonly number[];
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
    const { topics } = await this.#send(node!, metadata, {
      ...aboutTopics([name]),
      include_topic_authorized_operations: true,
    });
    const { error_code, topic_authorized_operations } = topics[0]!;
    return { error_code, operations: topic_authorized_operations };
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
    const { groups } = await this.#send(coordinator.nodeId, describeGroups, {
      groups: [group_id],
      include_authorized_operations: true,
    });
    const { error_code, authorized_operations } = groups[0]!;
    return { error_code, operations: authorized_operations };
  }

  async #nodes(): Promise<number[]> {
    await this.#cluster.connect();
    await this.#cluster.refreshMetadata();
    return this.#cluster.getNodeIds();
  }

  async #topicsOf(node: number): Promise<TopicMetadata[]> {
    const { topics } = await this.#send(node, metadata, aboutTopics(null));
    return topics.map(placeOf);
  }

  /** Fetches from the broker that leads what is wanted. */
  async fetch(
    leader: number,
    wanted: readonly Wanted[],
    limits: FetchLimits,
  ): Promise<readonly Fetched[]> {
    const { error_code, partitions } = await this.#send(leader, fetch, { wanted, limits });
    if (error_code !== 0) {
      throw brokerFault(errorName(error_code), `Fetching from broker ${leader}`);
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
    const { topics } = await this.#send(leader, listOffsets, {
      replica_id: CLIENT,
      isolation_level: READ_UNCOMMITTED,
      topics: [{
        name: topic,
        partitions: partitions.map((partition_index) => ({
          partition_index,
          current_leader_epoch: -1,
          timestamp: which === "first" ? FIRST : END,
        })),
      }],
    });
    return topics[0]!.partitions.map(({ partition_index, error_code, offset }) => ({
      partition: partition_index,
      error_code,
      offset,
    }));
  }

  async close(): Promise<void> {
    await this.#cluster.disconnect();
  }

  async #send<Question, Answer>(
    node: number | string,
    request: Request<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    const broker = await this.#cluster.findBroker({ nodeId: String(node) });
    const { key, version, name, flexible } = request;
    return await broker.connectionPool.send({
      request: {
        apiKey: key,
        apiVersion: version,
        apiName: name,
        encode: async () => {
          const encoder = new Encoder();
          const tagged = Buffer.alloc(flexible ? 1 : 0); // fields of the head: none
          encoder.writeBufferInternal(Buffer.concat([tagged, ...request.encode(question)]));
          return encoder;
        },
      },
      response: {
        // The decoded value travels in an object: the library reads its throttle time.
        decode: async (body: Buffer) => {
          const head = new MessageReader(body);
          if (flexible) head.skipTagged();
          const answer = request.decode(head.bytes(head.left));
          return { clientSideThrottleTime: 0, answer };
        },
        parse: async ({ answer }: { answer: Answer }) => answer,
      },
    });
  }
}

function placeOf(topic: AnswerTo<typeof metadata>["topics"][number]): TopicMetadata {
  const { name, error_code, topic_id, partitions } = topic;
  const leaders: number[] = [];
  for (const { partition_index, leader_id } of partitions) leaders[partition_index] = leader_id;
  const replication_factor = partitions[0]?.replica_nodes.length ?? 0;
  return { name: name ?? "", error_code, id: topic_id, replication_factor, leaders };
}
