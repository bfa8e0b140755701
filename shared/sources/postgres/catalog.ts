/** What the system catalogue says of tables, keys and types. */
import type { Conversion } from "../../wire/postgres_value.ts";
import { arrayConversion, conversionOf } from "../../wire/postgres_value.ts";
import type { Session } from "./connection.ts";

/** A table's name and what kind of table it is. */
export interface TableName {
  readonly oid: number;
  readonly schema: string;
  readonly table: string;
}

/** What `check` needs to know of a table besides its columns. */
export interface ListedTable extends TableName {
  readonly partitioned: boolean;
  readonly unlogged: boolean;
}

/** A column as it is now. */
export interface CatalogColumn {
  /** Number that no other column of the table ever has (`attnum`). */
  readonly number: number;
  readonly name: string;
  readonly type_oid: number;
  /** The type as the database writes it, with its modifier. */
  readonly type: string;
  readonly not_null: boolean;
  readonly generated: boolean;
  /** Generated and nowhere stored: computed when it is read (PostgreSQL 18). */
  readonly virtual: boolean;
  /** Its values may be stored out of line, so an update may not carry them. */
  readonly toastable: boolean;
}

/** A table as it is now. */
export interface CatalogTable extends TableName {
  /** `d` default, `n` nothing, `f` full, `i` index. */
  readonly replica_identity: string;
  readonly columns: readonly CatalogColumn[];
  /** Numbers of the primary key's columns in the key's own order; empty: no primary key. */
  readonly primary_key: readonly number[];
  /** Numbers of the columns of the index that REPLICA IDENTITY USING INDEX names. */
  readonly identity_index: readonly number[];
}

/** All ordinary and partitioned tables outside the system's schemas. */
export async function listTables(session: Session): Promise<ListedTable[]> {
  const rows = await session.query(`
    select c.oid, n.nspname, c.relname, c.relkind, c.relpersistence
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and c.relpersistence <> 't'
      and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    order by n.nspname, c.relname`);
  return rows.map(([oid, schema, table, kind, persistence]) => ({
    oid: Number(oid),
    schema: schema!,
    table: table!,
    partitioned: kind === "p",
    unlogged: persistence === "u",
  }));
}

/** The tables with these object ids; those that are gone are left out. */
export async function describeTables(
  session: Session,
  oids: readonly number[],
): Promise<CatalogTable[]> {
  const wanted = `{${oids.join(",")}}`;
  const tables = await session.query(
    `select c.oid, n.nspname, c.relname, c.relreplident
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.oid = any($1::oid[]) order by n.nspname, c.relname`,
    [wanted],
  );
  const columns = await session.query(
    `select attrelid, attnum, attname, atttypid, format_type(atttypid, atttypmod), attnotnull,
            attgenerated <> '', attgenerated = 'v', attlen = -1 and attstorage <> 'p'
     from pg_attribute
     where attrelid = any($1::oid[]) and attnum > 0 and not attisdropped
     order by attrelid, attnum`,
    [wanted],
  );
  const indexes = await session.query(
    `select indrelid, indisprimary, indisreplident, indnkeyatts, indkey::text from pg_index
     where indrelid = any($1::oid[]) and (indisprimary or indisreplident)`,
    [wanted],
  );
  const keyOf = (oid: string | null, flag: 1 | 2): number[] => {
    const index = indexes.find((index) => index[0] === oid && index[flag] === "t");
    return (index?.[4] ?? "").split(" ").slice(0, Number(index?.[3] ?? 0)).map(Number);
  };
  return tables.map(([oid, schema, table, replica_identity]) => ({
    oid: Number(oid),
    schema: schema!,
    table: table!,
    replica_identity: replica_identity!,
    columns: columns.filter((column) => column[0] === oid).map((column) => ({
      number: Number(column[1]),
      name: column[2]!,
      type_oid: Number(column[3]),
      type: column[4]!,
      not_null: column[5] === "t",
      generated: column[6] === "t",
      virtual: column[7] === "t",
      toastable: column[8] === "t",
    })),
    primary_key: keyOf(oid!, 1),
    identity_index: keyOf(oid!, 2),
  }));
}

/** The table of this name as it is now; undefined when there is none. */
export async function describeTable(
  session: Session,
  schema: string,
  table: string,
): Promise<CatalogTable | undefined> {
  const [found] = await session.query(
    `select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where n.nspname = $1 and c.relname = $2`,
    [schema, table],
  );
  if (found === undefined) return undefined;
  return (await describeTables(session, [Number(found[0])]))[0];
}

/** Names of a table's generated columns: those of now, and those of before that are gone. */
export function generatedNames(
  now: CatalogTable | undefined,
  known: { readonly generated: ReadonlySet<string> } | undefined,
): Set<string> {
  const columns = now?.columns ?? [];
  const ordinary = columns.filter(({ generated }) => !generated).map(({ name }) => name);
  const names = columns.filter(({ generated }) => generated).map(({ name }) => name);
  return new Set([...known?.generated ?? [], ...names]).difference(new Set(ordinary));
}

/** Names of types with their modifiers, as the database writes them. */
export async function typeNames(
  session: Session,
  types: readonly { readonly type_oid: number; readonly type_modifier: number }[],
): Promise<string[]> {
  const rows = await session.query(
    `select format_type(oid, modifier)
     from unnest($1::oid[], $2::int4[]) with ordinality as t(oid, modifier, place) order by place`,
    [
      `{${types.map((type) => type.type_oid).join(",")}}`,
      `{${types.map((type) => type.type_modifier).join(",")}}`,
    ],
  );
  return rows.map(([name]) => name!);
}

/** How the values of each type are read: domains as their base type, arrays by their elements. */
export class TypeCatalog {
  readonly #session: Session;
  /** Bounded by the types that exist in the database. */
  readonly #known = new Map<number, Conversion>();

  constructor(session: Session) {
    this.#session = session;
  }

  /** The conversion of a type that `load` has met; a type dropped since is read as text. */
  get(oid: number): Conversion {
    return this.#known.get(oid) ?? conversionOf(0);
  }

  /** Learns what is not yet known of these types. */
  async load(oids: readonly number[]): Promise<void> {
    const missing = [...new Set(oids)].filter((oid) => !this.#known.has(oid));
    if (missing.length === 0) return;
    const rows = await this.#session.query(
      `with recursive chain(wanted, oid, typtype, typbasetype) as (
         select oid, oid, typtype, typbasetype from pg_type where oid = any($1::oid[])
         union all
         select chain.wanted, base.oid, base.typtype, base.typbasetype
         from chain join pg_type base on chain.typtype = 'd' and base.oid = chain.typbasetype
       )
       select chain.wanted, chain.oid, element.oid, element.typdelim
       from chain left join pg_type element on element.typarray = chain.oid
       where chain.typtype <> 'd'`,
      [`{${missing.join(",")}}`],
    );
    await this.load(rows.flatMap(([, , element]) => element === null ? [] : [Number(element)]));
    for (const [wanted, base, element, delimiter] of rows) {
      const conversion = element === null
        ? conversionOf(Number(base))
        : arrayConversion(scalar(this.get(Number(element!))), delimiter!);
      this.#known.set(Number(wanted), conversion);
    }
  }
}

/** An array whose elements are a domain over an array holds these as text. */
function scalar(conversion: Conversion): Conversion {
  return conversion.kind === "array" ? conversionOf(0) : conversion;
}
