/** What the group and the journals of a consume-csv job say, beside what the topics hold. */
import type { Admin } from "../../shared/kafka/port.ts";
import { groupOf } from "../../shared/pipeline/consume_options.ts";
import { topicMatcher } from "../../shared/pipeline/topics.ts";
import { disk } from "../../shared/sinks/csv/disk.ts";
import { journalPath, readJournal } from "../../shared/sinks/csv/journal.ts";
import { table } from "../cli/table.ts";
import type { JobOf } from "../jobs.ts";

/** One partition as a consumer stands in it. Offsets are of the next record. */
interface ReadPartition {
  readonly topic: string;
  readonly partition: number;
  /** Null: the group has committed none. */
  readonly committed_offset: number | null;
  /** Null: this folder has no journal of it, or the job writes no files. */
  readonly journal_offset: number | null;
  readonly end_offset: number;
  /** Offsets between what is durable and the end. */
  readonly lag_records: number;
  /** Last position written to the files, by source. */
  readonly positions: Readonly<Record<string, string>>;
}

/** A consumer as `show` tells of it; plain JSON. */
export interface ConsumerStanding {
  readonly job: string;
  readonly group_id: string;
  readonly partitions: readonly ReadPartition[];
}

/** Reads it all and changes nothing. */
export async function consumerStanding(
  job: JobOf<"consume-csv">,
  admin: Admin,
): Promise<ConsumerStanding> {
  const group_id = groupOf(job);
  const topics = await admin.topics(topicMatcher(job));
  const partitions: ReadPartition[] = [];
  for (const { name: topic } of topics.toSorted((a, b) => a.name < b.name ? -1 : 1)) {
    const committed = await admin.committed(group_id, topic);
    for (const [partition, { first, end }] of (await admin.offsets(topic)).entries()) {
      const journal = job.sink === "none"
        ? undefined
        : readJournal(disk, journalPath(job.sink.output, { topic, partition }));
      const journal_offset = journal?.next_offset ?? null;
      const committed_offset = committed[partition] ?? null;
      partitions.push({
        topic,
        partition,
        committed_offset,
        journal_offset,
        end_offset: end,
        lag_records: Math.max(0, end - (journal_offset ?? committed_offset ?? first)),
        positions: journal?.positions ?? {},
      });
    }
  }
  return { job: job.name, group_id, partitions };
}

/** The same for people. */
export function consumerText({ job, group_id, partitions }: ConsumerStanding): string {
  if (partitions.length === 0) return `No topic that job ${job} reads is there yet.`;
  const rows = partitions.map(({ topic, partition, positions, ...offsets }) => [
    topic,
    ...[partition, offsets.committed_offset, offsets.journal_offset, offsets.end_offset]
      .map((number) => String(number ?? "-")),
    String(offsets.lag_records),
    Object.entries(positions).map(([source, position]) => `${source} ${position}`).join(", "),
  ]);
  const header = ["topic", "partition", "committed", "journal", "end", "lag", "positions"];
  return [`Group ${group_id}:`, "", table(header, rows)].join("\n");
}
