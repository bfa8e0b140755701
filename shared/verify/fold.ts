/** From the changes of one key, as CSV files hold them, to the row that is left. */

/** A cell: text, null, or undefined for a value that the log did not carry. */
export type Cell = string | null | undefined;

/** One line of a CSV file. */
export interface Entry {
  /** True: the row is there from now on; false: it is gone. */
  readonly insert: boolean;
  /** What happened: `c`, `u`, `d`, `r`; null where the files do not say. */
  readonly op: string | null;
  /** Text form of the change's position. */
  readonly position: string;
  readonly cells: readonly Cell[];
  /** Which file, by its number in the list of files. */
  readonly file: number;
  /** Number of the row in its file, from 1, the header not counted. */
  readonly row: number;
}

/** What a key's entries come to. */
export interface Folded {
  /** The row that is left; undefined: none is. */
  readonly cells: readonly Cell[] | undefined;
  /** The entry that decided; it names the file. */
  readonly last: Entry;
  /** Entries whose position and kind another entry has as well: repetitions. */
  readonly repeated: readonly Entry[];
  /** The first entry that does not follow from those before it. */
  readonly gap: { readonly entry: Entry; readonly reason: string } | undefined;
}

/**
 * Folds the entries of one key, of which there is at least one, in any order: the highest position
 * wins, and at one position, where an update wrote a delete and an insert, the insert. Values that
 * the log did not carry are those of the row before.
 *
 * Changes that a later one has covered leave no trace in the result, so the history is looked at as
 * well: a row must be there to be updated or deleted, must not be there to be created, goes with the
 * values it came with, and both halves of an update must be there.
 */
export function fold(entries: readonly Entry[]): Folded {
  const ordered = entries.length === 1 ? entries : [...entries].sort(byPosition);
  const repeated: Entry[] = [];
  let known: readonly Cell[] | undefined;
  let gone: readonly Cell[] = [];
  let gap: Folded["gap"];
  for (let at = 0; at < ordered.length; at++) {
    const entry = ordered[at]!;
    const before = ordered[at - 1];
    if (before !== undefined && samePosition(before, entry) && before.insert === entry.insert) {
      repeated.push(entry);
      continue;
    }
    const other = entry.insert ? before : nextInsert(ordered, at);
    const paired = other !== undefined && other.insert !== entry.insert &&
      samePosition(other, entry);
    gap ??= gapAt(entry, paired, known);
    if (entry.insert) known = filled(entry.cells, known ?? gone);
    else {
      gone = known ?? [];
      known = undefined;
    }
  }
  return { cells: known, last: ordered.at(-1)!, repeated, gap };
}

function byPosition(a: Entry, b: Entry): number {
  if (a.position !== b.position) return a.position < b.position ? -1 : 1;
  return Number(a.insert) - Number(b.insert);
}

function samePosition(a: Entry, b: Entry): boolean {
  return a.position === b.position;
}

/** The insert that may be the other half of the delete at `at`; repetitions stand between. */
function nextInsert(ordered: readonly Entry[], at: number): Entry | undefined {
  let next = at + 1;
  while (next < ordered.length && !ordered[next]!.insert) next++;
  return ordered[next];
}

function gapAt(
  entry: Entry,
  paired: boolean,
  known: readonly Cell[] | undefined,
): Folded["gap"] {
  const found = (reason: string) => ({ entry, reason });
  if (entry.op === "u" && !paired) {
    return found(`half of this update is missing: its ${entry.insert ? "delete" : "insert"} row`);
  }
  if (entry.insert) {
    const mayBeThere = entry.op === "r" || entry.op === null || paired;
    return known === undefined || mayBeThere
      ? undefined
      : found("created while an older row of this key is there: its delete is missing");
  }
  if (known === undefined) {
    return found("the row is deleted before it was inserted: its insert is missing");
  }
  const differs = entry.cells.some((cell, at) =>
    cell !== undefined && known[at] !== undefined && cell !== known[at]
  );
  return differs ? found("the deleted row differs from the inserted one") : undefined;
}

function filled(cells: readonly Cell[], known: readonly Cell[]): readonly Cell[] {
  return cells.includes(undefined)
    ? cells.map((cell, at) => cell === undefined ? known[at] : cell)
    : cells;
}
