/** Entries and rows as lines of text, for the buckets. */
import type { Cell, Entry } from "./fold.ts";

/** Stands in JSON for a value that the log did not carry: cells are text or null, never a number. */
const NOT_CARRIED = 0;

/** One line for an entry. */
export function entryLine({ insert, op, position, cells, file, row }: Entry): string {
  const written = cells.includes(undefined)
    ? cells.map((cell) => cell === undefined ? NOT_CARRIED : cell)
    : cells;
  return JSON.stringify([file, row, insert, op, position, written]);
}

/** The inverse of `entryLine`. */
export function readEntry(line: string): Entry {
  const [file, row, insert, op, position, written] = JSON.parse(line) as [
    number,
    number,
    boolean,
    string | null,
    string,
    (string | null | typeof NOT_CARRIED)[],
  ];
  const cells: Cell[] = written.includes(NOT_CARRIED)
    ? written.map((cell) => cell === NOT_CARRIED ? undefined : cell)
    : written as (string | null)[];
  return { file, row, insert, op, position, cells };
}

/** One line for a row; equal rows have equal lines, and others do not. */
export function rowLine(cells: readonly Cell[]): string {
  return cells.includes(undefined)
    ? JSON.stringify(cells.map((cell) => cell === undefined ? NOT_CARRIED : cell))
    : JSON.stringify(cells);
}

/** The inverse of `rowLine` for rows of a table, whose cells are all known. */
export function readRow(line: string): (string | null)[] {
  return JSON.parse(line);
}

/** The part of a row that tells it from others, as one text. `key`: indexes of the key's columns. */
export function keyText(cells: readonly Cell[], key: readonly number[]): string {
  return key.length === 1
    ? cells[key[0]!] ?? ""
    : JSON.stringify(key.map((at) => cells[at] ?? null));
}
