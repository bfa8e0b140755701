/** Compares the list rebuilt from CSV files with a table, bucket by bucket. */
import { RecordError } from "../errors.ts";
import { Checksum } from "./checksum.ts";
import { type Cell, type Entry, fold } from "./fold.ts";
import { keyText, readEntry, readRow, rowLine } from "./lines.ts";
import { type Difference, Differences, namedRow, type VerifyResult } from "./result.ts";

/** What both sides have in common. */
export interface Shape {
  /** Names of the columns that are compared; cells stand in this order. */
  readonly columns: readonly string[];
  /** Indexes of the key's columns; empty: rows are told apart by all their values. */
  readonly key: readonly number[];
  /** Whether lines carry positions. Without, the list is inserts minus deletes. */
  readonly positions: boolean;
  /** Whether each row's history must be whole, from its insert on. */
  readonly complete_history: boolean;
  /** Names of the files, by their numbers. */
  readonly files: readonly string[];
  /** Differences to name. */
  readonly differences: number;
}

/** Lines, some at a time: in this way a bucket is read. */
type Lines = Iterable<readonly string[]>;

/** Takes bucket after bucket and adds up what it finds; memory is that of one bucket's entries. */
export class Comparison {
  readonly #shape: Shape;
  readonly #differences: Differences;
  readonly #expected = new Checksum();
  readonly #found = new Checksum();
  #rows_expected = 0;
  #rows_found = 0;
  #rows_compared = 0;
  #lines = 0;
  #repetitions = 0;

  constructor(shape: Shape) {
    this.#shape = shape;
    this.#differences = new Differences(shape.differences);
  }

  /** Compares one bucket of the files' entries with the table's rows of the same bucket. */
  bucket(entries: Lines, rows: Lines): void {
    if (this.#shape.positions && this.#shape.key.length > 0) this.#byKey(entries, rows);
    else this.#byRow(entries, rows);
  }

  /** What was found in all buckets together. */
  result(): VerifyResult {
    const [expected, found] = [this.#expected.toString(), this.#found.toString()];
    const { count } = this.#differences;
    return {
      verified: count === 0 && expected === found && this.#rows_expected === this.#rows_found,
      rows_expected: this.#rows_expected,
      rows_found: this.#rows_found,
      rows_compared: this.#rows_compared,
      checksum_expected: expected,
      checksum_found: found,
      lines_read: this.#lines,
      files_read: this.#shape.files.length,
      difference_count: count,
      repetitions: this.#repetitions,
      differences: this.#differences.list(),
    };
  }

  #byKey(entries: Lines, rows: Lines): void {
    const histories = this.#histories(entries);
    const list = new Map<string, { row: string; last: Entry }>();
    for (const [key, history] of histories) {
      const { cells, last, repeated, gap } = fold(history);
      for (const entry of repeated) this.#repeated(key, entry);
      if (gap !== undefined && this.#shape.complete_history) {
        this.#difference(key, "gap", gap.reason, gap.entry.cells, gap.entry.cells, null, [
          gap.entry,
        ]);
      }
      if (cells === undefined) continue;
      const row = rowLine(cells);
      list.set(key, { row, last });
      this.#countFound(row, 1);
    }
    for (const lines of rows) {
      for (const expected of lines) {
        const cells = readRow(expected);
        const key = keyText(cells, this.#shape.key);
        const found = list.get(key);
        this.#countExpected(expected, 1);
        if (found !== undefined) {
          list.delete(key);
          this.#rows_compared++;
          if (found.row !== expected) this.#different(key, found, cells);
          continue;
        }
        const history = histories.get(key) ?? [];
        const reason = history.length === 0
          ? "no file has it"
          : "the files say that it was deleted";
        this.#difference(key, "missing", reason, cells, null, cells, history.slice(-1));
      }
    }
    for (const [key, { row, last }] of list) {
      const cells = readEntryCells(row);
      this.#difference(key, "unexpected", "the table does not have it", cells, cells, null, [last]);
    }
  }

  #histories(entries: Lines): Map<string, Entry[]> {
    const histories = new Map<string, Entry[]>();
    for (const lines of entries) {
      for (const line of lines) {
        const entry = readEntry(line);
        const key = keyText(entry.cells, this.#shape.key);
        const history = histories.get(key);
        if (history === undefined) histories.set(key, [entry]);
        else history.push(entry);
        this.#lines++;
      }
    }
    return histories;
  }

