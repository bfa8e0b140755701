/** What a consume job says, apart from the loop: whoever only reads jobs loads no more. */
import { z } from "zod";
import { type FormatName, formats } from "../formats/mod.ts";
import { topicName } from "./routing.ts";
import { choiceProblem, type TopicChoice } from "./topics.ts";

/** What a consume job has beside `job`, `name`, `kafka`, `sink` and `observe`. */
export const consumeOptions = {
  topics: z.array(z.string().min(1)).min(1).optional()
    .describe("Names of the topics to read."),
  topic_pattern: z.string().min(1).optional()
    .describe("Instead of `topics`: a regular expression that whole names must match."),
  group_id: z.string().min(1).optional()
    .describe("Consumer group; left out, the job's name. Consumers of one group share partitions."),
  consumer_id: z.string().regex(/^[A-Za-z0-9._-]{1,64}$/, "1 to 64 letters, digits, `.`, `_`, `-`")
    .default("1")
    .describe("Tells this consumer from others of its group in file names."),
  format: z.enum(Object.keys(formats) as [FormatName, ...FormatName[]]).default("json")
    .describe("How the changes were written on Kafka; records of another format stop the job."),
  mode: z.enum(["stream", "batch"]).default("stream")
    .describe(
      "`stream` runs until it is stopped; `batch` ends where the partitions ended at the start.",
    ),
  // A crash repeats at most this much work; each flush waits for the disk.
  flush_interval_ms: z.int().min(10).max(600_000).default(1_000)
    .describe("Changes are made durable, and the group's offsets committed, at least this often."),
  // A tenth of a second of the fastest stream seen, far more than a disk's cache wants at once.
  flush_bytes: z.int().min(1_024).max(1 << 30).default(32 << 20)
    .describe("The same after this many bytes of records, over all partitions of this consumer."),
  // Topics are made rarely, and asking is one small request.
  topic_refresh_ms: z.int().min(100).max(3_600_000).default(10_000)
    .describe("How often to look for new topics that match, in `mode: stream`."),
  on_history_lost: z.literal("fail").default("fail")
    .describe(
      "What to do when the topic no longer has what comes next (retention, or a recreated topic): `fail`.",
    ),
  // What is passed over is missing in the target, and nobody may have asked for that.
  on_error: z.enum(["fail", "skip", "dead_letter"]).default("fail")
    .describe(
      "What to do with a record that cannot be applied (no change in this format, an unknown" +
        " definition, a row that the target refuses): `fail` stops the job with the place and the" +
        " cure, `skip` logs, counts and goes on, `dead_letter` puts it on another topic first. A" +
        " change in another format than `format` always stops the job.",
    ),
  dead_letter_topic: topicName.optional()
    .describe(
      "Topic for `on_error: dead_letter`, made when the first record needs it; left out," +
        " `{group_id}.dead-letters`.",
    ),
  // A journal holds some 40 bytes for each, and so many are no accident.
  dead_letter_limit: z.int().min(1).max(100_000).default(1_000)
    .describe(
      "How many dead letters of one partition may wait to be replayed; one more stops the job.",
    ),
};

/** Says what is wrong with options together: which field, and why; undefined: nothing. */
export function consumeProblem(
  job: TopicChoice & PoisonJob,
): { field: string; message: string } | undefined {
  return choiceProblem(job) ?? poisonProblem(job);
}

function poisonProblem(
  job: PoisonJob & { readonly topics?: readonly string[] | undefined },
): { field: "topics" | "dead_letter_topic"; message: string } | undefined {
  if (job.on_error !== "dead_letter") return undefined;
  const topic = deadLetterTopic(job);
  if (!consumeOptions.dead_letter_topic.safeParse(topic).success) {
    const found = JSON.stringify(topic);
    return {
      field: "dead_letter_topic",
      message: `${found} is made of \`group_id\` and is no name for a topic: give one`,
    };
  }
  if (!job.topics?.includes(topic)) return undefined;
  return { field: "topics", message: `${topic} is this job's own dead letter topic` };
}

/** The part of a job that says what becomes of records that cannot be applied. */
export interface PoisonJob {
  readonly name: string;
  readonly group_id?: string | undefined;
  readonly on_error: "fail" | "skip" | "dead_letter";
  readonly dead_letter_topic?: string | undefined;
  readonly dead_letter_limit: number;
}

/** The consumer group of a job. */
export function groupOf({ name, group_id }: Pick<PoisonJob, "name" | "group_id">): string {
  return group_id ?? name;
}

/** Name of a job's dead letter topic. */
export function deadLetterTopic(
  job: Pick<PoisonJob, "name" | "group_id" | "dead_letter_topic">,
): string {
  return job.dead_letter_topic ?? `${groupOf(job)}.dead-letters`;
}
