/** Records of a partition one by one, where rates do not matter. */
import type { Admin, InRecord, TopicPartition } from "./port.ts";

/** The records from offset `from` up to `to` (exclusive). */
export async function* recordsOf(
  admin: Pick<Admin, "read">,
  at: TopicPartition,
  from: number,
  to: number,
): AsyncGenerator<InRecord> {
  for await (const { records } of admin.read(at, from, to)) yield* records;
}