  /** Multisets: how often each row is there, all of its values taken together. */
  #byRow(entries: Lines, rows: Lines): void {
    const counts = new Map<string, Tally>();
    const tally = (row: string): Tally => {
      let found = counts.get(row);
      if (found === undefined) counts.set(row, found = { found: 0, expected: 0, last: undefined });
      return found;
    };
    for (const entry of this.#once(entries)) {
      if (entry.cells.includes(undefined)) throw this.#partial(entry);
      const row = tally(rowLine(entry.cells));
      row.found += entry.insert ? 1 : -1;
      row.last = entry;
    }
    for (const lines of rows) for (const line of lines) tally(line).expected++;
    for (const [row, count] of counts) this.#compareCounts(row, count);
  }

  /** Entries without repetitions, which only positions can tell. */
  *#once(entries: Lines): Generator<Entry> {
    const seen = new Set<string>();
    for (const lines of entries) {
      for (const line of lines) {
        this.#lines++;
        const entry = readEntry(line);
        if (this.#shape.positions) {
          const id = `${entry.insert ? "+" : "-"}${entry.position}`;
          if (seen.has(id)) {
            this.#repeated(keyText(entry.cells, this.#shape.key), entry);
            continue;
          }
          seen.add(id);
        }
        yield entry;
      }
    }
  }

  #compareCounts(row: string, { found, expected, last }: Tally): void {
    const there = Math.max(found, 0);
    this.#countFound(row, there);
    this.#countExpected(row, expected);
    this.#rows_compared += Math.min(there, expected);
    if (found === expected) return;
    const cells = readRow(row);
    const kind = found < expected ? "missing" : "unexpected";
    const reason = found < 0
      ? `the files delete it ${-found} times more often than they insert it`
      : `${found} in the files, ${expected} in the table`;
    this.#difference(
      this.#shape.key.length > 0 ? keyText(cells, this.#shape.key) : row,
      kind,
      reason,
      cells,
      found > 0 ? cells : null,
      expected > 0 ? cells : null,
      last === undefined ? [] : [last],
    );
  }

  #countFound(row: string, times: number): void {
    this.#rows_found += times;
    this.#found.add(row, times);
  }

  #countExpected(row: string, times: number): void {
    this.#rows_expected += times;
    this.#expected.add(row, times);
  }

  #repeated(key: string, entry: Entry): void {
    this.#repetitions++;
    const reason = `the ${entry.insert ? "insert" : "delete"} at position ${entry.position}` +
      ` stands in the files more than once`;
    this.#difference(key, "repeated", reason, entry.cells, entry.cells, null, [entry]);
  }

  #different(key: string, found: { row: string; last: Entry }, expected: Cell[]): void {
    const cells = readEntryCells(found.row);
    const names = this.#shape.columns.filter((_, at) => cells[at] !== expected[at]);
    const reason = `other values in ${names.join(", ")}`;
    this.#difference(key, "different", reason, expected, cells, expected, [found.last]);
  }

  #difference(
    key: string,
    kind: Difference["kind"],
    reason: string,
    row: readonly Cell[],
    found: readonly Cell[] | null,
    expected: readonly Cell[] | null,
    entries: readonly Entry[],
  ): void {
    const { columns, files } = this.#shape;
    this.#differences.add(key, () => ({
      kind,
      key: namedRow(
        columns.filter((_, at) => this.#isKey(at)),
        row.filter((_, at) => this.#isKey(at)),
      ),
      found: found && namedRow(columns, found),
      expected: expected && namedRow(columns, expected),
      reason,
      places: entries.map((entry) => `${files[entry.file]} row ${entry.row}`),
    }));
  }

  #isKey(at: number): boolean {
    return this.#shape.key.length === 0 || this.#shape.key.includes(at);
  }

  #partial(entry: Entry): RecordError {
    return new RecordError(
      `${this.#shape.files[entry.file]} row ${entry.row} does not hold all of its row's values:` +
        ` without positions the list is inserts minus deletes, which needs whole rows`,
      {
        cure: "capture with whole old rows (PostgreSQL: ALTER TABLE … REPLICA IDENTITY FULL;" +
          " MySQL: binlog_row_image=FULL), or let the sink write __position",
      },
    );
  }
}

interface Tally {
  found: number;
  expected: number;
  last: Entry | undefined;
}

/** Cells of a row line that came from entries: some may not be known. */
function readEntryCells(line: string): Cell[] {
  return readRow(line).map((cell) => typeof cell === "number" ? undefined : cell);
}
