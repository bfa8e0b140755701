/** Reads wal2json's records into changes, with the catalogue's help for what they do not say. */
import type { Value } from "../../change.ts";
import { RecordError } from "../../errors.ts";
import type { Tuple } from "../../wire/pgoutput.ts";
import type { Conversion } from "../../wire/postgres_value.ts";
import { OID } from "../../wire/postgres_value.ts";
import type { WireReader } from "../../wire/postgres_reader.ts";
import {
  type Cell,
  type Cells,
  type Token,
  Wal2jsonDecoder,
  type Wal2jsonRecord,
} from "../../wire/wal2json.ts";
import { type CatalogColumn, type CatalogTable, describeTable, generatedNames } from "./catalog.ts";
import { completeRow } from "./incomplete_row.ts";
import { refuseUnfaithful } from "./inspect.ts";
import type { PluginContext, PluginReader } from "./plugin.ts";
import { type CapturedTable, sameMembers } from "./table.ts";

type RowRecord = Extract<Wal2jsonRecord, { action: "insert" | "update" | "delete" }>;
type TruncateRecord = Extract<Wal2jsonRecord, { action: "truncate" }>;

/** A column of a table as the records show it. */
interface Known {
  readonly name: string;
  readonly type: string;
  readonly type_oid: number;
  /** False: NOT NULL. */
  readonly optional: boolean;
  readonly conversion: Conversion;
}

/** A column before its type has been looked up. */
type Described = Omit<Known, "conversion">;

/** What is known of a table, and where the cells of its records belong. */
interface TableState {
  readonly table: CapturedTable;
  readonly columns: readonly Known[];
  /** Names of generated columns, which are left out as pgoutput does it. */
  readonly generated: ReadonlySet<string>;
  /** Names of those that an update may leave out; undefined: nobody knows, for the table has gone. */
  readonly toastable: ReadonlySet<string> | undefined;
  /** The key's columns as the record said with which this was made. */
  readonly primary_key: readonly string[];
  /** By the array of cells, which the decoder hands out again while the columns stay the same. */
  readonly places: WeakMap<readonly Cell[], readonly number[]>;
  /** The names of the old row's columns with which this was made. */
  identity: readonly Cell[] | undefined;
}

/** Place of a cell that is left out. */
const NOWHERE = -1;

export class Wal2jsonReader implements PluginReader {
  readonly #context: PluginContext;
  readonly #decoder = new Wal2jsonDecoder();
  /** By schema and table; bounded by the tables that the slot is asked for. */
  readonly #tables = new Map<string, TableState>();

  constructor(context: PluginContext) {
    this.#context = context;
  }

  read(reader: WireReader): Promise<void> | undefined {
    const { assembler, committed } = this.#context;
    const record = this.#decoder.decode(reader.bytes.toString("utf8", reader.at, reader.end));
    switch (record.action) {
      case "begin":
        assembler.begin(record.lsn, record.commit_us, record.xid);
        return undefined;
      case "commit":
        assembler.end();
        committed(record.end_lsn);
        return undefined;
      case "skipped":
        return undefined;
      case "truncate":
        return this.#wanted(record) ? this.#truncate(record) : undefined;
      default:
        return this.#wanted(record) ? this.#row(record) : undefined;
    }
  }

