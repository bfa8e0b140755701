/** What a verification found. */
import type { Cell } from "./fold.ts";

/** A row as an object, column by column; a value that the files do not hold is left out. */
export type NamedRow = Readonly<Record<string, string | null>>;

/** One place where files and table do not agree. */
export interface Difference {
  /**
   * `missing`: in the table only. `unexpected`: in the files only. `different`: in both, with other
   * values. `repeated`: one change stands in the files twice. `gap`: a change does not follow from
   * those before it.
   */
  readonly kind: "missing" | "unexpected" | "different" | "repeated" | "gap";
  /** The key's columns, or all where there is no key. */
  readonly key: NamedRow;
  /** What the files say; null: no such row. */
  readonly found: NamedRow | null;
  /** What the table says; null: no such row. For `repeated` and `gap` null as well. */
  readonly expected: NamedRow | null;
  /** What is wrong, in words: which column, how often, why. */
  readonly reason: string;
  /** Where the files say it: `list/inserts-0-00000001.csv row 17`. */
  readonly places: readonly string[];
}

/** What a verification found, in all. */
export interface VerifyResult {
  readonly verified: boolean;
  /** Rows in the table. */
  readonly rows_expected: number;
  /** Rows of the list rebuilt from the files. */
  readonly rows_found: number;
  /** Rows that were compared column by column: those on both sides. */
  readonly rows_compared: number;
  /** Sums of all rows' hashes: equal for equal lists. */
  readonly checksum_expected: string;
  readonly checksum_found: string;
  /** Lines read from the files, and how many files that were. */
  readonly lines_read: number;
  readonly files_read: number;
  /** Differences in all, repetitions and gaps included. */
  readonly difference_count: number;
  /** Lines that say again what another line says. */
  readonly repetitions: number;
  /** The first of them in the order of the keys. */
  readonly differences: readonly Difference[];
}

/** Names the cells. */
export function namedRow(columns: readonly string[], cells: readonly Cell[]): NamedRow {
  const pairs = columns.map((name, at) => [name, cells[at]] as const);
  return Object.fromEntries(
    pairs.filter((pair): pair is readonly [string, string | null] => pair[1] !== undefined),
  );
}

/** Keeps the first differences in the order of their keys, and counts all. */
export class Differences {
  readonly #limit: number;
  readonly #kept: { key: string; difference: Difference }[] = [];
  #count = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get count(): number {
    return this.#count;
  }

  /** `key`: text that the order goes by. `make` is called only for what is kept. */
  add(key: string, make: () => Difference): void {
    this.#count++;
    const kept = this.#kept;
    const full = kept.length >= this.#limit;
    if (full && (kept.length === 0 || compareKeys(key, kept.at(-1)!.key) >= 0)) return;
    const at = kept.findIndex((other) => compareKeys(key, other.key) < 0);
    kept.splice(at === -1 ? kept.length : at, 0, { key, difference: make() });
    if (kept.length > this.#limit) kept.pop();
  }

  list(): Difference[] {
    return this.#kept.map(({ difference }) => difference);
  }
}

const INTEGER = /^-?\d{1,15}$/;

function compareKeys(a: string, b: string): number {
  if (INTEGER.test(a) && INTEGER.test(b)) return Number(a) - Number(b);
  return a < b ? -1 : a > b ? 1 : 0;
}
