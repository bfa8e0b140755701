/** A captured table: its schema as rows of the log have it, and how those rows are read. */
import type { Column, TableSchema } from "../../change.ts";
import type { Conversion } from "../../wire/postgres_value.ts";
import { schemaFingerprint } from "../../wire/schema_fingerprint.ts";

/** A table at one moment of its history. */
export interface CapturedTable {
  readonly schema: TableSchema;
  /** One per column. */
  readonly conversions: readonly Conversion[];
  /** Indexes of the columns that old rows carry, when not all. */
  readonly identity: readonly number[];
  /** Whether old rows are whole: REPLICA IDENTITY FULL. */
  readonly full: boolean;
}

/** What a table is made from. */
export interface TableParts {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly {
    readonly name: string;
    readonly type: string;
    readonly conversion: Conversion;
  }[];
  readonly key: readonly number[];
  readonly identity: readonly number[];
  readonly full: boolean;
}

/** How many definitions are remembered; each serves only to find the same object again. */
const DEFINITIONS_LIMIT = 10_000;

/** Makes tables; equal definitions share one `TableSchema`, so that formats prepare for each once. */
export class TableFactory {
  readonly #db: string;
  readonly #schemas = new Map<string, TableSchema>();

  constructor(db: string) {
    this.#db = db;
  }

  make(parts: TableParts): CapturedTable {
    return {
      schema: this.#schema(parts),
      conversions: parts.columns.map((column) => column.conversion),
      identity: parts.identity,
      full: parts.full,
    };
  }

  #schema({ schema, table, columns: described, key }: TableParts): TableSchema {
    const columns: Column[] = described.map(({ name, type, conversion: { kind, element } }) => ({
      name,
      type,
      kind,
      ...(element === undefined ? {} : { element }),
    }));
    const id = schemaFingerprint(columns, key);
    const name = JSON.stringify([schema, table, id]);
    const known = this.#schemas.get(name);
    if (known !== undefined) return known;
    if (this.#schemas.size >= DEFINITIONS_LIMIT) this.#schemas.clear();
    const made = { id, db: this.#db, schema, table, columns, key };
    this.#schemas.set(name, made);
    return made;
  }
}

/** Whether two lists hold the same members, in whatever order. */
export function sameMembers<T>(one: readonly T[], other: readonly T[]): boolean {
  return one.length === other.length && one.every((member) => other.includes(member));
}
