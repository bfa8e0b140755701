/** The brokers as one: connections, metadata and coordinators. */
import { isIP } from "node:net";
import { ConfigError, RetryableError } from "../../errors.ts";
import { address, endpoint } from "../../jobs/permissions.ts";
import { type TlsSettings, tlsSettings } from "../../jobs/tls.ts";
import type { Log } from "../../observe/log.ts";
import { MalformedMessageError } from "../../wire/kafka_message.ts";
import type { TopicIds } from "../agreement.ts";
import { BrokerConnection } from "../connection.ts";
import { errorName } from "../error_names.ts";
import { brokerFault } from "../faults.ts";
import { contactFault } from "../listener.ts";
import type { Settings } from "../options.ts";
import { type OffsetRange, partitionId, type TopicPartition } from "../port.ts";
import {
  aboutTopics,
  type AnswerTo,
  CLIENT,
  END,
  findCoordinator,
  FIRST,
  listOffsets,
  metadata,
  NO_UUID,
  READ_UNCOMMITTED,
  type Request,
} from "../requests.ts";

/**
 * Connections are kept apart by use: a broker answers one connection's requests in their order, and
 * it holds a fetch and a join back for long.
 */
export type ConnectionUse = "main" | "fetch" | "group" | "join";

/** A topic's place in the cluster. */
export interface TopicPlace {
  readonly id: string;
  readonly replication_factor: number;
  /** Leader's node id per partition; -1 while there is none. */
  readonly leaders: readonly number[];
  /** Per partition a number that grows with every change of its leader. */
  readonly leader_epochs: readonly number[];
}

type Metadata = AnswerTo<typeof metadata>;

/** Throws the error that a broker's `code` stands for; 0 is none. */
export function check(code: number, what: string): void {
  if (code !== 0) throw brokerFault(errorName(code), what);
}

/** A view of the cluster with its own connections. */
export class Cluster {
  readonly settings: Settings;
  readonly log: Log;
  readonly #tls: TlsSettings | undefined;
  readonly #links = new Map<string, BrokerConnection>();
  readonly #nodes = new Map<number, string>();
  readonly #topics = new Map<string, TopicPlace>();
  /** Those of them that may have moved. */
  readonly #doubted = new Set<string>();
  /** Why a topic that is not in the map was last not told. */
  readonly #refusals = new Map<string, string>();
  readonly #stop = new AbortController();
  /** Who answered last, and is asked first. */
  #answered: string | undefined;
  #round_trip_ms = Infinity;

  private constructor(settings: Settings, log: Log) {
    this.settings = settings;
    this.#tls = tlsSettings(settings.tls);
    this.log = log;
  }

  /** Asks the first broker that answers for the others. */
  static async open(settings: Settings, log: Log): Promise<Cluster> {
    const cluster = new Cluster(settings, log);
    try {
      await cluster.refresh([]);
    } catch (error) {
      await cluster.close();
      throw error;
    }
    return cluster;
  }

  /** Aborted by `close`. */
  get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** How long the fastest answer took, in milliseconds: what no request takes less than. */
  get round_trip_ms(): number {
    return this.#round_trip_ms; // `open` has asked
  }

  /**
   * Sends one request. A broker's error codes come back in the response; what fails on the way is
   * thrown as ConfigError or RetryableError naming the broker.
   * @param node_id undefined: any broker.
   */
  async call<Question, Answer>(
    use: ConnectionUse,
    node_id: number | undefined,
    request: Request<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    if (node_id === undefined) return await this.#callAny(use, request, question);
    const address = this.#nodes.get(node_id);
    if (address === undefined) {
      throw new RetryableError(`Broker ${node_id} is not in the cluster's metadata`);
    }
    return await this.#callAt(use, address, request, question);
  }

  /** Learns brokers and, for the topics named (null: all), leaders and ids. */
  async refresh(topics: readonly string[] | null): Promise<Metadata> {
    const answer = await this.call("main", undefined, metadata, aboutTopics(topics));
    for (const { node_id, host, port } of answer.brokers) {
      this.#nodes.set(node_id, address(host, port));
    }
    for (const topic of answer.topics) this.#place(topic);
    return answer;
  }

