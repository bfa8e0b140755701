/** A source read to its end, without Kafka, and the rows that its changes come to. */
import type { Change } from "../shared/change.ts";
import { keyText } from "../shared/formats/key.ts";
import type { OpenOptions, Source } from "../shared/sources/source.ts";
import { rowWriter } from "../shared/wire/value_text.ts";

/** All changes that the source's log holds after `resume`; the rows of its tables where it takes a snapshot. */
export async function captured(source: Source, resume: OpenOptions["resume"]) {
  const changes: Change[] = [];
  const generation = 1;
  await source.open({ resume, generation });
  const batches = source.batches({ to_end: true, signal: AbortSignal.timeout(60_000) });
  try {
    for await (const batch of batches) changes.push(...batch.changes);
  } finally {
    await source.close();
  }
  return changes;
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
