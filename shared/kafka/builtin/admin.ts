/** Topics, offsets and groups, and reading without a group. */
import { ConfigError, HistoryLostError } from "../../errors.ts";
import { address } from "../../jobs/permissions.ts";
import { demandGone, demandKnown } from "../agreement.ts";
import { errorName } from "../error_names.ts";
import { DeniedError, isTopicRefusal } from "../faults.ts";
import { batchesOf, type Fetched } from "../fetch.ts";
import { operationsOf } from "../operations.ts";
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
import {
  aboutTopics,
  createTopics,
  deleteGroups,
  deleteTopics,
  describeConfigs,
  describeGroups,
  metadata,
  NO_UUID,
  offsetFetch,
} from "../requests.ts";
import { closedError, type Retry, retrying } from "../retry.ts";
import { check, type Cluster } from "./cluster.ts";
import { fetchFrom } from "./reader.ts";

/** The resource type of topics in a question about configurations. */
const TOPIC = 2;

/** The admin of the `builtin` client; owns its cluster. */
export class BuiltinAdmin implements Admin {
  readonly #cluster: Cluster;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  async brokers(): Promise<string[]> {
    return await this.#retrying("list the brokers", async () => {
      const { brokers } = await this.#cluster.refresh([]);
      return brokers.map(({ host, port }) => address(host, port));
    });
  }

  async topics(match: (name: string) => boolean): Promise<TopicInfo[]> {
    return await this.#retrying("list the topics", async () => {
      const { topics } = await this.#cluster.refresh(null);
      const names = topics.flatMap(({ error_code, name }) =>
        error_code === 0 && name !== null && match(name) ? [name] : []
      );
      return await Promise.all(names.map((name) => this.#info(name)));
    });
  }

  async topicConfig(topic: string): Promise<ReadonlyMap<string, string>> {
    return await this.#retrying(`describe topic ${topic}`, async () => {
      const { results } = await this.#cluster.call("main", undefined, describeConfigs, {
        resources: [{ resource_type: TOPIC, resource_name: topic, configuration_keys: null }],
        include_synonyms: false,
        include_documentation: false,
      });
      const { error_code, configs } = results[0]!;
      check(error_code, `Describing topic ${topic}`);
      return new Map(
        configs.filter(({ value }) => value !== null).map(({ name, value }) => [name, value!]),
      );
    });
  }

  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    const present = new Set(
      (await this.topics((name) => topics.some((topic) => topic.name === name)))
        .map(({ name }) => name),
    );
    const missing = topics.filter(({ name }) => !present.has(name));
    if (missing.length > 0) {
      await this.#retrying("create topics", () => this.#create(missing));
    }
    const partitions = topics.flatMap(({ name, partitions }) => all(name, partitions));
    await this.#waiting("wait for the leaders of new topics", async () => {
      const names = [...new Set(missing.map(({ name }) => name))];
      if (names.length === 0) return;
      demandKnown(await this.#cluster.topicIds(names), names);
      await this.#cluster.refresh(names);
      await this.#cluster.offsets(partitions.filter(({ topic }) => names.includes(topic)), "end");
    });
  }

  async mayCreate(name: string): Promise<boolean> {
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
        const { groups } = await this.#cluster.call("main", node, describeGroups, {
          groups: [name],
          include_authorized_operations: true,
        });
        const { error_code, authorized_operations } = groups[0]!;
        check(error_code, `Describing group ${name}`);
        return operationsOf(authorized_operations);
      } catch (error) {
        if (error instanceof DeniedError) return new Set<Operation>();
        throw error;
      }
    });
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    if (names.length === 0) return;
    await this.#retrying("delete topics", async () => {
      const { controller_id } = await this.#cluster.refresh([]);
      const { responses } = await this.#cluster.call("main", controller_id, deleteTopics, {
        topics: names.map((name) => ({ name, topic_id: NO_UUID })),
        timeout_ms: this.#cluster.settings.request_timeout_ms,
      });
      for (const { name, error_code } of responses) {
        if (name !== null) this.#cluster.forget(name);
        // Gone is what was asked for: an attempt before this one may have done it.
        if (errorName(error_code) === "UNKNOWN_TOPIC_OR_PARTITION") continue;
        check(error_code, `Deleting topic ${name}`);
      }
    });
    await this.#waiting("wait until deleted topics are gone", async () => {
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

  async deleteGroups(group_ids: readonly string[]): Promise<void> {
    for (const group_id of group_ids) {
      await this.#retrying(`delete group ${group_id}`, async () => {
        const node = await this.#cluster.coordinator("group", group_id);
        const groups_names = [group_id];
        const { results } = await this.#cluster.call("main", node, deleteGroups, { groups_names });
        const { error_code } = results[0]!;
        if (errorName(error_code) === "GROUP_ID_NOT_FOUND") return;
        check(error_code, `Deleting group ${group_id}`);
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
    const { topics } = await this.#cluster.call("main", undefined, metadata, {
      ...aboutTopics([name]),
      include_topic_authorized_operations: true,
    });
    const { error_code, topic_authorized_operations } = topics[0]!;
    if (errorName(error_code) === "UNKNOWN_TOPIC_OR_PARTITION") return undefined;
    if (errorName(error_code) === "TOPIC_AUTHORIZATION_FAILED") return new Set();
    check(error_code, `Asking for topic ${name}`);
    return operationsOf(topic_authorized_operations);
  }

  async #create(topics: readonly NewTopic[], validate_only = false): Promise<void> {
    const { settings } = this.#cluster;
    const { controller_id } = await this.#cluster.refresh([]);
    const answer = await this.#cluster.call("main", controller_id, createTopics, {
      topics: topics.map(({ name, partitions, replication_factor, config }) => ({
        name,
        num_partitions: partitions,
        replication_factor,
        assignments: [],
        configs: Object.entries(config).map(([name, value]) => ({ name, value })),
      })),
      timeout_ms: settings.request_timeout_ms,
      validate_only,
    });
    for (const { name, error_code, error_message } of answer.topics) {
      // Another process, or an attempt before this one, was faster.
      if (errorName(error_code) === "TOPIC_ALREADY_EXISTS") continue;
      if (validate_only && isTopicRefusal(errorName(error_code))) continue;
      if (error_code !== 0 && error_message) {
        const what = `Creating topic ${name} (${error_message})`;
        if (isTopicRefusal(errorName(error_code))) throw refusedTopic(name, error_message);
        check(error_code, what);
      }
      check(error_code, `Creating topic ${name}`);
    }
  }

  async #info(name: string): Promise<TopicInfo> {
    const { id, leaders, replication_factor } = await this.#cluster.topic(name);
    return { name, id, partitions: leaders.length, replication_factor };
  }

  /** Brokers learn of topics one after another. */
  #waiting(what: string, attempt: () => Promise<void>): Promise<void> {
    return this.#retrying(what, attempt, true);
  }

  #retrying<T>(what: string, attempt: () => Promise<T>, usual = false): Promise<T> {
    const retry: Retry = {
      log: this.#cluster.log,
      what,
      usual,
      signal: this.#cluster.signal,
      give_up_ms: this.#cluster.settings.retry_timeout_ms,
    };
    return retrying(retry, attempt);
  }
}

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
    partition_indexes: all.map(({ partition }) => partition),
  }));
  const { groups } = await cluster.call("group", node, offsetFetch, {
    groups: [{ group_id, topics }],
    require_stable: true,
  });
  const group = groups[0]!;
  cluster.checkCoordinator(group.error_code, `Asking for the offsets of group ${group_id}`);
  const found = new Map<string, number>();
  for (const { name, partitions } of group.topics) {
    for (const { partition_index, committed_offset, error_code } of partitions) {
      const id = partitionId({ topic: name, partition: partition_index });
      check(error_code, `Asking for the offset of group ${group_id} in ${id}`);
      if (committed_offset >= 0) found.set(id, committed_offset);
    }
  }
  return partitions.map((at) => found.get(partitionId(at)));
}
