/**
 * The topic of schema changes: for people and tools, a record whenever a table's rows come under
 * another definition than before. It is told by the definitions themselves; no DDL is parsed.
 */
import type { Change, Column, SourceIdentity, TableSchema } from "../change.ts";
import { sourceId } from "../formats/format.ts";
import type { Admin } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import type { DroppedTable } from "../sources/source.ts";
import { nameParts } from "../table_name.ts";
import { type Note, noteStamp } from "./notes.ts";
import type { SchemaReader } from "./schemas.ts";

/** How one definition differs from the one before. */
export type Alteration =
  | { readonly change: "column_added" | "column_dropped"; readonly column: string; type: string }
  | { readonly change: "column_retyped"; readonly column: string; from: string; to: string }
  /** Another name at the same place with the same type: renamed, or dropped and added. */
  | { readonly change: "column_replaced"; readonly from: string; readonly to: string; type: string }
  | { readonly change: "columns_reordered"; readonly columns: readonly string[] }
  | { readonly change: "key_changed"; readonly from: readonly string[]; to: readonly string[] };

/** What differs between two definitions of a table. */
export function alterations(before: TableSchema, after: TableSchema): Alteration[] {
  const lacking = (columns: readonly Column[], there: readonly Column[]) =>
    columns.filter(({ name }) => !there.some((column) => column.name === name));
  let gone = lacking(before.columns, after.columns);
  let come = lacking(after.columns, before.columns);
  const replaced = gone.flatMap((old) => {
    const at = after.columns[before.columns.indexOf(old)];
    return at !== undefined && come.includes(at) && at.type === old.type
      ? [[old, at] as const]
      : [];
  });
  gone = gone.filter((column) => !replaced.some(([old]) => old === column));
  come = come.filter((column) => !replaced.some(([, now]) => now === column));

  const renamed = new Map(replaced.map(([old, now]) => [old.name, now.name]));
  const nameNow = ({ name }: Column) => renamed.get(name) ?? name;
  const kept = before.columns.filter((column) => !gone.includes(column)).map(nameNow);
  const order = after.columns.filter((column) => !come.includes(column)).map(({ name }) => name);
  const retyped = before.columns.flatMap(({ name, type }): Alteration[] => {
    const to = after.columns.find((column) => column.name === name)?.type;
    if (to === undefined || to === type) return [];
    return [{ change: "column_retyped", column: name, from: type, to }];
  });
  const [from, to] = [keyOf(before), keyOf(after)];
  const is_key_same = same(before.key.map((index) => nameNow(before.columns[index]!)), to);
  return [
    ...gone.map(({ name: column, type }) => ({ change: "column_dropped", column, type }) as const),
    ...come.map(({ name: column, type }) => ({ change: "column_added", column, type }) as const),
    ...replaced.map(([old, now]) =>
      ({ change: "column_replaced", from: old.name, to: now.name, type: now.type }) as const
    ),
    ...retyped,
    ...same(kept, order) ? [] : [{ change: "columns_reordered", columns: order } as const],
    ...is_key_same ? [] : [{ change: "key_changed", from, to } as const],
  ];
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, at) => name === other[at]);
}

function keyOf({ columns, key }: TableSchema): string[] {
  return key.map((index) => columns[index]!.name);
}

/** A table by its name, and the definition that was told last; undefined: none, or it was dropped. */
interface Place {
  told: TableSchema | undefined;
}

/** Follows the definitions of a source's tables. */
export class SchemaChanges {
  readonly #source: SourceIdentity;
  readonly #places = new Map<string, Place>();
  readonly #known = new WeakMap<TableSchema, Place>();
  /** Of the change before: mostly the next one has the same. */
  #last: TableSchema | undefined;

  constructor(source: SourceIdentity) {
    this.#source = source;
  }

