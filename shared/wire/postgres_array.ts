/** PostgreSQL's text form of arrays (documentation, "Arrays", 8.15.6). */
import type { Value } from "../change.ts";
import { RecordError } from "../errors.ts";

/** PostgreSQL's own limit of dimensions (`MAXDIM` in `c.h`). */
const MAX_DIMENSIONS = 6;

/** Lower and upper bounds in front of an array whose indexes do not begin at 1: `[0:2]={...}`. */
const BOUNDS = /^(?:\[[+-]?[0-9]{1,10}:[+-]?[0-9]{1,10}\]){1,6}=/;

/**
 * The elements of an array's text, nested as its dimensions are; `element` reads one element's text.
 * Bounds other than those from 1 are left out: the result holds every element, but an array in memory
 * has no place for bounds. Throws RecordError when the text is no array.
 */
export function parseArray(
  text: string,
  delimiter: string,
  element: (text: string) => Value,
): Value {
  const start = text.startsWith("[") ? BOUNDS.exec(text)?.[0].length ?? 0 : 0;
  const parser = new ArrayParser(text, start, delimiter, element);
  const array = parser.array(1);
  if (parser.at !== text.length) throw parser.malformed("nothing after the closing brace");
  return array;
}

class ArrayParser {
  readonly #text: string;
  readonly #delimiter: string;
  readonly #element: (text: string) => Value;
  at: number;

  constructor(text: string, at: number, delimiter: string, element: (text: string) => Value) {
    this.#text = text;
    this.at = at;
    this.#delimiter = delimiter;
    this.#element = element;
  }

  array(depth: number): Value[] {
    if (depth > MAX_DIMENSIONS) throw this.malformed(`at most ${MAX_DIMENSIONS} dimensions`);
    if (this.#text[this.at] !== "{") throw this.malformed("an opening brace");
    this.at++;
    const items: Value[] = [];
    if (this.#text[this.at] === "}") {
      this.at++;
      return items;
    }
    while (true) {
      items.push(this.#item(depth));
      const sign = this.#text[this.at++];
      if (sign === "}") return items;
      if (sign !== this.#delimiter) throw this.malformed("a delimiter or a closing brace");
    }
  }

  #item(depth: number): Value {
    const sign = this.#text[this.at];
    if (sign === "{") return this.array(depth + 1);
    if (sign === '"') return this.#element(this.#quoted());
    const text = this.#bare();
    return text === "NULL" ? null : this.#element(text);
  }

  /** Text between double quotes; a backslash stands before a quote or a backslash. */
  #quoted(): string {
    const text = this.#text;
    let value = "";
    let from = ++this.at;
    while (true) {
      const sign = text[this.at];
      if (sign === undefined) throw this.malformed("a closing quote");
      if (sign === '"') break;
      if (sign === "\\") {
        value += text.slice(from, this.at);
        from = ++this.at;
      }
      this.at++;
    }
    return value + text.slice(from, this.at++);
  }

  #bare(): string {
    const text = this.#text;
    const from = this.at;
    while (this.at < text.length) {
      const sign = text[this.at]!;
      if (sign === this.#delimiter || sign === "}") break;
      if (sign === "{" || sign === '"' || sign === "\\") {
        throw this.malformed("quotes around a sign");
      }
      this.at++;
    }
    if (this.at === from) throw this.malformed("an element");
    return text.slice(from, this.at);
  }

  malformed(expected: string): RecordError {
    const found = this.#text.slice(Math.max(0, this.at - 20), this.at + 20);
    return new RecordError(
      `Cannot read an array: expected ${expected} at character ${this.at}, near ${
        JSON.stringify(found)
      }`,
    );
  }
}
