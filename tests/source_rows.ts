/** A source read to its end, without Kafka, and the rows that its changes come to. */
import assert from "node:assert/strict";
import type { Change } from "../shared/change.ts";
import { keyText } from "../shared/formats/key.ts";
import type { ResumePoint, Source, SourceBatch } from "../shared/sources/source.ts";
import { rowWriter } from "../shared/wire/value_text.ts";
import { DEADLINE_MS } from "./until.ts";

/** All batches from `resume` to the end of the log as it stands; without one, with what the start reads. */
export async function batchesToEnd(
  source: Source,
  resume: ResumePoint | undefined,
): Promise<SourceBatch[]> {
  const batches: SourceBatch[] = [];
  const signal = AbortSignal.timeout(DEADLINE_MS);
  await source.open({ resume, generation: 1 });
  try {
    for await (const batch of source.batches({ to_end: true, signal })) batches.push(batch);
  } finally {
    await source.close();
  }
  assert.ok(!signal.aborted, `the end did not come within ${DEADLINE_MS} ms`);
  return batches;
}

/** The changes of these batches. */
export async function captured(
  source: Source,
  resume: ResumePoint | undefined,
): Promise<Change[]> {
  return (await batchesToEnd(source, resume)).flatMap(({ changes }) => changes);
}

/** What the changes come to: each row under its key with the schema of its columns. */
export function lastRows(changes: readonly Change[]): string[] {
  const rows = new Map<string, { text: string; count: number }>();
  for (const change of changes) {
    const { table, op } = change;
    const name = JSON.stringify(table.table);
    const key = `${name} ${keyText(change)}`;
    if (op === "t") {
      for (const held of rows.keys()) if (held.startsWith(name)) rows.delete(held);
      continue;
    }
    const before = table.key.length > 0 ? 0 : rows.get(key)?.count ?? 0;
    const text = `${key} ${JSON.stringify(table.columns)} ${
      rowWriter(table.columns)((change.after ?? change.before)!)
    }`;
    rows.set(key, { text, count: op === "d" ? before - 1 : before + 1 });
  }
  return [...rows.values()].flatMap(({ text, count }) =>
    Array<string>(Math.max(0, count)).fill(text)
  )
    .sort();
}