  #wanted(record: RowRecord | TruncateRecord): boolean {
    return this.#tables.has(tableKey(record)) || this.#context.wanted(record.schema, record.table);
  }

  #row(record: RowRecord): Promise<void> | undefined {
    const state = this.#tables.get(tableKey(record));
    if (state !== undefined && fits(state, record)) return this.#apply(state, record);
    return this.#learn(record).then((state) => this.#apply(state, record));
  }

  #truncate(record: TruncateRecord): Promise<void> | undefined {
    const state = this.#tables.get(tableKey(record));
    if (state === undefined) {
      return this.#learn(record).then((state) => this.#context.assembler.truncate(state.table));
    }
    this.#context.assembler.truncate(state.table);
    return undefined;
  }

  #apply(state: TableState, record: RowRecord): Promise<void> | undefined {
    const { assembler, session } = this.#context;
    const { table } = state;
    if (record.action === "insert") {
      assembler.insert(table, rowOf(state, record.after!, record));
      return undefined;
    }
    const before = record.identity && rowOf(state, record.identity, record);
    if (record.action === "delete") {
      if (before === null) throw withoutIdentity(record);
      assembler.delete(table, before, !table.full);
      return undefined;
    }
    const after = rowOf(state, record.after!, record);
    const incomplete = assembler.update(table, before, !table.full, after);
    return incomplete && completeRow(session, incomplete);
  }

  async #learn(record: RowRecord | TruncateRecord): Promise<TableState> {
    const { session, types, tables } = this.#context;
    const { schema, table: name } = record;
    const catalog = await describeTable(session, schema, name);
    if (catalog !== undefined) await refuseUnfaithful(session, [catalog]);
    const previous = this.#tables.get(tableKey(record));
    const generated = generatedNames(catalog, previous);
    const { columns: all, full } = describe(record, catalog, previous);
    const described = all.filter((column) => !generated.has(column.name));
    await types.load(described.map((column) => column.type_oid));
    const columns = described.map((column) => ({
      ...column,
      conversion: types.get(column.type_oid),
    }));
    const keys = keysOf(record, catalog, columns.map((column) => column.name), full);
    const table = tables.make({ schema, table: name, columns, full, ...keys });
    const state: TableState = {
      table,
      columns,
      generated,
      toastable: catalog && new Set(catalog.columns.filter((one) => one.toastable).map(nameOf)),
      primary_key: record.action === "truncate" ? previous?.primary_key ?? [] : record.primary_key,
      places: new WeakMap(),
      identity: record.action === "truncate" ? undefined : record.identity?.cells,
    };
    this.#tables.set(tableKey(record), state);
    this.#context.log.debug("table_described", {
      table: `${schema}.${name}`,
      schema_id: table.schema.id,
    });
    return state;
  }
}

function tableKey({ schema, table }: { schema: string; table: string }): string {
  return `${schema}\0${table}`;
}

// Rows --------------------------------------------------------------------------------------------

/** Whether a record's columns are those that are known; if not, the table was altered. */
function fits(state: TableState, record: RowRecord): boolean {
  if (record.after !== null) {
    const places = placesOf(state, record.after.cells);
    if (places === undefined) return false;
    const held = places.filter((place) => place !== NOWHERE).length;
    if (held !== state.columns.length && !mayLack(state, record, places)) return false;
  }
  if (!isSame(record.primary_key, state.primary_key)) return false;
  const cells = record.identity?.cells;
  if (cells === undefined || cells === state.identity) return true;
  const places = placesOf(state, cells)?.filter((place) => place !== NOWHERE);
  if (places === undefined || !sameMembers(places, state.table.identity)) return false;
  state.identity = cells;
  return true;
}

/** Whether a record may leave out the columns that have no place in it: else they were dropped. */
function mayLack(
  { columns, toastable }: TableState,
  { action }: RowRecord,
  places: readonly number[],
): boolean {
  if (action === "insert") return false;
  return columns.every(({ name }, place) =>
    places.includes(place) || toastable === undefined || toastable.has(name)
  );
}

function isSame(one: readonly string[], other: readonly string[]): boolean {
  return one.length === other.length && one.every((name, at) => name === other[at]);
}

function nameOf({ name }: { readonly name: string }): string {
  return name;
}

/** Where each cell belongs in the row; undefined when one is of a column that is not known so. */
function placesOf(state: TableState, cells: readonly Cell[]): readonly number[] | undefined {
  const known = state.places.get(cells);
  if (known !== undefined) return known;
  const places: number[] = [];
  for (const cell of cells) {
    const place = state.columns.findIndex((column) => sameColumn(column, cell));
    if (place < 0 && !state.generated.has(cell.name)) return undefined;
    places.push(place);
  }
  state.places.set(cells, places);
  return places;
}

