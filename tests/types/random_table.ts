/** Tables of random types and names, and random changes of them, whose outcome the server tells. */
import type { Random } from "../../shared/seed/random.ts";
import type { TypeCase } from "./type_case.ts";

/** What differs between databases. */
export interface Dialect {
  quote(name: string): string;
  /** Runs a statement on the session that all statements share. */
  run(sql: string): Promise<void>;
  /** The rows of an answer, as the server writes them. */
  rows(sql: string): Promise<(string | null)[][]>;
  /** Types of a table's columns, by name, as the catalogue writes them and the log holds them. */
  types(table: RandomTable): Promise<ReadonlyMap<string, string>>;
  /** Column definitions that captures leave out. */
  generated(table: RandomTable, handle: string): readonly string[];
  identities: readonly Identity[];
  /** Statements after CREATE TABLE that make old rows come so. */
  identify(table: RandomTable): readonly string[];
  /** A type with values that stand outside of their rows, so that an update may not carry them. */
  readonly large: TypeCase;
  /** Words after the definition of the counter. */
  readonly hidden: string;
}

/** What the log has of old rows: all, the primary key, or the columns of a unique index. */
export type Identity = "full" | "default" | "index";

export interface RandomColumn {
  readonly name: string;
  readonly type: TypeCase;
  readonly nullable: boolean;
}

/** A row by the forms of its values, in column order. */
export type Forms = readonly (string | null)[];

/** A change that must come, by what the server said before and after the statement. */
export interface ExpectedChange {
  readonly op: "c" | "u" | "d" | "t";
  readonly before: Forms | null;
  readonly after: Forms | null;
  /** The statement that made it. */
  readonly sql: string;
}

/** Takes from a list in random order, over and over: whatever stands in it comes about equally often. */
export class Deck<T> {
  readonly #all: readonly T[];
  readonly #random: Random;
  #left: T[] = [];
  #shuffles = 0;

  constructor(all: readonly T[], random: Random) {
    this.#all = all;
    this.#random = random;
  }

  /** Whether each has been drawn at least once. */
  get dealt(): boolean {
    return this.#shuffles > 1 || this.#shuffles === 1 && this.#left.length === 0;
  }

  draw(): T {
    if (this.#left.length === 0) {
      this.#left = [...this.#all];
      this.#shuffles++;
    }
    return this.#left.splice(this.#random.below(this.#left.length), 1)[0]!;
  }
}

const INTEGER: TypeCase = {
  type: "int",
  values: [],
  select: (column) => `concat(${column})`,
  text: (server) => server,
};

/** A table with what has been written into it so far. */
export class RandomTable {
  readonly schema: string;
  readonly name: string;
  readonly columns: readonly RandomColumn[];
  /** Indexes of the key's columns in its order. */
  readonly key: readonly number[];
  readonly identity: Identity;
  /** Types of the columns as the catalogue writes them. */
  types: readonly string[] = [];
  readonly expected: ExpectedChange[] = [];
  /** Rows as they are now, by their handle. */
  readonly rows = new Map<number, Forms>();
  readonly #random: Random;
  readonly #database: Dialect;
  /** Rows whose key changed while a large value stayed: it is read from the table, so they must stay as they are. */
  readonly #frozen = new Set<number>();
  #next = 1;

  /** `tables`: names that other tables of the schema have; this one's is added. */
  constructor(
    database: Dialect,
    schema: string,
    types: readonly TypeCase[],
    names: Deck<string>,
    random: Random,
    tables: Set<string>,
  ) {
    this.#database = database;
    this.#random = random;
    this.schema = schema;
    this.name = drawNew(names, tables);
    const taken = new Set<string>();
    const column = (type: TypeCase, nullable: boolean): RandomColumn => ({
      name: drawNew(names, taken),
      type,
      nullable,
    });
    const free = types.map((type) => column(type, type.nullable !== false && random.below(5) > 0));
    const large = random.below(3) === 0 ? [column(database.large, true)] : [];
    this.columns = [column(INTEGER, false), column(INTEGER, false), ...free, ...large];
    this.identity = random.pick(database.identities);
    this.key = this.#randomKey();
    if (this.key.length === 0) this.identity = "full";
  }

