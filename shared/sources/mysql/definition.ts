/** A captured table's definition: its schema, and how its row images are read. */
import type { Column, TableSchema } from "../../change.ts";
import { ConfigError, placed, RecordError } from "../../errors.ts";
import type { RowLayout } from "../../wire/binlog_rows.ts";
import { ColumnType, type MappedColumn, type TableMap } from "../../wire/binlog_table_map.ts";
import {
  FULL_METADATA,
  membersOfType,
  SHOWN_AS_BINARY,
  type TypeOfColumn,
  typeOfColumn,
  type ValueReader,
  valueReader,
} from "../../wire/mysql_column.ts";
import { schemaFingerprint } from "../../wire/schema_fingerprint.ts";
import { capturedColumns, type CatalogColumn, type CatalogTable } from "./catalog.ts";

/** A table as the rows after one TABLE_MAP have it. */
export interface Definition {
  readonly schema: TableSchema;
  readonly layout: RowLayout;
  /** The table keeps its rows' history: after an image's columns comes the time when the row ended. */
  readonly versioned: boolean;
}

/** The functional indexes' columns, which the server computes and hides under such names. */
const HIDDEN = /^!hidden!/;

/** When a row began, where a table with a history does not give the column a name. */
const HIDDEN_ROW_START = "row_start";

/** utf8mb4: what names from information_schema are in. */
const UTF8MB4_COLLATION = 45;

/**
 * The definition for `map`. `catalog` is the same table as information_schema describes it now:
 * it tells which columns are generated (left out, unless the key needs them), which are TINYINT(1),
 * INET6 and the like, and which say when a row of a history begins and ends (left out, for such a
 * table is taken as a SELECT shows it). It supplies the names when the binlog has minimal metadata. A
 * column of the map is held to be the catalogue's of the same name and type; one that is not there any
 * more is kept.
 * Throws ConfigError or RecordError naming the table where values cannot be told apart for sure.
 */
export function defineTable(
  map: TableMap,
  catalog: CatalogTable | undefined,
  tinyint1_as_boolean: boolean,
): Definition {
  const { db, table } = map;
  const mapped = map.full ? map.columns : named(map, catalog);
  const indexOf = (name: string | undefined) => mapped.findIndex((column) => column.name === name);
  const row_end = catalog?.row_end === undefined ? -1 : indexOf(catalog.row_end);
  const versioned = row_end >= 0;
  const key = (map.key ?? (catalog?.key ?? []).map(indexOf)).filter((i) => i !== row_end);
  const known = new Map(catalog?.columns.map((column) => [column.name, column]));
  const columns: Column[] = [];
  const targets: number[] = [];
  const readers: ValueReader[] = [];
  mapped.forEach((column, i) => {
    const name = column.name ?? "";
    const shown = describe(db, table, column);
    const now = known.get(name);
    const same = now !== undefined && shownType(now.type) === shown.type.type;
    const period = versioned && (i === row_end || (!now && name === HIDDEN_ROW_START));
    const left_out = period ||
      (!key.includes(i) && (HIDDEN.test(name) || (same && now.generated)));
    const { type, reader } = same ? asMeant(shown, now, tinyint1_as_boolean) : shown;
    targets.push(left_out ? -1 : columns.length);
    readers.push(reader);
    if (!left_out) columns.push({ name, ...type });
  });
  if (versioned) targets[row_end] = columns.length;
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
  const width = columns.length + (versioned ? 1 : 0);
  return { schema, layout: { readers, targets, width, names, json }, versioned };
}

/** The schema of a table that only the catalogue describes, for a TRUNCATE before any row. */
export function schemaOfCatalog(
  db: string,
  table: string,
  catalog: CatalogTable | undefined,
  tinyint1_as_boolean: boolean,
): TableSchema {
  const kept = catalog === undefined ? [] : capturedColumns(catalog);
  const columns = kept.map(({ name, type, charset }): Column => {
    if (tinyint1_as_boolean && type === "tinyint(1)") return { name, type, kind: "boolean" };
    const plain = plainType(type);
    return { name, type: plain, ...kindOf(plain, charset) };
  });
  const key = (catalog?.key ?? []).map((name) => columns.findIndex((c) => c.name === name));
  return { id: schemaFingerprint(columns, key), db, schema: null, table, columns, key };
}

/** A sequence of MariaDB is a table in the log, of one row without a key. */
const SEQUENCE =
  "next_not_cached_value minimum_value maximum_value start_value increment cache_size" +
  " cycle_option cycle_count";

/** Whether the log shows a sequence: it is no table that can be read. */
export function isSequence({ columns, key }: TableSchema): boolean {
  return key.length === 0 && columns.map(({ name }) => name).join(" ") === SEQUENCE;
}