function sameColumn(column: Described, cell: Cell): boolean {
  return column.name === cell.name && column.type_oid === cell.type_oid &&
    column.type === cell.type &&
    (cell.optional === undefined || cell.optional === column.optional);
}

function rowOf(state: TableState, { cells, tokens }: Cells, record: RowRecord): Tuple {
  const places = placesOf(state, cells)!;
  const row: Tuple = [];
  for (let index = 0; index < state.columns.length; index++) row.push(undefined);
  for (let at = 0; at < places.length; at++) {
    const place = places[at]!;
    if (place === NOWHERE) continue;
    const column = state.columns[place]!;
    const value = valueOf(column, tokens[at]!);
    if (value === null && !column.optional) throw notCarried(record, column);
    row[place] = value;
  }
  return row;
}

function valueOf({ conversion, type_oid }: Known, token: Token): Value {
  if (token === null) return null;
  if (typeof token === "boolean") {
    if (type_oid === OID.bool) return token;
    throw new RecordError(`wal2json sent ${token} as a value of type ${type_oid}`);
  }
  return conversion.fromText(token);
}

// Tables ------------------------------------------------------------------------------------------

/**
 * A table's columns as a record shows them, and whether its old rows are whole. What the record
 * leaves out is taken from what was known before, or from the catalogue as it is now.
 */
function describe(
  record: RowRecord | TruncateRecord,
  catalog: CatalogTable | undefined,
  previous: TableState | undefined,
): { columns: Described[]; full: boolean } {
  const now = (catalog?.columns ?? []).map(fromCatalog);
  const known = previous?.columns ?? now;
  if (record.action === "truncate") {
    return { columns: [...known], full: previous?.table.full ?? catalog?.replica_identity === "f" };
  }
  const columnsOf = (cells: readonly Cell[]) => cells.map((cell) => fromCell(cell, now));
  if (record.action === "insert") {
    return { columns: columnsOf(record.after!.cells), full: catalog?.replica_identity === "f" };
  }
  const old = record.identity?.cells ?? [];
  if (holdsWholeRows(record, old, catalog, known)) {
    return { columns: columnsOf(old), full: true };
  }
  const columns = record.after === null
    ? deletedColumns(old, now, known) ?? columnsOf(old)
    : updatedColumns(record.after.cells, catalog?.columns ?? []);
  return { columns, full: false };
}

function fromCatalog({ name, type, type_oid, not_null }: CatalogColumn): Described {
  return { name, type, type_oid, optional: !not_null };
}

/** Old rows do not say whether a column may be null: the catalogue does. */
function fromCell({ name, type, type_oid, optional }: Cell, now: readonly Described[]): Described {
  const later = now.find((column) => column.name === name);
  return { name, type, type_oid, optional: optional ?? later?.optional ?? true };
}

/** Whether old rows are whole (FULL) rather than the columns of a key or index. */
function holdsWholeRows(
  record: RowRecord,
  old: readonly Cell[],
  catalog: CatalogTable | undefined,
  known: readonly Described[],
): boolean {
  const has = (name: string) => old.some((cell) => cell.name === name);
  const others = record.after?.cells ?? known;
  const primary = record.primary_key;
  if (primary.length > 0 && sameMembers(old.map((cell) => cell.name), primary)) {
    // With every column in the key the record alone does not tell FULL from the default.
    return catalog?.replica_identity === "f" && others.length === primary.length;
  }
  return others.every((column) => has(column.name)) ||
    record.after === null && catalog?.replica_identity === "f";
}

