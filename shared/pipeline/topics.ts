/** Which topics a consumer reads. */
import { ConfigError, HistoryLostError } from "../errors.ts";
import { nearestHint } from "../jobs/nearest.ts";
import type { Admin, TopicInfo } from "../kafka/port.ts";

/** Names, or a pattern that whole names must match; one of the two. */
export interface TopicChoice {
  readonly topics?: readonly string[] | undefined;
  readonly topic_pattern?: string | undefined;
  /** The job's own, where it has another name than the usual. */
  readonly dead_letter_topic?: string | undefined;
}

/** Says what is wrong with a choice: which field, and why; undefined: nothing. */
export function choiceProblem(
  { topics, topic_pattern }: TopicChoice,
): { field: "topics" | "topic_pattern"; message: string } | undefined {
  if (topics === undefined && topic_pattern === undefined) {
    return { field: "topics", message: "name the topics to read, or give a `topic_pattern`" };
  }
  if (topics !== undefined && topic_pattern !== undefined) {
    return { field: "topic_pattern", message: "give `topics` or `topic_pattern`, not both" };
  }
  try {
    if (topic_pattern !== undefined) pattern(topic_pattern);
    return undefined;
  } catch (error) {
    return { field: "topic_pattern", message: (error as Error).message };
  }
}

/**
 * Whether a topic is chosen. Kafka's own topics, list-sync's, dead letters and schema changes
 * never are by a pattern.
 */
export function topicMatcher(
  { topics, topic_pattern, dead_letter_topic }: TopicChoice,
): (name: string) => boolean {
  if (topics !== undefined) {
    const names = new Set(topics);
    return (name) => names.has(name);
  }
  const wanted = pattern(topic_pattern!);
  const others = /^(__|list-sync\.)|\.(dead-letters|schema-changes)$/;
  return (name) => wanted.test(name) && !others.test(name) && name !== dead_letter_topic;
}

function pattern(text: string): RegExp {
  return new RegExp(`^(?:${text})$`, "u");
}

/** The chosen topics that exist, by name, and the names that do not. */
export interface FoundTopics {
  readonly found: ReadonlyMap<string, TopicInfo>;
  readonly missing: readonly string[];
}

/** Looks the chosen topics up. */
export async function findTopics(admin: Admin, choice: TopicChoice): Promise<FoundTopics> {
  const topics = await admin.topics(topicMatcher(choice));
  const found = new Map(topics.map((topic) => [topic.name, topic]));
  return { found, missing: (choice.topics ?? []).filter((name) => !found.has(name)) };
}

/** For a batch, which cannot wait for topics to come. */
export async function refuseMissing(
  admin: Admin,
  choice: TopicChoice,
  { found, missing }: FoundTopics,
): Promise<void> {
  if (missing.length === 0 && found.size > 0) return;
  const all = (await admin.topics((name) => !name.startsWith("__"))).map((topic) => topic.name);
  const [name] = missing;
  throw new ConfigError(
    name === undefined
      ? `No topic matches topic_pattern ${JSON.stringify(choice.topic_pattern)}`
      : `There is no topic ${JSON.stringify(name)}${nearestHint(name, all)}`,
    {
      cure:
        `name topics that exist (${all.length === 0 ? "there are none" : listed(all)}), or use` +
        " `mode: stream`, which waits for them",
    },
  );
}

function listed(names: readonly string[]): string {
  return names.length <= 10 ? names.join(", ") : `${names.slice(0, 10).join(", ")} ...`;
}

/** Throws HistoryLostError when a topic was recreated since it was looked up first. */
export function refuseRemade(before: FoundTopics, after: FoundTopics): void {
  for (const [name, { id }] of before.found) {
    const now = after.found.get(name);
    if (now === undefined || now.id === id) continue;
    throw new HistoryLostError(
      `Topic ${name} was recreated while it was read: its id was ${id} and is ${now.id}`,
      { cure: "write the new topic to a target of its own, under another group_id" },
    );
  }
}
