/**
 * Partial updates of JSON (`binlog_row_value_options=PARTIAL_JSON`): a document's text from before and
 * the operations on it -> its text after. The format is that of `Json_diff_vector` in the server's
 * json_diff.cc; an operation that does not fit the document is refused, as the server does it.
 */
import { Buffer } from "node:buffer";
import { RecordError } from "../errors.ts";
import type { BinlogReader } from "./binlog_reader.ts";
import { quoteJson, readJson } from "./mysql_json.ts";

const REPLACE = 0;
const INSERT = 1;
const REMOVE = 2;

/** The server refuses documents that nest deeper. */
const MAX_DEPTH = 100;

/** A value as its text; an array; an object's members in the server's order. */
type Node = string | Node[] | Map<string, Node>;

/** A step into a document: an index of an array, or the name of an object's member. */
type Leg = number | string;

/**
 * The document after all operations of `diffs`. `before`: its text as `readJson` gives it. Throws
 * RecordError for damaged bytes and misfits.
 */
export function applyJsonDiffs(before: string, diffs: BinlogReader): string {
  let root = parseDocument(before);
  while (diffs.left > 0) {
    const operation = diffs.u8();
    const path = parsePath(diffs.utf8(diffs.lenenc()));
    const value = operation === REMOVE ? "" : parseDocument(readJson(diffs.view(diffs.lenenc())));
    const leg = path.pop();
    if (leg === undefined) {
      if (operation !== REPLACE) throw misfit(operation, "$");
      root = value;
      continue;
    }
    const parent = path.reduce(childOf, root);
    if (Array.isArray(parent)) changeArray(parent, operation, leg, value);
    else changeObject(parent, operation, leg, value);
  }
  return textOf(root);
}

function childOf(node: Node, leg: Leg): Node {
  const child = typeof node === "string"
    ? undefined
    : Array.isArray(node)
    ? typeof leg === "number" ? node[leg] : undefined
    : typeof leg === "string"
    ? node.get(leg)
    : undefined;
  if (child === undefined) throw misfit(undefined, leg);
  return child;
}

function changeArray(items: Node[], operation: number, leg: Leg, value: Node): void {
  const isThere = typeof leg === "number" && leg < items.length;
  if (operation === INSERT && typeof leg === "number") items.splice(leg, 0, value);
  else if (operation === REPLACE && isThere) items[leg] = value;
  else if (operation === REMOVE && isThere) items.splice(leg, 1);
  else throw misfit(operation, leg);
}

function changeObject(object: Node, operation: number, leg: Leg, value: Node): void {
  if (!(object instanceof Map) || typeof leg !== "string") throw misfit(operation, leg);
  if (object.has(leg) === (operation === INSERT)) throw misfit(operation, leg);
  if (operation === REPLACE) object.set(leg, value);
  else if (operation === REMOVE) object.delete(leg);
  else if (operation === INSERT) insertMember(object, leg, value);
  else throw misfit(operation, leg);
}

/** Members stand in the order of their names: shorter ones first, equally long ones by their bytes. */
function insertMember(object: Map<string, Node>, name: string, value: Node): void {
  const later = [...object].filter(([other]) => compareNames(other, name) > 0);
  for (const [other] of later) object.delete(other);
  object.set(name, value);
  for (const [other, node] of later) object.set(other, node);
}

function compareNames(one: string, other: string): number {
  const [a, b] = [Buffer.from(one), Buffer.from(other)];
  return a.length - b.length || Buffer.compare(a, b);
}

function misfit(operation: number | undefined, leg: Leg): RecordError {
  const name = operation === undefined ? "path" : ["replace", "insert", "remove"][operation] ??
    `operation ${operation}`;
  return new RecordError(
    `A JSON update does not fit the document from before: ${name} at ${JSON.stringify(leg)}`,
  );
}

// Paths -------------------------------------------------------------------------------------------

/** `.name`, `."any name"` or `[3]`. */
const LEG = /\.(?:("(?:[^"\\]|\\.)*")|([^.[\]"]+))|\[([0-9]{1,10})\]/sy;

function parsePath(path: string): Leg[] {
  const legs: Leg[] = [];
  if (path[0] !== "$") throw wrongPath(path);
  LEG.lastIndex = 1;
  while (LEG.lastIndex < path.length) {
    const found = LEG.exec(path);
    if (found === null) throw wrongPath(path);
    const [, quoted, name, index] = found;
    legs.push(index !== undefined ? Number(index) : name ?? unquote(quoted!));
  }
  return legs;
}

function wrongPath(path: string): RecordError {
  return new RecordError(`${JSON.stringify(path.slice(0, 80))} is no path into a JSON document`);
}

function unquote(literal: string): string {
  try {
    return JSON.parse(literal);
  } catch (cause) {
    throw new RecordError(`${literal.slice(0, 80)} is no JSON string`, { cause });
  }
}

// Documents ---------------------------------------------------------------------------------------

function parseDocument(text: string): Node {
  const parser = new DocumentParser(text);
  const node = parser.value(0);
  if (parser.at !== text.length) throw parser.malformed();
  return node;
}

/** A string, or what has no text of its own to end it. */
const SCALAR = /"(?:[^"\\]|\\.)*"|[^",:[\]{}\s]+/sy;

/** Reads the texts that `readJson` gives; scalars stay the text that they are. */
class DocumentParser {
  readonly #text: string;
  at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  value(depth: number): Node {
    if (depth > MAX_DEPTH) throw new RecordError(`A JSON document nests deeper than ${MAX_DEPTH}`);
    if (this.#take("[")) {
      const items: Node[] = [];
      this.#each("]", () => items.push(this.value(depth + 1)));
      return items;
    }
    if (this.#take("{")) {
      const members = new Map<string, Node>();
      this.#each("}", () => {
        const name = unquote(this.#scalar());
        if (!this.#take(": ")) throw this.malformed();
        members.set(name, this.value(depth + 1));
      });
      return members;
    }
    return this.#scalar();
  }

  #each(end: string, read: () => void): void {
    if (this.#take(end)) return;
    do read(); while (this.#take(", "));
    if (!this.#take(end)) throw this.malformed();
  }

  #scalar(): string {
    SCALAR.lastIndex = this.at;
    const [text] = SCALAR.exec(this.#text) ?? [];
    if (text === undefined) throw this.malformed();
    this.at += text.length;
    return text;
  }

  #take(part: string): boolean {
    if (!this.#text.startsWith(part, this.at)) return false;
    this.at += part.length;
    return true;
  }

  malformed(): RecordError {
    const found = this.#text.slice(this.at, this.at + 20);
    return new RecordError(
      `Cannot read a JSON document at character ${this.at}: ${JSON.stringify(found)}`,
    );
  }
}

function textOf(node: Node, depth = 0): string {
  if (typeof node === "string") return node;
  if (depth > MAX_DEPTH) throw new RecordError(`A JSON document nests deeper than ${MAX_DEPTH}`);
  const text = (inner: Node) => textOf(inner, depth + 1);
  if (Array.isArray(node)) return `[${node.map(text).join(", ")}]`;
  return `{${[...node].map(([name, value]) => `${quoteJson(name)}: ${text(value)}`).join(", ")}}`;
}
