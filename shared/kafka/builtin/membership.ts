/** One member of a consumer group, on the classic protocol: join, sync, heartbeat, commit, leave. */
import { RetryableError } from "../../errors.ts";
import { ASSIGNMENT_PROTOCOL, byTopic, dealPartitions } from "../assignment.ts";
import { errorName } from "../error_names.ts";
import type { TopicPartition } from "../port.ts";
import {
  type AnswerTo,
  assignment,
  heartbeat,
  joinGroup,
  leaveGroup,
  offsetCommit,
  type Request,
  subscription,
  syncGroup,
} from "../requests.ts";
import { closedError } from "../retry.ts";
import type { Cluster, ConnectionUse } from "./cluster.ts";

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

type Joined = AnswerTo<typeof joinGroup>;

/** The kind of groups that share topics among consumers. */
const PROTOCOL_TYPE = "consumer";

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
    this.#generation = joined.generation_id;
    this.#counts = undefined; // another member may be the leader now
    const assignments = joined.leader === this.#member_id ? await this.#assign(joined) : [];
    const synced = await this.#ask("join", syncGroup, {
      ...this.#self(),
      protocol_type: PROTOCOL_TYPE,
      protocol_name: ASSIGNMENT_PROTOCOL,
      assignments,
    });
    this.#accept(synced.error_code, "Taking an assignment from");
    if (synced.assignment.length === 0) return [];
    return assignment.decode(synced.assignment).topics
      .flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
  }

  /** Tells the coordinator that this member lives. Throws RetryableError when it cannot be asked. */
  async heartbeat(): Promise<Pulse> {
    const { error_code } = await this.#ask("group", heartbeat, this.#self());
    const name = errorName(error_code);
    if (name === "REBALANCE_IN_PROGRESS") return "rebalance";
    if (LOST.has(name)) {
      this.#forget(name);
      return "lost";
    }
    this.#accept(error_code, "The heartbeat to");
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
        partition_index: partition,
        committed_offset: next_offset,
        committed_leader_epoch: -1,
        committed_metadata: null,
      })),
    }));
    const answer = await this.#ask("group", offsetCommit, { ...this.#self(), topics });
    const codes = answer.topics.flatMap(({ partitions }) => partitions)
      .map(({ error_code }) => error_code);
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
    const { group_id, member_id, group_instance_id } = this.#self();
    const members = [{ member_id, group_instance_id, reason: "closed" }];
    await this.#ask("group", leaveGroup, { group_id, members });
  }

  /** As what the coordinator knows it. */
  #self() {
    return {
      group_id: this.#options.group_id,
      generation_id: this.#generation,
      member_id: this.#member_id,
      group_instance_id: null,
    };
  }

  async #enter(): Promise<Joined> {
    const { group_id, topics, session_timeout_ms } = this.#options;
    for (;;) {
      const metadata = subscription.encode({ version: 0, topics, user_data: null });
      const joined = await this.#ask("join", joinGroup, {
        group_id,
        session_timeout_ms,
        rebalance_timeout_ms: this.#cluster.settings.rebalance_timeout_ms,
        member_id: this.#member_id,
        group_instance_id: null,
        protocol_type: PROTOCOL_TYPE,
        protocols: [{ name: ASSIGNMENT_PROTOCOL, metadata }],
      });
      if (errorName(joined.error_code) !== "MEMBER_ID_REQUIRED") {
        this.#accept(joined.error_code, "Joining");
        this.#member_id = joined.member_id;
        return joined;
      }
      this.#member_id = joined.member_id;
      if (this.#leaving) throw closedError("membership");
    }
  }

  async #assign(joined: Joined) {
    const members = joined.members.map(({ member_id, metadata }) => ({
      member_id,
      topics: subscription.decode(metadata).topics,
    }));
    const topics = new Set(members.flatMap(({ topics }) => topics));
    this.#counts = await this.#partitionCounts([...topics]);
    return [...dealPartitions(members, this.#counts)].map(([member_id, partitions]) => ({
      member_id,
      assignment: assignment.encode({
        version: 0,
        topics: [...byTopic(partitions)].map(([topic, partitions]) => ({ topic, partitions })),
        user_data: null,
      }),
    }));
  }

  async #partitionCounts(topics: readonly string[]): Promise<Map<string, number>> {
    const answer = await this.#cluster.refresh(topics);
    return new Map(answer.topics.map(({ name, partitions }) => [name!, partitions.length]));
  }

  /** Asks the coordinator; after a failure the next question looks for it anew. */
  async #ask<Question, Answer>(
    use: ConnectionUse,
    request: Request<Question, Answer>,
    question: Question,
  ): Promise<Answer> {
    try {
      this.#coordinator ??= await this.#cluster.coordinator("group", this.#options.group_id);
      return await this.#cluster.call(use, this.#coordinator, request, question);
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
    this.#cluster.checkCoordinator(code, refused);
  }

  #forget(name: string): void {
    this.#counts = undefined;
    if (name !== "ILLEGAL_GENERATION") this.#member_id = "";
  }
}
