/** One member of a consumer group, on the classic protocol: join, sync, heartbeat, commit, leave. */
import {
  type API,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  heartbeatV4,
  joinGroupV7,
  leaveGroupV5,
  offsetCommitV8,
  syncGroupV5,
} from "@platformatic/kafka";
import { RetryableError } from "../../errors.ts";
import { ASSIGNMENT_PROTOCOL, byTopic, dealPartitions } from "../assignment.ts";
import type { TopicPartition } from "../port.ts";
import { closedError } from "../retry.ts";
import { check, type Cluster, errorName, type Lane } from "./cluster.ts";

/** What the coordinator says to a heartbeat. */
export type Pulse = "ok" | "rebalance" | "lost";

/** The group goes on without this member under its old id or generation. */
const LOST = new Set(["UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "FENCED_INSTANCE_ID"]);

/** What a member needs to know. */
export interface MembershipOptions {
  readonly group_id: string;
  readonly topics: readonly string[];
  readonly session_timeout_ms: number;
}

type Joined = ReturnType<typeof joinGroupV7.parseResponse>;

/** A member of a group; it holds no partitions itself. */
export class Membership {
  readonly #cluster: Cluster;
  readonly #options: MembershipOptions;
  #coordinator: number | undefined;
  #member_id = "";
  #generation = -1;
  /** Partition counts that the assignment was made from; only the leader of the group knows. */
  #counts: ReadonlyMap<string, number> | undefined;
  /** The entry under way, or the last one; never rejects. */
  #entering: Promise<unknown> = Promise.resolve();
  #leaving = false;

  constructor(cluster: Cluster, options: MembershipOptions) {
    this.#cluster = cluster;
    this.#options = options;
  }

  /** Enters the group's next generation and answers which partitions are this member's. */
  async join(): Promise<TopicPartition[]> {
    const entry = this.#enter();
    this.#entering = entry.catch(() => {});
    const joined = await entry;
    this.#generation = joined.generationId;
    this.#counts = undefined; // another member may be the leader now
    const assignments = joined.leader === this.#member_id ? await this.#assign(joined) : [];
    const { errorCode, assignment } = await this.#ask(
      "join",
      syncGroupV5.api,
      this.#options.group_id,
      this.#generation,
      this.#member_id,
      null,
      "consumer",
      ASSIGNMENT_PROTOCOL,
      assignments,
    );
    this.#accept(errorCode, "Taking an assignment from");
    return decodeConsumerProtocolAssignment(assignment).assignedPartitions
      .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
  }

  /** Tells the coordinator that this member lives. Throws RetryableError when it cannot be asked. */
  async heartbeat(): Promise<Pulse> {
    const { errorCode } = await this.#ask(
      "group",
      heartbeatV4.api,
      this.#options.group_id,
      this.#generation,
      this.#member_id,
      null,
    );
    const name = errorName(errorCode);
    if (name === "REBALANCE_IN_PROGRESS") return "rebalance";
    if (LOST.has(name)) {
      this.#forget(name);
      return "lost";
    }
    this.#accept(errorCode, "The heartbeat to");
    return "ok";
  }

  /**
   * Whether the assignment was made without some topic: a broker learns of a new one later than
   * others, and the one that was asked did not know it.
   */
  get lacksTopics(): boolean {
    return [...this.#counts?.values() ?? []].includes(0);
  }

  /** Whether the topics have other partitions than the assignment was made from (the group's leader knows). */
  async outdated(): Promise<boolean> {
    const counted = this.#counts;
    if (counted === undefined) return false;
    const counts = await this.#partitionCounts([...counted.keys()]);
    // A commit may have been refused meanwhile: the assignment is over then, whatever it was made from.
    if (this.#counts !== counted) return false;
    return [...counts].some(([topic, count]) => counted.get(topic) !== count);
  }

  /**
   * Commits offsets in the generation that this member is in. Throws RetryableError when the group
   * has gone on to another.
   */
  async commit(
    offsets: readonly (TopicPartition & { readonly next_offset: number })[],
  ): Promise<void> {
    const topics = [...Map.groupBy(offsets, ({ topic }) => topic)].map(([name, all]) => ({
      name,
      partitions: all.map(({ partition, next_offset }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(next_offset),
        committedLeaderEpoch: -1,
        committedMetadata: null,
      })),
    }));
    const response = await this.#ask(
      "group",
      offsetCommitV8.api,
      this.#options.group_id,
      this.#generation,
      this.#member_id,
      null,
      topics,
    );
    const codes = response.topics.flatMap(({ partitions }) => partitions)
      .map(({ errorCode }) => errorCode);
    this.#accept(codes.find((code) => code !== 0) ?? 0, "Committing to");
  }

  /**
   * Leaves the group for good, so that the others need not wait for the session to end. Of a first
   * entry the answer is awaited: it names the member, for which the group waits from then on.
   */
  async leave(): Promise<void> {
    this.#leaving = true;
    if (this.#member_id === "") await this.#entering;
    if (this.#member_id === "") return;
    await this.#ask("group", leaveGroupV5.api, this.#options.group_id, [{
      memberId: this.#member_id,
      groupInstanceId: null,
      reason: "closed",
    }]);
  }

  async #enter(): Promise<Joined> {
    const { group_id, topics, session_timeout_ms } = this.#options;
    for (;;) {
      const joined = await this.#ask(
        "join",
        joinGroupV7.api,
        group_id,
        session_timeout_ms,
        this.#cluster.settings.rebalance_timeout_ms,
        this.#member_id,
        null,
        "consumer",
        [{
          name: ASSIGNMENT_PROTOCOL,
          metadata: encodeConsumerProtocolSubscription({ version: 0, topics: [...topics] }),
        }],
        null,
      );
      if (errorName(joined.errorCode) !== "MEMBER_ID_REQUIRED") {
        this.#accept(joined.errorCode, "Joining");
        this.#member_id = joined.memberId!;
        return joined;
      }
      this.#member_id = joined.memberId!;
      if (this.#leaving) throw closedError("membership");
    }
  }

  async #assign(joined: Joined) {
    const members = joined.members!.map(({ memberId, metadata }) => ({
      member_id: memberId,
      topics: decodeConsumerProtocolSubscription(metadata!).topics,
    }));
    const topics = new Set(members.flatMap(({ topics }) => topics));
    this.#counts = await this.#partitionCounts([...topics]);
    return [...dealPartitions(members, this.#counts)].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeConsumerProtocolAssignment({
        version: 0,
        assignedPartitions: [...byTopic(partitions)].map(([topic, partitions]) => ({
          topic,
          partitions,
        })),
      }),
    }));
  }

  async #partitionCounts(topics: readonly string[]): Promise<Map<string, number>> {
    const metadata = await this.#cluster.refresh(topics);
    return new Map(metadata.topics.map((topic) => [topic.name!, topic.partitions.length]));
  }

  /** Asks the coordinator; after a failure the next question looks for it anew. */
  async #ask<Arguments extends unknown[], Response>(
    lane: Lane,
    api: API<Arguments, Response>,
    ...args: Arguments
  ): Promise<Response> {
    try {
      this.#coordinator ??= await this.#cluster.coordinator("group", this.#options.group_id);
      return await this.#cluster.call(lane, this.#coordinator, api, ...args);
    } catch (error) {
      this.#coordinator = undefined;
      throw error;
    }
  }

  /** Throws what a refusal means, and forgets what it makes void. */
  #accept(code: number, what: string): void {
    if (code === 0) return;
    const name = errorName(code);
    const refused = `${what} group ${this.#options.group_id}`;
    if (LOST.has(name)) this.#forget(name);
    if (LOST.has(name) || name === "REBALANCE_IN_PROGRESS") {
      throw new RetryableError(`${refused} was refused: ${name}`, {
        cure: "nothing: the consumer joins the group's next generation by itself",
      });
    }
    this.#coordinator = undefined;
    check(code, refused);
  }

  #forget(name: string): void {
    this.#counts = undefined;
    if (name !== "ILLEGAL_GENERATION") this.#member_id = "";
  }
}