function kindOf(type: string, charset: string | undefined): Pick<Column, "kind" | "element"> {
  if (/^(tiny|small|medium|big)?int\b/.test(type)) return { kind: "integer" };
  if (/^float\b/.test(type)) return { kind: "float32" };
  if (/^double\b/.test(type)) return { kind: "float64" };
  if (/^vector\b/.test(type)) return { kind: "array", element: "float32" };
  if (/^(decimal|date|datetime|timestamp|time|year|bit|json|enum|set|inet[46]|uuid)\b/.test(type)) {
    return { kind: "string" };
  }
  return { kind: charset === undefined ? "bytes" : "string" };
}

/**
 * COLUMN_TYPE without what the binlog does not hold: display widths, ZEROFILL and MariaDB's other name
 * for a collection of geometries; and without COMPRESSED, which is no matter of the value.
 */
export function plainType(type: string): string {
  if (/^(enum|set)\(/.test(type)) return type;
  return type
    .replace(/^((?:tiny|small|medium|big)?int|year)\(\d+\)/, "$1")
    .replace(/^(float|double)\(\d+,\d+\)/, "$1")
    .replace(/ zerofill\b/, "")
    .replace(/ \/\*M?!\d+ COMPRESSED\*\//, "")
    .replace(/^geometrycollection\b/, "geomcollection");
}

/** The type that the log has for a column of COLUMN_TYPE `type`. */
function shownType(type: string): string {
  return SHOWN_AS_BINARY[type]?.shown ?? plainType(type);
}

/** A column as the log shows it. */
interface Shown {
  readonly type: TypeOfColumn;
  readonly reader: ValueReader;
}

/** What the catalogue knows better than the log. */
function asMeant(shown: Shown, { type }: CatalogColumn, tinyint1_as_boolean: boolean): Shown {
  if (tinyint1_as_boolean && type === "tinyint(1)") {
    return { type: { type, kind: "boolean" }, reader: readBoolean };
  }
  const binary = SHOWN_AS_BINARY[type];
  if (binary === undefined) return shown;
  const reader: ValueReader = (r) => binary.text(shown.reader(r) as Uint8Array);
  return { type: { type, kind: "string" }, reader };
}

function describe(db: string, table: string, column: MappedColumn): Shown {
  try {
    return { type: typeOfColumn(column), reader: valueReader(column) };
  } catch (error) {
    throw placed(`Column ${JSON.stringify(column.name)} of table ${db}.${table}`, error);
  }
}

const readBoolean: ValueReader = (reader) => {
  const value = reader.u8() << 24 >> 24;
  if (value === 0 || value === 1) return value === 1;
  throw new RecordError(`TINYINT(1) holds ${value}, which is no boolean`, {
    cure: "set tinyint1_as_boolean: false",
  });
};

/** The map's columns with names, members and types from the catalogue, when both agree. */
function named(map: TableMap, catalog: CatalogTable | undefined): MappedColumn[] {
  const place = `table ${map.db}.${map.table}`;
  if (catalog === undefined) {
    throw new ConfigError(
      `The binlog does not name the columns of ${place}, and information_schema does not have it`,
      { cure: FULL_METADATA },
    );
  }
  if (catalog.columns.length !== map.columns.length) {
    throw new ConfigError(
      `The binlog has ${map.columns.length} columns for ${place} without naming them, and` +
        ` information_schema has ${catalog.columns.length} now`,
      { cure: FULL_METADATA },
    );
  }
  return map.columns.map((column, i) => {
    const now = catalog.columns[i]!;
    const whole = { ...column, name: now.name, ...membersOf(place, column, now) };
    const { type } = describe(map.db, map.table, whole).type;
    if (type === shownType(now.type)) return whole;
    throw new ConfigError(
      `Column ${i + 1} of ${place} is ${type} in the binlog, which does not name it, and` +
        ` information_schema has ${JSON.stringify(now.name)} ${now.type} there`,
      { cure: FULL_METADATA },
    );
  });
}

/** Throws ConfigError where COLUMN_TYPE does not tell the members, as with bytes that are no characters. */
function membersOf(
  place: string,
  column: MappedColumn,
  { name, type }: CatalogColumn,
): Pick<MappedColumn, "members" | "collation"> | undefined {
  if (column.type !== ColumnType.ENUM && column.type !== ColumnType.SET) return undefined;
  const labels = membersOfType(type);
  if (labels === undefined && /^(enum|set)\(/.test(type)) {
    throw new ConfigError(
      `The binlog does not name the members of column ${JSON.stringify(name)} of ${place}, and` +
        ` information_schema does not tell them: ${type}`,
      { cure: FULL_METADATA },
    );
  }
  const members = labels?.map((label) => new TextEncoder().encode(label)) ?? [];
  return { members, collation: UTF8MB4_COLLATION };
}