  /** None, the handle alone, or with it one or two other columns in any order. */
  #randomKey(): number[] {
    const random = this.#random;
    if (random.below(4) === 0) return [];
    const able = this.columns.flatMap(({ type, nullable }, at) =>
      at > COUNTER && !nullable && type.key !== false ? [at] : []
    );
    const others = new Deck(able, random);
    const count = Math.min(able.length, random.below(3));
    const key = Array.from({ length: count }, () => others.draw());
    key.splice(random.below(count + 1), 0, HANDLE);
    return key;
  }

  get qualified(): string {
    return `${this.#database.quote(this.schema)}.${this.#database.quote(this.name)}`;
  }

  quoted(at: number): string {
    return this.#database.quote(this.columns[at]!.name);
  }

  /** Makes the table. */
  async create(): Promise<void> {
    for (const sql of this.#definitions()) await this.#database.run(sql);
    const types = await this.#database.types(this);
    this.types = this.columns.map(({ name }) => types.get(name) ?? "");
  }

  #definitions(): string[] {
    const columns = this.columns.map(({ type, nullable }, at) =>
      `${this.quoted(at)} ${type.type}${nullable ? " NULL" : " NOT NULL"}${
        at === COUNTER ? this.#database.hidden : ""
      }`
    );
    const parts = [...columns, ...this.#database.generated(this, this.quoted(HANDLE))];
    if (this.key.length > 0 && this.identity !== "index") {
      parts.push(`PRIMARY KEY (${this.key.map((at) => this.quoted(at)).join(", ")})`);
    }
    return [
      `CREATE TABLE ${this.qualified} (${parts.join(", ")})`,
      ...this.#database.identify(this),
    ];
  }

  /** Writes each value of each type once, then random ones; a truncate is among it. */
  async write(changes = CHANGES): Promise<void> {
    const rows = Math.max(...this.columns.map(({ type }) => type.values.length));
    await this.#insert();
    await this.#truncate();
    while (this.#next <= rows) await this.#insert();
    for (let left = changes; left > 0; left--) await this.#change();
  }

  async #change(): Promise<void> {
    const handles = [...this.rows.keys()].filter((handle) => !this.#frozen.has(handle));
    const kind = this.#random.below(12);
    if (handles.length === 0 || kind < 3) await this.#insert();
    else if (kind < 7) await this.#update(this.#random.pick(handles));
    else if (kind < 9) await this.#move(this.#random.pick(handles));
    else if (kind < 11) await this.#delete(this.#random.pick(handles));
    else await this.#rollBack();
  }

  /** A new row, of values that have not been written yet while there are some. */
  async #insert(): Promise<void> {
    const handle = this.#next++;
    const at = this.columns.map((_, at) => this.quoted(at));
    const values = this.columns.map((_, at) => this.#value(at, handle));
    const sql = `INSERT INTO ${this.qualified} (${at.join(", ")}) VALUES (${values.join(", ")})`;
    await this.#database.run(sql);
    const after = await this.#read(handle);
    this.rows.set(handle, after);
    this.expected.push({ op: "c", before: null, after, sql });
  }

  #value(at: number, handle: number): string {
    if (at === HANDLE) return String(handle);
    if (at === COUNTER) return String(this.#random.below(1_000));
    const { type, nullable } = this.columns[at]!;
    const first = type.values[handle - 1];
    if (first !== undefined) return first;
    if (nullable && this.#random.below(5) === 0) return "NULL";
    return type.any !== undefined && this.#random.below(4) > 0
      ? type.any(this.#random)
      : this.#random.pick(type.values);
  }

  /** Changes the counter, so that the server logs something, and some other columns. */
  async #update(handle: number): Promise<void> {
    const chosen = this.columns.flatMap((_, at) =>
      at > COUNTER && this.#random.below(3) === 0 ? [at] : []
    );
    await this.#set(handle, handle, chosen);
  }

  /** Gives a row another handle, which where it is in the key changes that. */
  async #move(handle: number): Promise<void> {
    const chosen = this.key.filter((at) => at !== HANDLE && this.#random.below(2) === 0);
    await this.#set(handle, this.#next++, chosen);
  }

  async #set(handle: number, moved: number, chosen: readonly number[]): Promise<void> {
    const before = this.rows.get(handle)!;
    const counter = this.quoted(COUNTER);
    const sets = [
      `${counter} = ${counter} + 1`,
      ...moved === handle ? [] : [`${this.quoted(HANDLE)} = ${moved}`],
      ...chosen.map((at) => `${this.quoted(at)} = ${this.#changed(at)}`),
    ];
    const sql = `UPDATE ${this.qualified} SET ${sets.join(", ")} WHERE ${this.#where(handle)}`;
    await this.#database.run(sql);
    const after = await this.#read(moved);
    this.rows.delete(handle);
    this.rows.set(moved, after);
    const key = this.key.length > 0 ? this.key : [...after.keys()];
    if (key.every((at) => before[at] === after[at])) {
      this.expected.push({ op: "u", before, after, sql });
      return;
    }
    this.expected.push({ op: "d", before, after: null, sql });
    this.expected.push({ op: "c", before: null, after, sql });
    if (this.identity !== "full") this.#frozen.add(moved);
  }

  #changed(at: number): string {
    const { change } = this.columns[at]!.type;
    return change !== undefined && this.#random.below(4) > 0
      ? change(this.quoted(at), this.#random)
      : this.#value(at, Infinity);
  }

  async #delete(handle: number): Promise<void> {
    const sql = `DELETE FROM ${this.qualified} WHERE ${this.#where(handle)}`;
    await this.#database.run(sql);
    this.expected.push({ op: "d", before: this.rows.get(handle)!, after: null, sql });
    this.rows.delete(handle);
  }

  async #truncate(): Promise<void> {
    const sql = `TRUNCATE TABLE ${this.qualified}`;
    await this.#database.run(sql);
    this.expected.push({ op: "t", before: null, after: null, sql });
    this.rows.clear();
  }

  /** A row that never was, between two that are of one transaction. */
  async #rollBack(): Promise<void> {
    await this.#database.run("BEGIN");
    await this.#insert();
    await this.#database.run("SAVEPOINT s");
    const columns = this.columns.map((_, at) => this.quoted(at)).join(", ");
    const values = this.columns.map((_, at) => this.#value(at, at === HANDLE ? 0 : Infinity));
    await this.#database.run(
      `INSERT INTO ${this.qualified} (${columns}) VALUES (${values.join(", ")})`,
    );
    await this.#database.run("ROLLBACK TO SAVEPOINT s");
    await this.#insert();
    await this.#database.run("COMMIT");
  }

  #where(handle: number): string {
    return `${this.quoted(HANDLE)} = ${handle}`;
  }

  async #read(handle: number): Promise<Forms> {
    const selected = this.columns.map(({ type }, at) => type.select(this.quoted(at)));
    const [row] = await this.#database.rows(
      `SELECT ${selected.join(", ")} FROM ${this.qualified} WHERE ${this.#where(handle)}`,
    );
    if (row === undefined) throw new Error(`${this.qualified} has no row ${handle}`);
    return row.map((text, at) => text === null ? null : this.columns[at]!.type.text(text));
  }
}

/** Random changes of a table, after those that every run makes. */
const CHANGES = 12;

/** The columns by which statements find rows, and which every update changes. */
const HANDLE = 0;
const COUNTER = 1;

function drawNew(names: Deck<string>, taken: Set<string>): string {
  let name = names.draw();
  while (taken.has(name)) name = names.draw();
  taken.add(name);
  return name;
}
