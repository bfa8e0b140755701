/** A job file as read: its values, and where in the text each of them stands. */

/** A place in a text; both count from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** Keys and indexes from the root to a value. */
export type Path = readonly (string | number)[];

/** Where a value stands, and where its key does (the value itself for an element of a list). */
export interface Places {
  readonly key: Place;
  readonly value: Place;
}

/** What the two syntaxes give. */
export interface Document {
  readonly value: unknown;
  /** By `pathKey`; a path without an entry was not written by itself. */
  readonly places: ReadonlyMap<string, Places>;
}

/** The text cannot be read at all. */
export class SyntaxProblem extends Error {
  readonly place: Place;

  constructor(message: string, place: Place) {
    super(message);
    this.place = place;
  }
}

/** A path as a key of a map. */
export function pathKey(path: Path): string {
  return JSON.stringify(path);
}

/** A path as people write it: `source.tables[0]`. */
export function pathText(path: Path): string {
  return path.map((step, at) =>
    typeof step === "number" ? `[${step}]` : (at === 0 ? step : `.${step}`)
  ).join("");
}

/** The places of `path`, or of the nearest value around it that stands in the text. */
export function placesOf(document: Document, path: Path): Places {
  for (let length = path.length; length >= 0; length--) {
    const places = document.places.get(pathKey(path.slice(0, length)));
    if (places) return places;
  }
  const start = { line: 1, column: 1 };
  return { key: start, value: start };
}

/** The value at `path`; undefined when nothing stands there. */
export function valueAt(value: unknown, path: Path): unknown {
  return path.reduce(
    (inside, step) =>
      typeof inside === "object" && inside !== null && Object.hasOwn(inside, step)
        ? (inside as Record<string | number, unknown>)[step]
        : undefined,
    value,
  );
}
