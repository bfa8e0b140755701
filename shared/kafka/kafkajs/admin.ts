/** Topics, offsets and groups through kafkajs's admin; what it has no call for through `Requests`. */
import type { Admin as LibraryAdmin } from "kafkajs";
import { ConfigError, HistoryLostError, RetryableError } from "../../errors.ts";
import { address } from "../../jobs/permissions.ts";
import type { Log } from "../../observe/log.ts";
import { demandGone, demandKnown } from "../agreement.ts";
import { errorName } from "../error_names.ts";
import { brokerFault, DeniedError, isTopicRefusal } from "../faults.ts";
import { batchesOf, type Fetched } from "../fetch.ts";
import { operationsOf } from "../operations.ts";
import type { Settings } from "../options.ts";
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
import { closedError, retrying } from "../retry.ts";
import { library, libraryFault, openingFault, refusalOf } from "./library.ts";
import { Requests, type TopicMetadata } from "./requests.ts";

/** kafkajs's number of the resource kind. */
const TOPIC = 2;
const REFUSED = new Set(["TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED"]);

/** The admin of the `kafkajs` client. */
export class KafkajsAdmin implements Admin {
  readonly #admin: LibraryAdmin;
  readonly #requests: Requests;
  readonly #settings: Settings;
  readonly #log: Log;
  readonly #stop = new AbortController();
  readonly #leaders = new Map<string, readonly number[]>();

  private constructor(admin: LibraryAdmin, requests: Requests, settings: Settings, log: Log) {
    this.#admin = admin;
    this.#requests = requests;
    this.#settings = settings;
    this.#log = log;
  }

  /** Connects to the first broker that answers. */
  static async open(settings: Settings, log: Log): Promise<KafkajsAdmin> {
    const admin = (await library(settings, log)).admin();
    try {
      await admin.connect();
      await admin.describeCluster(); // a listener that misses a login lets the connection stand
      return new KafkajsAdmin(admin, await Requests.open(settings, log), settings, log);
    } catch (error) {
      await admin.disconnect().catch(() => {});
      throw await openingFault(error, "Connecting", settings);
    }
  }

