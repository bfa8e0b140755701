/** Topics, offsets and groups, and reading without a group. */
import {
  ConfigResourceTypes,
  createTopicsV7,
  deleteGroupsV2,
  deleteTopicsV6,
  describeConfigsV4,
  describeGroupsV5,
  metadataV12,
  offsetFetchV8,
} from "@platformatic/kafka";
import { ConfigError, HistoryLostError } from "../../errors.ts";
import { batchesOf, type Fetched } from "../fetch.ts";
import {
  type Admin,
  type InBatch,
  type NewTopic,
  type OffsetRange,
  type Operation,
  partitionId,
  type Resource,
  type TopicInfo,
  type TopicPartition,
} from "../port.ts";
import { DeniedError } from "../faults.ts";
import { operationsOf } from "../operations.ts";
import { demandGone, demandKnown } from "../agreement.ts";
import { closedError, type Retry, retrying } from "../retry.ts";
import { check, type Cluster, errorName } from "./cluster.ts";
import { fetchFrom } from "./reader.ts";

/** The admin of the `platformatic` client; owns its cluster. */
export class PlatformaticAdmin implements Admin {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async brokers(): Promise<string[]> {
    return await this.#retrying("list the brokers", async () => {
      const { brokers } = await this.#cluster.refresh([]);
      return brokers.map(({ host, port }) => `${host}:${port}`);
    });
  }

  async topics(match: (name: string) => boolean): Promise<TopicInfo[]> {
    return await this.#retrying("list the topics", async () => {
      const metadata = await this.#cluster.refresh(null);
      const names = metadata.topics.filter(({ errorCode, name }) =>
        errorCode === 0 && name != null && match(name)
      ).map(({ name }) => name!);
      return await Promise.all(names.map((name) => this.#info(name)));
    });
  }

  async topic_config(topic: string): Promise<ReadonlyMap<string, string>> {
    return await this.#retrying(`describe topic ${topic}`, async () => {
      const { results } = await this.#cluster.call(
        "main",
        undefined,
        describeConfigsV4.api,
        [{ resourceType: ConfigResourceTypes.TOPIC, resourceName: topic, configurationKeys: null }],
        false,
        false,
      );
      const { errorCode, configs } = results[0]!;
      check(errorCode, `Describing topic ${topic}`);
      return new Map(
        configs.filter(({ value }) => value != null).map(({ name, value }) => [name, value!]),
      );
    });
  }

  async create_topics(topics: readonly NewTopic[]): Promise<void> {
    const present = new Set(
      (await this.topics((name) => topics.some((topic) => topic.name === name)))
        .map(({ name }) => name),
    );
    const missing = topics.filter(({ name }) => !present.has(name));
    if (missing.length > 0) {
      await this.#retrying("create topics", () => this.#create(missing));
    }
    const partitions = topics.flatMap(({ name, partitions }) => all(name, partitions));
    await this.#retrying("wait for the leaders of new topics", async () => {
      const names = [...new Set(missing.map(({ name }) => name))];
      if (names.length === 0) return;
      demandKnown(await this.#cluster.topicIds(names), names);
      await this.#cluster.refresh(names);
      await this.#cluster.offsets(partitions.filter(({ topic }) => names.includes(topic)), "end");
    });
  }

  async may_create(name: string): Promise<boolean> {
    const topic = { name, partitions: 1, replication_factor: 1, config: {} };
    try {
      await this.#retrying(`try to create topic ${name}`, () => this.#create([topic], true));
      return true;
    } catch (error) {
      if (error instanceof DeniedError) return false;
      throw error;
    }
  }

  async rights(
    resource: Resource,
    name: string,
  ): Promise<ReadonlySet<Operation> | undefined> {
    return await this.#retrying(`ask for rights on ${resource} ${name}`, async () => {
      if (resource === "topic") return await this.#topicRights(name);
      const kind = resource === "group" ? "group" : "transaction";
      try {
        const node = await this.#cluster.coordinator(kind, name);
        if (kind === "transaction") return new Set<Operation>(["Describe"]);
        const { groups } = await this.#cluster.call(
          "main",
          node,
          describeGroupsV5.api,
          [name],
          true,
        );
        const { errorCode, authorizedOperations } = groups[0]!;
        check(errorCode, `Describing group ${name}`);
        return operationsOf(authorizedOperations);
      } catch (error) {
        if (error instanceof DeniedError) return new Set<Operation>();
        throw error;
      }
    });
  }

  async delete_topics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.#retrying("delete topics", async () => {
      const { responses } = await this.#cluster.call(
        "main",
        (await this.#cluster.refresh([])).controllerId,
        deleteTopicsV6.api,
        names.map((name) => ({ name })),
        this.#cluster.settings.request_timeout_ms,
      );
      for (const { name, errorCode } of responses) {
        if (name != null) this.#cluster.forget(name);
        // Gone is what was asked for: an attempt before this one may have done it.
        if (errorName(errorCode) === "UNKNOWN_TOPIC_OR_PARTITION") continue;
        check(errorCode, `Deleting topic ${name}`);
      }
    });
    await this.#retrying("wait until deleted topics are gone", async () => {
      demandGone(await this.#cluster.topicIds(names), names);
    });
  }

  async offsets(topic: string): Promise<OffsetRange[]> {
    const what = `ask for the offsets of ${topic}`;
    return await this.#retrying(what, () => this.#cluster.ranges(topic));
  }

  async committed(group_id: string, topic: string): Promise<(number | undefined)[]> {
    return await this.#retrying(`ask for the offsets of group ${group_id}`, async () => {
      await this.#cluster.refresh([topic]);
      const count = (await this.#cluster.topic(topic)).leaders.length;
      return await committedOffsets(this.#cluster, group_id, all(topic, count));
    });
  }

  async delete_groups(group_ids: readonly string[]): Promise<void> {
    for (const group_id of group_ids) {
      await this.#retrying(`delete group ${group_id}`, async () => {
        const node = await this.#cluster.coordinator("group", group_id);
        const { results } = await this.#cluster.call("main", node, deleteGroupsV2.api, [group_id]);
        const { errorCode } = results[0]!;
        if (errorName(errorCode) === "GROUP_ID_NOT_FOUND") return;
        check(errorCode, `Deleting group ${group_id}`);
      });
    }
  }

  async *read(at: TopicPartition, from: number, to: number): AsyncIterable<InBatch> {
    for (let next = from; next < to;) {
      const fetched = await this.#retrying(
        `read ${partitionId(at)}`,
        () => this.#readOnce(at, next),
      );
      for (const batch of batchesOf(fetched, next, to)) {
        yield batch;
        next = batch.next_offset;
      }
    }
  }

  async close(): Promise<void> {
    await this.#cluster.close(closedError("admin client"));
  }

  async #readOnce(at: TopicPartition, offset: number): Promise<Fetched> {
    const { fetch_bytes, fetch_wait_ms } = this.#cluster.settings;
    const leader = await this.#cluster.leader(at);
    const [fetched] = await fetchFrom(
      this.#cluster,
      leader,
      [{ ...at, offset, max_bytes: fetch_bytes }],
      { wait_ms: fetch_wait_ms, max_bytes: fetch_bytes },
    );
    const { error_code } = fetched!;
    if (errorName(error_code) === "OFFSET_OUT_OF_RANGE") {
      const { first, end } = await this.#cluster.range(at);
      throw new HistoryLostError(
        `Offset ${offset} of ${partitionId(at)} is gone: it holds ${first} to ${end}`,
      );
    }
    if (error_code !== 0) this.#cluster.forget(at.topic);
    check(error_code, `Reading ${partitionId(at)}`);
    return fetched!;
  }

  async #topicRights(name: string): Promise<ReadonlySet<Operation> | undefined> {
    const { topics } = await this.#cluster.call(
      "main",
      undefined,
      metadataV12.api,
      [name],
      false,
      true,
    );
    const { errorCode, topicAuthorizedOperations } = topics[0]!;
    if (errorName(errorCode) === "UNKNOWN_TOPIC_OR_PARTITION") return undefined;
    if (errorName(errorCode) === "TOPIC_AUTHORIZATION_FAILED") return new Set();
    check(errorCode, `Asking for topic ${name}`);
    return operationsOf(topicAuthorizedOperations);
  }

  async #create(topics: readonly NewTopic[], validate_only = false): Promise<void> {
    const { settings } = this.#cluster;
    const { controllerId } = await this.#cluster.refresh([]);
    const response = await this.#cluster.call(
      "main",
      controllerId,
      createTopicsV7.api,
      topics.map(({ name, partitions, replication_factor, config }) => ({
        name,
        numPartitions: partitions,
        replicationFactor: replication_factor,
        assignments: [],
        configs: Object.entries(config).map(([name, value]) => ({ name, value })),
      })),
      settings.request_timeout_ms,
      validate_only,
    );
    for (const { name, errorCode, errorMessage } of response.topics) {
      // Another process, or an attempt before this one, was faster.
      if (errorName(errorCode) === "TOPIC_ALREADY_EXISTS") continue;
      if (errorCode !== 0 && errorMessage) {
        const what = `Creating topic ${name} (${errorMessage})`;
        if (REFUSED.has(errorName(errorCode))) throw refusedTopic(name, errorMessage);
        check(errorCode, what);
      }
      check(errorCode, `Creating topic ${name}`);
    }
  }

  async #info(name: string): Promise<TopicInfo> {
    const { id, leaders, replication_factor } = await this.#cluster.topic(name);
    return { name, id, partitions: leaders.length, replication_factor };
  }

  #retrying<T>(what: string, attempt: () => Promise<T>): Promise<T> {
    const retry: Retry = {
      log: this.#cluster.log,
      what,
      signal: this.#cluster.signal,
      give_up_ms: this.#cluster.settings.retry_timeout_ms,
    };
    return retrying(retry, attempt);
  }
}