  /**
   * Learns the topics' leaders from most of the brokers. One that was frozen for a while still takes
   * itself for the leader of partitions that another leads by now, and tells ends from before.
   */
  async agree(topics: readonly string[]): Promise<void> {
    if (this.#nodes.size === 0) await this.refresh(topics); // a broker that starts may know of none yet
    await most([...this.#nodes.keys()].map(async (node) => {
      const answer = await this.call("main", node, metadata, aboutTopics(topics));
      for (const topic of answer.topics) this.#place(topic);
    }));
  }

  /** Ids of the topics as each broker that answers tells them. */
  async topicIds(topics: readonly string[]): Promise<TopicIds[]> {
    const { brokers } = await this.refresh([]);
    const answers = await Promise.allSettled(
      brokers.map(({ node_id }) => this.call("main", node_id, metadata, aboutTopics(topics))),
    );
    return answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : [])
      .map(({ topics }) =>
        new Map(
          topics.flatMap(({ error_code, name, topic_id }) =>
            error_code === 0 && name !== null ? [[name, topic_id]] : []
          ),
        )
      );
  }

  /** `host:port` of every broker that the metadata named. */
  get addresses(): string[] {
    return [...this.#nodes].sort(([a], [b]) => a - b).map(([, address]) => address);
  }

  /** What is known of a topic; asks the brokers the first time. Throws RetryableError for an unknown one. */
  async topic(name: string): Promise<TopicPlace> {
    const doubted = this.#doubted.has(name) ? this.#topics.get(name) : undefined;
    if (doubted !== undefined || !this.#topics.has(name)) await this.refresh([name]);
    // A broker that is cut off from the others tells for ever what it knew last.
    if (doubted !== undefined && isSame(doubted, this.#topics.get(name))) await this.agree([name]);
    const place = this.#topics.get(name);
    if (place !== undefined) return place;
    throw brokerFault(this.#refusals.get(name) ?? "UNKNOWN_TOPIC_OR_PARTITION", `Topic ${name}`);
  }

  /** Node id of the partition's leader. Throws RetryableError while there is none. */
  async leader(at: TopicPartition): Promise<number> {
    const leader = (await this.topic(at.topic)).leaders[at.partition];
    if (leader !== undefined && leader >= 0) return leader;
    this.forget(at.topic);
    throw brokerFault(
      leader === undefined ? "UNKNOWN_TOPIC_OR_PARTITION" : "LEADER_NOT_AVAILABLE",
      `Partition ${partitionId(at)}`,
    );
  }

  /** What a broker that is asked as the partition's leader must know of its epoch. */
  async leaderEpoch({ topic, partition }: TopicPartition): Promise<number> {
    return (await this.topic(topic)).leader_epochs[partition] ?? -1;
  }

  /** The next question about the topic asks the brokers. */
  forget(topic: string): void {
    this.#doubted.add(topic);
  }

  /** Groups partitions by their leader's node id. */
  async byLeader<At extends TopicPartition>(all: readonly At[]): Promise<Map<number, At[]>> {
    const groups = new Map<number, At[]>();
    for (const at of all) {
      const leader = await this.leader(at);
      const group = groups.get(leader);
      if (group === undefined) groups.set(leader, [at]);
      else group.push(at);
    }
    return groups;
  }

  /** Node id of the broker that coordinates a group or a transactional id. */
  async coordinator(kind: "group" | "transaction", key: string): Promise<number> {
    const key_type = kind === "group" ? 0 : 1;
    const found = await this.call("main", undefined, findCoordinator, { key, key_type });
    check(found.error_code, `Finding the coordinator of ${kind} ${key}`);
    this.#nodes.set(found.node_id, address(found.host, found.port));
    return found.node_id;
  }

  /** As `check`, for the answer of a coordinator: where it is none, another broker is asked for it next. */
  checkCoordinator(code: number, what: string): void {
    if (errorName(code) === "NOT_COORDINATOR") this.#askAnother();
    check(code, what);
  }

  /** What each partition of a topic holds, as most brokers know their leaders. */
  async ranges(topic: string): Promise<OffsetRange[]> {
    await this.agree([topic]);
    const { leaders } = await this.topic(topic);
    return await this.#ranges(leaders.map((_, partition) => ({ topic, partition })));
  }

  /** The same of one partition. */
  async range(at: TopicPartition): Promise<OffsetRange> {
    await this.agree([at.topic]);
    return (await this.#ranges([at]))[0]!;
  }

  async #ranges(all: readonly TopicPartition[]): Promise<OffsetRange[]> {
    const [first, end] = await Promise.all([
      this.offsets(all, "first"),
      this.offsets(all, "end"),
    ]);
    return all.map((_, index) => ({ first: first[index]!, end: end[index]! }));
  }

  /** First or end offset of partitions, from their leaders, in the order asked. */
  async offsets(all: readonly TopicPartition[], which: "first" | "end"): Promise<number[]> {
    const timestamp = which === "first" ? FIRST : END;
    const found = new Map<string, number>();
    const ask = async (leader: number, group: readonly TopicPartition[]) => {
      const epochs = await Promise.all(group.map((at) => this.leaderEpoch(at)));
      const entries = group.map(({ topic, partition }, index) => ({
        topic,
        partition_index: partition,
        current_leader_epoch: epochs[index]!,
        timestamp,
      }));
      const topics = [...Map.groupBy(entries, ({ topic }) => topic)]
        .map(([name, partitions]) => ({ name, partitions }));
      const answer = await this.call("main", leader, listOffsets, {
        replica_id: CLIENT,
        isolation_level: READ_UNCOMMITTED,
        topics,
      });
      for (const { name, partitions } of answer.topics) {
        for (const { partition_index, error_code, offset } of partitions) {
          if (error_code !== 0) this.forget(name);
          const at = { topic: name, partition: partition_index };
          check(error_code, `Asking for the ${which} offset of ${partitionId(at)}`);
          found.set(partitionId(at), offset);
        }
      }
    };
    await Promise.all([...await this.byLeader(all)].map(([leader, group]) => ask(leader, group)));
    return all.map((at) => found.get(partitionId(at))!);
  }

  /** Ends all connections; work under way fails with the reason. */
  async close(reason?: Error): Promise<void> {
    if (!this.#stop.signal.aborted) this.#stop.abort(reason);
    for (const link of this.#links.values()) link.destroy();
  }

  #place(topic: Metadata["topics"][number]): void {
    const { name, error_code, topic_id } = topic;
    if (name === null) return;
    this.#doubted.delete(name);
    if (error_code !== 0) {
      this.#topics.delete(name);
      this.#refusals.set(name, errorName(error_code));
      return;
    }
    const id = topic_id === NO_UUID ? "" : topic_id;
    const known = this.#topics.get(name);
    const before = id !== "" && known?.id === id ? known : undefined;
    // Who does not know of a new leader may not know of added partitions either.
    const leaders = [...before?.leaders ?? []];
    const leader_epochs = [...before?.leader_epochs ?? []];
    for (const { partition_index: at, leader_id, leader_epoch } of topic.partitions) {
      const isOld = leader_epoch < (before?.leader_epochs[at] ?? -1);
      leaders[at] = isOld ? before!.leaders[at]! : leader_id;
      leader_epochs[at] = isOld ? before!.leader_epochs[at]! : leader_epoch;
    }
    const replication_factor = topic.partitions[0]?.replica_nodes.length ?? 0;
    this.#topics.set(name, { id, replication_factor, leaders, leader_epochs });
  }

  async #callAny<Question, Answer>(
    use: ConnectionUse,
    request: Request<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    const all = this.#allAddresses();
    // The one that answered last comes first: a frozen broker costs a timeout at every question.
    const first = Math.max(0, all.indexOf(this.#answered ?? ""));
    const faults: Error[] = [];
    for (const address of [...all.slice(first), ...all.slice(0, first)]) {
      try {
        const answer = await this.#callAt(use, address, request, question);
        this.#answered = address;
        return answer;
      } catch (error) {
        this.signal.throwIfAborted();
        if (error instanceof ConfigError) throw error;
        faults.push(error as Error);
      }
    }
    if (faults.length === 1) throw faults[0];
    throw new RetryableError(
      `Cannot reach any Kafka broker: ${faults.map(({ message }) => message).join("; ")}`,
      { cure: "check that the brokers run and that kafka.brokers names their ports" },
    );
  }

  #allAddresses(): string[] {
    return [...new Set([...this.#nodes.values(), ...this.settings.brokers])];
  }

  #askAnother(): void {
    const all = this.#allAddresses();
    this.#answered = all[(all.indexOf(this.#answered ?? "") + 1) % all.length];
  }

  async #callAt<Question, Answer>(
    use: ConnectionUse,
    address: string,
    request: Request<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    this.signal.throwIfAborted();
    const key = `${use} ${address}`;
    const link = this.#links.get(key) ?? this.#connect(use, key, address);
    try {
      // The request leaves at once: what a producer writes next for others takes milliseconds.
      if (!link.is_ready) await link.ready;
      const asked = performance.now();
      const answer = await link.ask(request, question);
      if (use === "main") {
        this.#round_trip_ms = Math.min(this.#round_trip_ms, performance.now() - asked);
      }
      return answer;
    } catch (error) {
      if (!link.failed) throw unreadable(error, address, request);
      this.signal.throwIfAborted();
      throw await contactFault(error, address, this.settings, this.#answered === undefined);
    }
  }

  /** How long a broker may hold the use's answers back, in milliseconds. */
  #heldBackMs(use: ConnectionUse): number {
    if (use === "fetch") return this.settings.fetch_wait_ms;
    if (use === "join") return this.settings.rebalance_timeout_ms;
    return 0;
  }

  #connect(use: ConnectionUse, key: string, address: string): BrokerConnection {
    const { host } = endpoint(address);
    const { client_id, connect_timeout_ms, request_timeout_ms, sasl } = this.settings;
    const servername = this.#tls?.servername ?? (isIP(host) === 0 ? host : undefined);
    const tls = this.#tls && { ...this.#tls, ...servername === undefined ? {} : { servername } };
    const answer_timeout_ms = request_timeout_ms + this.#heldBackMs(use);
    const settings = { client_id, connect_timeout_ms, answer_timeout_ms, tls, sasl };
    const link = new BrokerConnection(address, settings, () => {
      if (this.#links.get(key) === link) this.#links.delete(key);
    });
    this.#links.set(key, link);
    return link;
  }
}

/** The error for an answer that was not what it should be; any other is as it was. */
function unreadable(error: unknown, address: string, { name, version }: Request<never, unknown>) {
  if (!(error instanceof MalformedMessageError)) return error;
  return new ConfigError(
    `The answer of ${address} to ${name}, version ${version}, cannot be read: ${error.message}`,
    { cure: "check that kafka.brokers names Kafka brokers of 3.2 or later", cause: error },
  );
}

/** Whether a topic has the same leaders as before; false where it is not known any more. */
function isSame(before: TopicPlace, now: TopicPlace | undefined): boolean {
  return now !== undefined && now.id === before.id &&
    String(now.leaders) === String(before.leaders) &&
    String(now.leader_epochs) === String(before.leader_epochs);
}

/** Resolves when more than half have, or all that will; throws as the first when none does. */
function most(all: readonly Promise<void>[]): Promise<void> {
  if (all.length === 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    let [done, failed] = [0, 0];
    let first: unknown;
    const look = () => {
      const isOver = done + failed === all.length;
      if (done * 2 > all.length || (isOver && done > 0)) resolve();
      else if (isOver) reject(first);
    };
    for (const one of all) {
      one.then(() => done++, (error) => {
        failed++;
        first ??= error;
      }).then(look);
    }
  });
}
