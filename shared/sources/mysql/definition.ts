/** A captured table's definition: its schema, and how its row images are read. */
import type { Column, TableSchema } from "../../change.ts";
import { ConfigError, RecordError } from "../../errors.ts";
import type { RowLayout } from "../../wire/binlog_rows.ts";
import { ColumnType, type MappedColumn, type TableMap } from "../../wire/binlog_table_map.ts";
import {
  type TypeOfColumn,
  typeOfColumn,
  type ValueReader,
  valueReader,
} from "../../wire/mysql_column.ts";
import { schemaFingerprint } from "../../wire/schema_fingerprint.ts";
import type { CatalogueColumn, CatalogueTable } from "./catalogue.ts";

/** A table as the rows behind one TABLE_MAP have it. */
export interface Definition {
  readonly schema: TableSchema;
  readonly layout: RowLayout;
}

/** The functional indexes' columns, which the server computes and hides under such names. */
const HIDDEN = /^!hidden!/;

/** utf8mb4: what names from information_schema are in. */
const UTF8MB4_COLLATION = 45;

/**
 * The definition for `map`. `catalogue` is the same table as information_schema describes it now:
 * it tells which columns are generated (left out, unless the key needs them) and which are
 * TINYINT(1), and it supplies the names when the binlog has minimal metadata. A column of the map is
 * held to be the catalogue's of the same name and type; one that is not there any more is kept.
 * Throws ConfigError or RecordError naming the table where values cannot be told apart for sure.
 */
export function defineTable(
  map: TableMap,
  catalogue: CatalogueTable | undefined,
  tinyint1_as_boolean: boolean,
): Definition {
  const { db, table } = map;
  const mapped = map.full ? map.columns : named(map, catalogue);
  const key = map.key ??
    (catalogue?.key ?? []).map((name) => mapped.findIndex((column) => column.name === name));
  const known = new Map(catalogue?.columns.map((column) => [column.name, column]));
  const columns: Column[] = [];
  const targets: number[] = [];
  const readers: ValueReader[] = [];
  mapped.forEach((column, i) => {
    const name = column.name ?? "";
    const { type, reader } = describe(db, table, column);
    const now = known.get(name);
    const same = now !== undefined && plainType(now.type) === type.type;
    const left_out = !key.includes(i) && (HIDDEN.test(name) || (same && now.generated));
    targets.push(left_out ? -1 : columns.length);
    const boolean = tinyint1_as_boolean && same && now.type === "tinyint(1)";
    readers.push(boolean ? readBoolean : reader);
    if (left_out) return;
    columns.push(boolean ? { name, type: now.type, kind: "boolean" } : { name, ...type });
  });
  const key_targets = key.map((i) => targets[i]!);
  const schema: TableSchema = {
    id: schemaFingerprint(columns, key_targets),
    db,
    schema: null,
    table,
    columns,
    key: key_targets,
  };
  const names = mapped.map((column) => column.name ?? "");
  const json = mapped.flatMap(({ type }, i) => type === ColumnType.JSON ? [i] : []);
  return { schema, layout: { readers, targets, width: columns.length, names, json } };
}

/** The schema of a table that only the catalogue describes, for a TRUNCATE before any row. */
export function schemaOfCatalogue(
  db: string,
  table: string,
  catalogue: CatalogueTable | undefined,
  tinyint1_as_boolean: boolean,
): TableSchema {
  const kept = (catalogue?.columns ?? []).filter(({ generated, name }) =>
    !generated || catalogue!.key.includes(name)
  );
  const columns = kept.map(({ name, type, charset }): Column => {
    if (tinyint1_as_boolean && type === "tinyint(1)") return { name, type, kind: "boolean" };
    const plain = plainType(type);
    return { name, type: plain, ...kindOf(plain, charset) };
  });
  const key = (catalogue?.key ?? []).map((name) => columns.findIndex((c) => c.name === name));
  return { id: schemaFingerprint(columns, key), db, schema: null, table, columns, key };
}

function kindOf(type: string, charset: string | undefined): Pick<Column, "kind" | "element"> {
  if (/^(tiny|small|medium|big)?int\b/.test(type)) return { kind: "integer" };
  if (/^float\b/.test(type)) return { kind: "float32" };
  if (/^double\b/.test(type)) return { kind: "float64" };
  if (/^vector\b/.test(type)) return { kind: "array", element: "float32" };
  if (/^(decimal|date|datetime|timestamp|time|year|bit|json|enum|set)\b/.test(type)) {
    return { kind: "string" };
  }
  return { kind: charset === undefined ? "bytes" : "string" };
}

/** COLUMN_TYPE without what the binlog does not hold: display widths and ZEROFILL. */
export function plainType(type: string): string {
  if (/^(enum|set)\(/.test(type)) return type;
  return type
    .replace(/^((?:tiny|small|medium|big)?int|year)\(\d+\)/, "$1")
    .replace(/^(float|double)\(\d+,\d+\)/, "$1")
    .replace(/ zerofill\b/, "");
}

function describe(
  db: string,
  table: string,
  column: MappedColumn,
): { type: TypeOfColumn; reader: ValueReader } {
  try {
    return { type: typeOfColumn(column), reader: valueReader(column) };
  } catch (cause) {
    if (!(cause instanceof RecordError)) throw cause;
    throw new RecordError(
      `Column ${JSON.stringify(column.name)} of table ${db}.${table}: ${cause.message}`,
      { cure: cause.cure },
    );
  }
}

const readBoolean: ValueReader = (reader) => {
  const value = reader.u8() << 24 >> 24;
  if (value === 0 || value === 1) return value === 1;
  throw new RecordError(`TINYINT(1) holds ${value}, which is no boolean`, {
    cure: "set tinyint1_as_boolean: false",
  });
};

const FULL_METADATA =
  "SET GLOBAL binlog_row_metadata = FULL, and then restart from a position after it";

/** The map's columns with names, members and types from the catalogue, when both agree. */
function named(map: TableMap, catalogue: CatalogueTable | undefined): MappedColumn[] {
  const place = `table ${map.db}.${map.table}`;
  if (catalogue === undefined) {
    throw new ConfigError(
      `The binlog does not name the columns of ${place}, and information_schema does not have it`,
      { cure: FULL_METADATA },
    );
  }
  if (catalogue.columns.length !== map.columns.length) {
    throw new ConfigError(
      `The binlog has ${map.columns.length} columns for ${place} without naming them, and` +
        ` information_schema has ${catalogue.columns.length} now`,
      { cure: FULL_METADATA },
    );
  }
  return map.columns.map((column, i) => {
    const now = catalogue.columns[i]!;
    const whole = { ...column, name: now.name, ...membersOf(column, now) };
    const { type } = describe(map.db, map.table, whole).type;
    if (type === plainType(now.type)) return whole;
    throw new ConfigError(
      `Column ${i + 1} of ${place} is ${type} in the binlog, which does not name it, and` +
        ` information_schema has ${JSON.stringify(now.name)} ${now.type} there`,
      { cure: FULL_METADATA },
    );
  });
}

function membersOf(
  column: MappedColumn,
  now: CatalogueColumn,
): Pick<MappedColumn, "members" | "collation"> | undefined {
  if (column.type !== ColumnType.ENUM && column.type !== ColumnType.SET) return undefined;
  const list = /^\w+\((.*)\)$/s.exec(now.type)?.[1] ?? "";
  const members = [...list.matchAll(/'((?:[^']|'')*)'/g)]
    .map(([, label]) => new TextEncoder().encode(label!.replaceAll("''", "'")));
  return { members, collation: UTF8MB4_COLLATION };
}
