/** Reads TOML with the place of every value. */
import { parse, TomlError } from "smol-toml";
import {
  type Document,
  type Path,
  pathKey,
  type Place,
  type Places,
  SyntaxProblem,
} from "./document.ts";

/** Throws SyntaxProblem, with the place, when `text` is not TOML. */
export function readToml(text: string): Document {
  try {
    const value = parse(text);
    return { value, places: new Scanner(text).scan() };
  } catch (error) {
    if (!(error instanceof TomlError)) throw error;
    const reason = error.message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new SyntaxProblem(`not readable as TOML: ${reason}`, {
      line: error.line,
      column: error.column,
    });
  }
}

/** Finds the keys and values of a text that the parser has accepted: the parser keeps no places. */
class Scanner {
  readonly #text: string;
  readonly #places = new Map<string, Places>();
  /** How many tables an array of tables has so far. */
  readonly #tables = new Map<string, number>();
  #offset = 0;
  #line = 1;
  #lineStart = 0;

  constructor(text: string) {
    this.#text = text;
  }

  scan(): Map<string, Places> {
    let table: Path = [];
    for (;;) {
      this.#skip(/[\s]|#.*/y);
      if (this.#offset >= this.#text.length) return this.#places;
      if (this.#peek() === "[") table = this.#header();
      else this.#pair(table);
    }
  }

  /** `[a.b]` or `[[a.b]]`: the path of the table that it opens. */
  #header(): Path {
    const isArray = this.#text.startsWith("[[", this.#offset);
    this.#advance(isArray ? 2 : 1);
    const place = this.#place();
    const names = this.#key();
    this.#skip(/[ \t\]]/y);
    let path: Path = [];
    names.forEach((name, at) => {
      path = [...path, name];
      const known = this.#tables.get(pathKey(path));
      const isOpened = isArray && at === names.length - 1;
      if (isOpened) this.#tables.set(pathKey(path), (known ?? 0) + 1);
      this.#note(path, place, place);
      if (isOpened || known !== undefined) path = [...path, isOpened ? known ?? 0 : known! - 1];
    });
    this.#note(path, place, place);
    return path;
  }

  #pair(table: Path): void {
    const key = this.#place();
    const names = this.#key();
    this.#skip(/[ \t=]/y);
    const value = this.#place();
    const path = [...table, ...names];
    for (let length = table.length + 1; length < path.length; length++) {
      this.#note(path.slice(0, length), key, key);
    }
    this.#note(path, key, value);
    this.#value(path);
  }

  /** A key with its dots, quotes undone. */
  #key(): string[] {
    const names: string[] = [];
    do {
      this.#skip(/[ \t.]/y);
      const quote = this.#peek();
      if (quote === '"' || quote === "'") {
        const literal = this.#take(quote === '"' ? /"(?:[^"\\]|\\.)*"/y : /'[^']*'/y);
        names.push(Object.keys(parse(`${literal} = 0`))[0]!);
      } else names.push(this.#take(/[A-Za-z0-9_-]+/y));
      this.#skip(/[ \t]/y);
    } while (this.#peek() === ".");
    return names;
  }

  #value(path: Path): void {
    switch (this.#peek()) {
      case "[":
        return this.#array(path);
      case "{":
        return this.#inlineTable(path);
      case '"':
        this.#take(/"""(?:[^"\\]|\\[^]|"(?!""))*"{3,5}|"(?:[^"\\]|\\.)*"/y);
        return;
      case "'":
        this.#take(/'''(?:[^']|'(?!''))*'{3,5}|'[^']*'/y);
        return;
      default:
        this.#take(/[^,\]}#\n]+/y);
    }
  }

  #array(path: Path): void {
    this.#advance(1);
    for (let index = 0;; index++) {
      this.#skip(/[\s,]|#.*/y);
      if (this.#peek() === "]") return this.#advance(1);
      this.#note([...path, index], this.#place(), this.#place());
      this.#value([...path, index]);
    }
  }

  #inlineTable(path: Path): void {
    this.#advance(1);
    for (;;) {
      this.#skip(/[\s,]|#.*/y);
      if (this.#peek() === "}") return this.#advance(1);
      this.#pair(path);
    }
  }

  #note(path: Path, key: Place, value: Place): void {
    if (!this.#places.has(pathKey(path))) this.#places.set(pathKey(path), { key, value });
  }

  #peek(): string | undefined {
    return this.#text[this.#offset];
  }

  #place(): Place {
    return { line: this.#line, column: this.#offset - this.#lineStart + 1 };
  }

  #skip(piece: RegExp): void {
    while (this.#match(piece) !== "");
  }

  #take(piece: RegExp): string {
    const found = this.#match(piece);
    if (found === "") throw new Error(`Nothing of TOML stands at offset ${this.#offset}`);
    return found;
  }

  #match(piece: RegExp): string {
    piece.lastIndex = this.#offset;
    const found = piece.exec(this.#text)?.[0] ?? "";
    this.#advance(found.length);
    return found;
  }

  #advance(length: number): void {
    for (const end = this.#offset + length; this.#offset < end; this.#offset++) {
      if (this.#text[this.#offset] !== "\n") continue;
      this.#line++;
      this.#lineStart = this.#offset + 1;
    }
  }
}