/** The new row's columns and those which the log left out because they are unchanged out of line. */
function updatedColumns(sent: readonly Cell[], now: readonly CatalogColumn[]): Described[] {
  const described = now.map(fromCatalog);
  const missing = now.filter((column) =>
    column.toastable && !sent.some((cell) => cell.position === column.number)
  );
  const numbered = [
    ...sent.map((cell) => ({ number: cell.position ?? 0, column: fromCell(cell, described) })),
    ...missing.map((column) => ({ number: column.number, column: fromCatalog(column) })),
  ];
  return numbered.sort((one, other) => one.number - other.number).map(({ column }) => column);
}

/** A delete shows its identity alone: the other columns are those that are known, if they agree. */
function deletedColumns(
  sent: readonly Cell[],
  now: readonly Described[],
  known: readonly Described[],
): Described[] | undefined {
  const agreeing = [now, known].find((columns) =>
    sent.every((cell) => columns.some((column) => sameColumn(column, cell)))
  );
  return agreeing && [...agreeing];
}

/** Indexes of the key's columns and of those that old rows carry, among `names`. */
function keysOf(
  record: RowRecord | TruncateRecord,
  catalog: CatalogTable | undefined,
  names: readonly string[],
  full: boolean,
): { key: readonly number[]; identity: readonly number[] } {
  const places = (names_then: readonly string[]) =>
    names_then.map((name) => names.indexOf(name)).filter((index) => index >= 0);
  const then = catalog && namesThen(record, catalog);
  if (full) return { key: places(primaryKey(record, then)), identity: [...names.keys()] };
  const carried = record.action === "truncate" ? undefined : record.identity?.cells;
  const identity = places(
    carried?.map((cell) => cell.name) ?? then?.identity ?? primaryKey(record, then),
  );
  const ordered = [then?.primary_key ?? [], then?.identity_index ?? []].map(places)
    .find((key) => sameMembers(key, identity));
  return { key: ordered ?? identity, identity };
}

/** Names of columns in the order of their key. */
interface KeyNames {
  readonly primary_key: readonly string[];
  readonly identity_index: readonly string[];
  /** The columns that old rows carry by the table's replica identity, unless that is FULL. */
  readonly identity: readonly string[];
}

/** The catalogue's keys in the names that the columns had in the record. */
function namesThen(record: RowRecord | TruncateRecord, catalog: CatalogTable): KeyNames {
  const cells = record.action === "truncate" ? [] : record.after?.cells ?? [];
  const names = (numbers: readonly number[]) =>
    numbers.map((number) =>
      cells.find((cell) => cell.position === number)?.name ??
        catalog.columns.find((column) => column.number === number)?.name ?? ""
    );
  const primary_key = names(catalog.primary_key);
  const identity_index = names(catalog.identity_index);
  const identity = catalog.replica_identity === "n"
    ? []
    : catalog.replica_identity === "i"
    ? identity_index
    : primary_key;
  return { primary_key, identity_index, identity };
}

/** The primary key as the record names it, in the key's own order if the catalogue still agrees. */
function primaryKey(
  record: RowRecord | TruncateRecord,
  then: KeyNames | undefined,
): readonly string[] {
  const ordered = then?.primary_key ?? [];
  if (record.action === "truncate") return ordered;
  return sameMembers(ordered, record.primary_key) ? ordered : record.primary_key;
}

// Errors ------------------------------------------------------------------------------------------

function withoutIdentity({ schema, table }: RowRecord): RecordError {
  return new RecordError(`wal2json sent a delete of ${schema}.${table} that names no row`, {
    cure: `ALTER TABLE ${schema}.${table} REPLICA IDENTITY FULL, or use plugin: pgoutput`,
  });
}

function notCarried({ schema, table }: RowRecord, { name, type }: Known): RecordError {
  return new RecordError(
    `wal2json sent null for ${schema}.${table}.${name}, a ${type} that cannot be null: it writes so` +
      ` for NaN and Infinity, which it cannot carry`,
    { cure: "use plugin: pgoutput" },
  );
}