  async brokers(): Promise<string[]> {
    return await this.#retrying("Listing the brokers", async () => {
      const { brokers } = await this.#admin.describeCluster();
      return brokers.sort((a, b) => a.nodeId - b.nodeId).map(({ host, port }) =>
        address(host, port)
      );
    });
  }

  async topics(match: (name: string) => boolean): Promise<TopicInfo[]> {
    const all = await this.#retrying("Listing the topics", () => this.#requests.topics());
    return all.filter(({ error_code, name }) => error_code === 0 && match(name))
      .map(({ name, id, leaders, replication_factor }) => ({
        name,
        id,
        partitions: leaders.length,
        replication_factor,
      }));
  }

  async topicConfig(topic: string): Promise<ReadonlyMap<string, string>> {
    return await this.#retrying(`Describing topic ${topic}`, async () => {
      const { resources } = await this.#admin.describeConfigs({
        includeSynonyms: false,
        resources: [{ type: TOPIC, name: topic }],
      });
      return new Map(
        resources[0]!.configEntries.filter(({ configValue }) => configValue !== null)
          .map(({ configName, configValue }) => [configName, configValue]),
      );
    });
  }

  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    const present = new Set(
      (await this.topics((name) => topics.some((topic) => topic.name === name)))
        .map(({ name }) => name),
    );
    const missing = topics.filter(({ name }) => !present.has(name));
    for (const topic of missing) {
      await this.#retrying(`Creating topic ${topic.name}`, () => this.#create(topic));
    }
    if (missing.length === 0) return;
    const names = missing.map(({ name }) => name);
    await this.#waiting("Waiting for the leaders of new topics", async () => {
      demandKnown(await this.#requests.topicIds(), names);
      const known = new Map((await this.#requests.topics()).map((topic) => [topic.name, topic]));
      for (const { name } of missing) {
        const { leaders } = leaderful(known.get(name), name);
        this.#leaders.set(name, leaders);
        for (const partition of leaders.keys()) await this.#ask({ topic: name, partition }, 0);
      }
    });
  }

  async mayCreate(name: string): Promise<boolean> {
    const topic = { name, partitions: 1, replication_factor: 1, config: {} };
    try {
      await this.#retrying(`Trying to create topic ${name}`, () => this.#create(topic, true));
      return true;
    } catch (error) {
      if (error instanceof DeniedError) return false;
      throw error;
    }
  }

  async rights(resource: Resource, name: string): Promise<ReadonlySet<Operation> | undefined> {
    const what = `Asking for rights on ${resource} ${name}`;
    return await this.#retrying(what, async () => {
      // kafkajs takes no transactional id, so there is nothing to lack.
      if (resource === "transactional-id") return new Set<Operation>(["Describe"]);
      try {
        const { error_code, operations } = resource === "topic"
          ? await this.#requests.topicOperations(name)
          : await this.#requests.groupOperations(name);
        const refusal = errorName(error_code);
        if (refusal === "UNKNOWN_TOPIC_OR_PARTITION") return undefined;
        if (REFUSED.has(refusal)) return new Set<Operation>();
        if (error_code !== 0) throw brokerFault(refusal, what);
        return operationsOf(operations);
      } catch (error) {
        // The search for a group's coordinator is refused by the library's own error.
        if (refusalOf(error) === "GROUP_AUTHORIZATION_FAILED") return new Set<Operation>();
        throw error;
      }
    });
  }

  async deleteTopics(names: readonly string[]): Promise<void> {
    for (const name of names) {
      await this.#retrying(`Deleting topic ${name}`, async () => {
        this.#leaders.delete(name);
        const present = await this.topics((other) => other === name);
        if (present.length === 0) return;
        await this.#admin.deleteTopics({
          topics: [name],
          timeout: this.#settings.request_timeout_ms,
        }).catch((error) => {
          if (refusalOf(error) !== "UNKNOWN_TOPIC_OR_PARTITION") throw error;
        });
      });
    }
    await this.#waiting("Waiting until deleted topics are gone", async () => {
      demandGone(await this.#requests.topicIds(), names);
    });
  }

  async offsets(topic: string): Promise<OffsetRange[]> {
    return await this.#retrying(`Asking for the offsets of ${topic}`, async () => {
      const found = (await this.#requests.topics()).find(({ name }) => name === topic);
      const { leaders } = leaderful(found, topic);
      this.#leaders.set(topic, leaders);
      const first = await this.#offsets(topic, leaders, "first");
      const end = await this.#offsets(topic, leaders, "end");
      return leaders.map((_, partition) => ({ first: first[partition]!, end: end[partition]! }));
    });
  }

  async committed(group_id: string, topic: string): Promise<(number | undefined)[]> {
    return await this.#retrying(`Asking for the offsets of group ${group_id}`, async () => {
      const [found] = await this.#admin.fetchOffsets({ groupId: group_id, topics: [topic] });
      const offsets: (number | undefined)[] = [];
      for (const { partition, offset } of found?.partitions ?? []) {
        offsets[partition] = Number(offset) >= 0 ? Number(offset) : undefined;
      }
      return offsets;
    });
  }

  async deleteGroups(group_ids: readonly string[]): Promise<void> {
    for (const group_id of group_ids) {
      await this.#retrying(`Deleting group ${group_id}`, async () => {
        await this.#admin.deleteGroups([group_id]).catch((error) => {
          if (refusalOf(error) !== "GROUP_ID_NOT_FOUND") throw error;
        });
      });
    }
  }

  async *read(at: TopicPartition, from: number, to: number): AsyncIterable<InBatch> {
    for (let next = from; next < to;) {
      const fetched = await this.#retrying(`Reading ${partitionId(at)}`, () => this.#ask(at, next));
      for (const batch of batchesOf(fetched, next, to)) {
        yield batch;
        next = batch.next_offset;
      }
    }
  }

  async close(): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(closedError("admin client"));
    await Promise.allSettled([this.#admin.disconnect(), this.#requests.close()]);
  }

  /** First or end offset by partition. */
  async #offsets(
    topic: string,
    leaders: readonly number[],
    which: "first" | "end",
  ): Promise<number[]> {
    const offsets: number[] = [];
    for (const [leader, partitions] of Map.groupBy(leaders.keys(), (index) => leaders[index]!)) {
      const answers = await this.#requests.offsets(leader, topic, partitions, which);
      for (const { partition, error_code, offset } of answers) {
        if (error_code !== 0) {
          const what = `Asking for the ${which} offset of ${partitionId({ topic, partition })}`;
          throw brokerFault(errorName(error_code), what);
        }
        offsets[partition] = offset;
      }
    }
    return offsets;
  }

  async #ask(at: TopicPartition, offset: number): Promise<Fetched> {
    const { fetch_bytes, fetch_wait_ms } = this.#settings;
    const leader = await this.#leader(at);
    const wanted = [{ ...at, offset, max_bytes: fetch_bytes }];
    const limits = { wait_ms: fetch_wait_ms, max_bytes: fetch_bytes };
    try {
      const [fetched] = await this.#requests.fetch(leader, wanted, limits);
      const { error_code } = fetched!;
      if (errorName(error_code) === "OFFSET_OUT_OF_RANGE") {
        const range = (await this.offsets(at.topic))[at.partition]!;
        throw new HistoryLostError(
          `Offset ${offset} of ${partitionId(at)} is gone: it holds ${range.first} to ${range.end}`,
        );
      }
      if (error_code !== 0) {
        throw brokerFault(errorName(error_code), `Reading ${partitionId(at)}`);
      }
      return fetched!;
    } catch (error) {
      this.#leaders.delete(at.topic);
      throw error;
    }
  }

  async #leader(at: TopicPartition): Promise<number> {
    if (!this.#leaders.has(at.topic)) {
      const topics = await this.#requests.topics();
      const found = topics.find(({ name }) => name === at.topic);
      this.#leaders.set(at.topic, leaderful(found, at.topic).leaders);
    }
    const leader = this.#leaders.get(at.topic)![at.partition];
    if (leader !== undefined) return leader;
    throw new ConfigError(`Topic ${at.topic} has no partition ${at.partition}`);
  }

  async #create(
    { name, partitions, replication_factor, config }: NewTopic,
    validateOnly = false,
  ): Promise<void> {
    try {
      await this.#admin.createTopics({
        validateOnly,
        waitForLeaders: !validateOnly,
        timeout: this.#settings.request_timeout_ms,
        topics: [{
          topic: name,
          numPartitions: partitions,
          replicationFactor: replication_factor,
          configEntries: Object.entries(config).map(([name, value]) => ({ name, value })),
        }],
      });
    } catch (error) {
      const refusal = refusalOf(error);
      if (refusal === "TOPIC_ALREADY_EXISTS") return;
      if (validateOnly && refusal !== undefined && isTopicRefusal(refusal)) return;
      throw error;
    }
  }

  /** Brokers learn of topics one after another. */
  #waiting(what: string, attempt: () => Promise<void>): Promise<void> {
    return this.#retrying(what, attempt, true);
  }

  #retrying<T>(what: string, attempt: () => Promise<T>, usual = false): Promise<T> {
    return retrying({
      log: this.#log,
      what,
      usual,
      signal: this.#stop.signal,
      give_up_ms: this.#settings.retry_timeout_ms,
    }, async () => {
      try {
        return await attempt();
      } catch (error) {
        throw libraryFault(error, what, this.#settings);
      }
    });
  }
}

/** `topic` when every partition has a leader; else a passing fault. */
function leaderful(topic: TopicMetadata | undefined, name: string): TopicMetadata {
  const ready = topic !== undefined && topic.error_code === 0 && topic.leaders.length > 0 &&
    topic.leaders.every((leader) => leader >= 0);
  if (ready) return topic;
  throw new RetryableError(`Topic ${name} has no leaders yet`);
}
