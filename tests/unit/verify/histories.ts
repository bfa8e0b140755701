/** Random histories of rows: what happened, and the rows that are left. */
import fc from "fast-check";
import type { Cell, Entry } from "../../../shared/verify/fold.ts";

/** Rows have these columns; the first is the key. */
export const COLUMNS = ["id", "category", "note"] as const;

/** Entries in the order of their positions, and the rows that they leave, by key. */
export interface History {
  entries: Entry[];
  rows: Map<string, Cell[]>;
}

interface Step {
  key: number;
  kind: "put" | "delete";
  category: string;
  note: string | null;
}

const step = (keys: number): fc.Arbitrary<Step> =>
  fc.record({
    key: fc.nat(keys - 1),
    kind: fc.constantFrom("put", "put", "put", "delete"),
    category: fc.constantFrom("news", "sports", "food", ""),
    note: fc.oneof(fc.constant(null), fc.string({ unit: "grapheme", maxLength: 8 })),
  });

/**
 * Histories of up to `keys` rows. `images`: whether deleted rows are written whole, as with replica
 * identity FULL, or by their key alone.
 */
export function histories(
  { keys, images = "both" }: { keys: number; images?: "full" | "key" | "both" },
): fc.Arbitrary<History> {
  const full = images === "both" ? fc.boolean() : fc.constant(images === "full");
  return fc.tuple(fc.array(step(keys), { maxLength: 40 }), full)
    .map(([steps, whole]) => run(steps, whole));
}

function run(steps: readonly Step[], whole: boolean): History {
  const rows = new Map<string, Cell[]>();
  const entries: Entry[] = [];
  steps.forEach(({ key, kind, category, note }, at) => {
    const id = String(key);
    const old = rows.get(id);
    if (kind === "delete" && old === undefined) return;
    const position = String(at).padStart(6, "0");
    const op = kind === "delete" ? "d" : old === undefined ? "c" : "u";
    const add = (insert: boolean, cells: Cell[]) =>
      entries.push({ insert, op, position, cells, file: insert ? 0 : 1, row: entries.length + 1 });
    if (old !== undefined) add(false, whole ? old : [id, undefined, undefined]);
    if (kind === "delete") rows.delete(id);
    else {
      rows.set(id, [id, category, note]);
      add(true, [id, category, note]);
    }
  });
  return { entries, rows };
}
