/** Compares the list rebuilt from CSV files with a table, bucket by bucket. */
import { RecordError } from "../errors.ts";
import { Checksum } from "./checksum.ts";
import { type Cell, type Entry, fold } from "./fold.ts";
import { Groups, NONE } from "./groups.ts";
import type { Records } from "./records.ts";
import { type Difference, Differences, namedRow, type VerifyResult } from "./result.ts";
import { inOrder, NOT_SOUND, soundRow } from "./sound.ts";

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

/** Takes bucket after bucket and adds up what it finds; memory is that of one bucket's records. */
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

  /** Compares one bucket: the files' entries, and from `rows` on the table's rows. */
  bucket(records: Records, rows: number): void {
    if (this.#shape.positions && this.#shape.key.length > 0) this.#byKey(records, rows);
    else this.#byRow(records, rows);
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

  #byKey(records: Records, rows: number): void {
    const end = records.length;
    const groups = new Groups(records);
    for (let record = 0; record < rows; record = records.after(record)) {
      groups.add(record);
      this.#lines++;
    }
    const left = this.#rowsLeft(records, groups);
    for (let row = rows; row < end; row = records.after(row)) {
      this.#countExpected(records, row, 1);
      const group = groups.find(row);
      const found = group === NONE ? NONE : left[group]!;
      if (found === NONE) {
        this.#missing(records, row, group === NONE ? undefined : groups.last(group));
        continue;
      }
      left[group] = NONE;
      this.#rows_compared++;
      if (!records.sameCells(found, row)) this.#different(records.entry(found), records.entry(row));
    }
    for (const found of left) {
      if (found === NONE) continue;
      const entry = records.entry(found);
      this.#difference("unexpected", "the table does not have it", entry.cells, {
        found: entry.cells,
        entry,
      });
    }
  }

  /** For each group the record of the row that its history leaves, or `NONE`. */
  #rowsLeft(records: Records, groups: Groups): number[] {
    const compare = inOrder(records);
    const left: number[] = [];
    for (let group = 0; group < groups.count; group++) {
      const history: number[] = [];
      let record = groups.first(group);
      do history.push(record); while ((record = records.next(record)) !== 0);
      history.sort(compare);
      const sound = soundRow(records, history);
      const row = sound === NOT_SOUND ? this.#fold(records, history) : sound;
      if (row !== NONE) this.#countFound(records, row, 1);
      left.push(row);
    }
    return left;
  }

  /** Tells what is wrong with a history; answers a record of the row that it leaves. */
  #fold(records: Records, history: readonly number[]): number {
    const { cells, last, repeated, gap } = fold(history.map((record) => records.entry(record)));
    for (const entry of repeated) this.#repeated(entry);
    if (gap !== undefined && this.#shape.complete_history) {
      const { entry, reason } = gap;
      this.#difference("gap", reason, entry.cells, { found: entry.cells, entry });
    }
    return cells === undefined ? NONE : records.add({ ...last, cells });
  }

  /** Multisets: how often each row is there, all of its values taken together. */
  #byRow(records: Records, rows: number): void {
    const groups = new Groups(records);
    const tallies: Tally[] = [];
    const tally = (record: number): Tally =>
      tallies[groups.add(record)] ??= { found: 0, expected: 0, last: undefined };
    const isNew = this.#repetitionFilter();
    for (let record = 0; record < rows; record = records.after(record)) {
      this.#lines++;
      if (this.#shape.positions && !isNew(records.entry(record))) continue;
      if (!records.isWhole(record)) throw this.#partial(records.entry(record));
      const row = tally(record);
      row.found += records.isInsert(record) ? 1 : -1;
      row.last = record;
    }
    for (let row = rows; row < records.length; row = records.after(row)) tally(row).expected++;
    tallies.forEach((count, group) => this.#compareCounts(records, groups.first(group), count));
  }

  /** Tells entries from repetitions, which only positions can. */
  #repetitionFilter(): (entry: Entry) => boolean {
    const seen = new Set<string>();
    return (entry) => {
      const id = `${entry.insert ? "+" : "-"}${entry.position}`;
      if (seen.has(id)) this.#repeated(entry);
      return seen.size !== seen.add(id).size;
    };
  }

  #compareCounts(records: Records, row: number, { found, expected, last }: Tally): void {
    const there = Math.max(found, 0);
    this.#countFound(records, row, there);
    this.#countExpected(records, row, expected);
    this.#rows_compared += Math.min(there, expected);
    if (found === expected) return;
    const { cells } = records.entry(row);
    const reason = found < 0
      ? `the files delete it ${-found} times more often than they insert it`
      : `${found} in the files, ${expected} in the table`;
    this.#difference(found < expected ? "missing" : "unexpected", reason, cells, {
      found: found > 0 ? cells : null,
      expected: expected > 0 ? cells : null,
      entry: last === undefined ? undefined : records.entry(last),
    });
  }

  #countFound(records: Records, row: number, times: number): void {
    this.#rows_found += times;
    this.#found.add(records.bytes, records.cells(row), records.end(row), times);
  }

  #countExpected(records: Records, row: number, times: number): void {
    this.#rows_expected += times;
    this.#expected.add(records.bytes, records.cells(row), records.end(row), times);
  }

  #repeated(entry: Entry): void {
    this.#repetitions++;
    const reason = `the ${entry.insert ? "insert" : "delete"} at position ${entry.position}` +
      ` is in the files more than once`;
    this.#difference("repeated", reason, entry.cells, { found: entry.cells, entry });
  }

  #missing(records: Records, row: number, last: number | undefined): void {
    const { cells } = records.entry(row);
    const reason = last === undefined ? "no file has it" : "the files say that it was deleted";
    this.#difference("missing", reason, cells, {
      expected: cells,
      entry: last === undefined ? undefined : records.entry(last),
    });
  }

  #different(found: Entry, expected: Entry): void {
    const names = this.#shape.columns.filter((_, at) => found.cells[at] !== expected.cells[at]);
    const reason = `other values in ${names.join(", ")}`;
    this.#difference("different", reason, expected.cells, {
      found: found.cells,
      expected: expected.cells,
      entry: found,
    });
  }

  /** `row`: cells that name the key. */
  #difference(
    kind: Difference["kind"],
    reason: string,
    row: readonly Cell[],
    { found = null, expected = null, entry }: Evidence,
  ): void {
    const { columns, files } = this.#shape;
    this.#differences.add(this.#keyText(row), () => ({
      kind,
      key: namedRow(
        columns.filter((_, at) => this.#isKey(at)),
        row.filter((_, at) => this.#isKey(at)),
      ),
      found: found && namedRow(columns, found),
      expected: expected && namedRow(columns, expected),
      reason,
      places: entry === undefined ? [] : [`${files[entry.file]} row ${entry.row}`],
    }));
  }

  /** Text that differences are ordered by. */
  #keyText(row: readonly Cell[]): string {
    const { key } = this.#shape;
    if (key.length === 1) return row[key[0]!] ?? "";
    const cells = key.length === 0 ? row : key.map((at) => row[at]);
    return JSON.stringify(cells.map((cell) => cell ?? null));
  }

  #isKey(at: number): boolean {
    return this.#shape.key.length === 0 || this.#shape.key.includes(at);
  }

  #partial(entry: Entry): RecordError {
    return new RecordError(
      `${this.#shape.files[entry.file]} row ${entry.row} does not hold all of its row's values:` +
        ` without positions the list is inserts minus deletes, which needs whole rows`,
      {
        cure: "capture with whole old rows (PostgreSQL: ALTER TABLE ... REPLICA IDENTITY FULL;" +
          " MySQL: binlog_row_image=FULL), or let the sink write __position",
      },
    );
  }
}

interface Tally {
  found: number;
  expected: number;
  /** The record of the last entry. */
  last: number | undefined;
}

/** What both sides say of a row, and the entry that says it. */
interface Evidence {
  readonly found?: readonly Cell[] | null;
  readonly expected?: readonly Cell[] | null;
  readonly entry: Entry | undefined;
}