const REFUSED = new Set([
  "INVALID_REPLICATION_FACTOR",
  "INVALID_PARTITIONS",
  "INVALID_CONFIG",
  "INVALID_TOPIC_EXCEPTION",
  "POLICY_VIOLATION",
]);

function refusedTopic(name: string, reason: string): ConfigError {
  return new ConfigError(`Cannot create topic ${name}: ${reason}`, {
    cure: "change the topic's settings under kafka in the job, or create the topic by hand",
  });
}

function all(topic: string, partitions: number): TopicPartition[] {
  return Array.from({ length: partitions }, (_, partition) => ({ topic, partition }));
}

/** Offsets that a group has committed, in the order asked; undefined where it has none. */
export async function committedOffsets(
  cluster: Cluster,
  group_id: string,
  partitions: readonly TopicPartition[],
): Promise<(number | undefined)[]> {
  const node = await cluster.coordinator("group", group_id);
  const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, all]) => ({
    name,
    partitionIndexes: all.map(({ partition }) => partition),
  }));
  const { groups } = await cluster.call(
    "group",
    node,
    offsetFetchV8.api,
    [{ groupId: group_id, memberId: null, memberEpoch: -1, topics }],
    true,
  );
  const group = groups[0]!;
  check(group.errorCode, `Asking for the offsets of group ${group_id}`);
  const found = new Map<string, number>();
  for (const { name, partitions } of group.topics) {
    for (const { partitionIndex, committedOffset, errorCode } of partitions) {
      const id = partitionId({ topic: name, partition: partitionIndex });
      check(errorCode, `Asking for the offset of group ${group_id} in ${id}`);
      if (committedOffset >= 0n) found.set(id, Number(committedOffset));
    }
  }
  return partitions.map((at) => found.get(partitionId(at)));
}
