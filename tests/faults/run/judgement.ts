/** Whether what was found is what was committed: each change once, unaltered, in order for each row. */
import type { History, Ledger } from "./ledger.ts";

/** One change of a row as found in a topic or in files, in the order in which it stands there. */
export interface Found {
  readonly id: number;
  /** `u-` is the row that went with an update: files hold an update as two rows. */
  readonly op: "c" | "u" | "d" | "u-";
  /** Undefined where only the key was carried. */
  readonly version?: number | undefined;
  readonly note?: string | undefined;
}

/** How many changes are not there, there more than once, or there otherwise than committed. */
export interface Verdict {
  lost: number;
  repeated: number;
  altered: number;
  /** The first of them, in words. */
  readonly examples: string[];
}

const MOST_EXAMPLES = 10;

/** A verdict without a fault. */
export function clean(): Verdict {
  return { lost: 0, repeated: 0, altered: 0, examples: [] };
}

/** Compares `found` with the ledger; `halves`: an update stands there as `u-` and `u`. */
export function judge(
  where: string,
  ledger: Ledger,
  found: Iterable<Found>,
  halves: boolean,
): Verdict {
  const verdict = clean();
  const byRow = Map.groupBy(found, ({ id }) => id);
  for (const [id, history] of ledger.histories) {
    judgeRow(`${where}, row ${id}`, expectedOf(history, halves), byRow.get(id) ?? [], verdict);
    byRow.delete(id);
  }
  for (const [id, rows] of byRow) {
    for (const row of rows) {
      say(verdict, "altered", `${where}, row ${id}: nobody wrote ${text(row)}`);
    }
  }
  return verdict;
}

interface Expected {
  readonly op: Found["op"];
  readonly version: number;
  readonly note: string;
}

function expectedOf({ notes, deleted }: History, halves: boolean): Expected[] {
  const changes = notes.flatMap((note, index): Expected[] => {
    const version = index + 1;
    if (index === 0) return [{ op: "c", version, note }];
    const went: Expected = { op: "u-", version: index, note: notes[index - 1]! };
    return [...halves ? [went] : [], { op: "u", version, note }];
  });
  const last = { version: notes.length, note: notes.at(-1)! };
  return deleted ? [...changes, { op: "d", ...last }] : changes;
}

/**
 * Walks both in order. What is found after its place is out of order, which counts as altered; what
 * is found again is repeated; what never comes is lost.
 */
function judgeRow(
  place: string,
  expected: readonly Expected[],
  found: readonly Found[],
  verdict: Verdict,
): void {
  const seen = new Set<number>();
  let last = -1;
  for (const row of found) {
    const at = placeOf(row, expected, seen);
    if (at === undefined) say(verdict, "altered", `${place}: nobody wrote ${text(row)}`);
    else if (seen.has(at)) say(verdict, "repeated", `${place}: ${text(row)} stands there again`);
    else {
      seen.add(at);
      if (at < last) say(verdict, "altered", `${place}: ${text(row)} comes too late`);
      else last = at;
      if (row.note !== undefined && row.note !== expected[at]!.note) {
        say(verdict, "altered", `${place}: ${text(row)}, written was ${expected[at]!.note}`);
      }
    }
  }
  expected.forEach((row, at) => {
    if (!seen.has(at)) say(verdict, "lost", `${place}: ${text(row)} is missing`);
  });
}

/** Which expected change this is. Without a version, the first of its kind that has not come yet. */
function placeOf(
  { op, version }: Found,
  expected: readonly Expected[],
  seen: ReadonlySet<number>,
): number | undefined {
  const places = expected.flatMap((row, at) =>
    row.op === op && (version === undefined || row.version === version) ? [at] : []
  );
  return places.find((at) => !seen.has(at)) ?? places[0];
}

function text({ op, version, note }: Omit<Found, "id">): string {
  return [op, version === undefined ? "" : `version ${version}`, note ?? ""].join(" ").trim();
}

function say(verdict: Verdict, kind: "lost" | "repeated" | "altered", example: string): void {
  verdict[kind]++;
  if (verdict.examples.length < MOST_EXAMPLES) verdict.examples.push(`${kind}: ${example}`);
}