  /** Learns from the topic what was told before. `schemas`: as far as they are published. */
  async read(admin: Admin, topic: string, schemas: SchemaReader): Promise<void> {
    const own = sourceId(this.#source);
    const [partition] = await admin.offsets(topic);
    const at = { topic, partition: 0 };
    for await (const record of recordsOf(admin, at, partition!.first, partition!.end)) {
      if (noteStamp(record)?.source !== own || record.value === null) continue;
      const { source } = JSON.parse(text.decode(record.value)) as { source: Told };
      const { db, schema, table, schema_id } = source;
      this.#place(source).told = schema_id === null
        ? undefined
        : schemas.find([own, db, schema, table, schema_id]);
    }
  }

  /** What is told before `change`; undefined: its table is as it was. */
  of(change: Change): Note | undefined {
    const { table } = change;
    if (table === this.#last) return undefined;
    this.#last = table;
    const place = this.#known.get(table) ?? this.#place(table);
    this.#known.set(table, place);
    const before = place.told;
    place.told = table;
    if (before?.id === table.id) return undefined;
    const { position, transaction: { ts_us }, ts_ms, snapshot } = change;
    return this.#note(table, { position, ts_us, ts_ms, snapshot, before, after: table, ddl: null });
  }

  /** What is told of a table that is gone; undefined: nothing was told of it before. */
  dropped({ statement: ddl, position, ts_us, ts_ms, ...table }: DroppedTable): Note | undefined {
    const place = this.#place(table);
    const before = place.told;
    place.told = this.#last = undefined;
    if (before === undefined) return undefined;
    return this.#note(table, { position, ts_us, ts_ms, before, after: undefined, ddl });
  }

  #place({ db, schema, table }: Pick<TableSchema, "db" | "schema" | "table">): Place {
    const name = JSON.stringify([db, schema, table]);
    const place = this.#places.get(name) ?? { told: undefined };
    this.#places.set(name, place);
    return place;
  }

  #note({ db, schema, table }: Pick<TableSchema, "db" | "schema" | "table">, event: Event): Note {
    const { position, ts_us, ts_ms, snapshot = "false", before, after, ddl } = event;
    const type = before === undefined ? "CREATE" : after === undefined ? "DROP" : "ALTER";
    const id = nameParts({ db, schema, table })
      .map((part) => `"${part.replaceAll('"', '""')}"`).join(".");
    const commit_ms = Math.floor(ts_us / 1000);
    const source: Told = {
      ...this.#source,
      ts_us,
      ts_ms: commit_ms,
      snapshot,
      db,
      schema,
      table,
      position,
      schema_id: after?.id ?? null,
    };
    const tableChange = {
      type,
      id,
      table: described(after),
      previous: described(before),
      previous_schema_id: before?.id ?? null,
      alterations: before && after ? alterations(before, after) : [],
    };
    return {
      position,
      key: JSON.stringify({ databaseName: db, schemaName: schema, tableName: table }),
      value: JSON.stringify({
        source,
        ts_ms,
        databaseName: db,
        schemaName: schema,
        ddl,
        tableChanges: [tableChange],
      }),
    };
  }
}

/** What is told of a table. */
interface Event {
  readonly position: string;
  readonly ts_us: number;
  readonly ts_ms: number;
  readonly snapshot?: string | undefined;
  readonly before: TableSchema | undefined;
  readonly after: TableSchema | undefined;
  /** The statement, where the log says it. */
  readonly ddl: string | null;
}

/** The `source` of a record. */
interface Told extends SourceIdentity {
  readonly ts_us: number;
  readonly ts_ms: number;
  readonly snapshot: string;
  readonly db: string;
  readonly schema: string | null;
  readonly table: string;
  readonly position: string;
  /** Of the definition from here on; null: the table is gone. */
  readonly schema_id: string | null;
}

/** A definition in Debezium's words. */
function described(table: TableSchema | undefined) {
  if (table === undefined) return null;
  return {
    primaryKeyColumnNames: keyOf(table),
    columns: table.columns.map(({ name, type }, at) => ({
      name,
      typeName: type,
      position: at + 1,
    })),
  };
}

const text = new TextDecoder();
