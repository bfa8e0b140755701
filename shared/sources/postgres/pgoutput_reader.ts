/** Reads pgoutput's messages into changes, with the catalogue's help for keys and type names. */
import { RecordError } from "../../errors.ts";
import {
  type ColumnConversion,
  decodePgoutput,
  type Message,
  type Relation,
  type RelationColumn,
} from "../../wire/pgoutput.ts";
import type { WireReader } from "../../wire/postgres_reader.ts";
import { type CatalogTable, describeTables, generatedNames, typeNames } from "./catalog.ts";
import { keyFault } from "./identity.ts";
import { completeRow } from "./incomplete_row.ts";
import type { PluginContext, PluginReader } from "./plugin.ts";
import { type CapturedTable, sameMembers } from "./table.ts";

/** A table as the relation message described it. */
interface Known {
  readonly table: CapturedTable;
  /** One per column of the message. */
  readonly conversions: readonly ColumnConversion[];
  /** Names of its generated columns, which are left out as the plugin before PostgreSQL 18 did it. */
  readonly generated: ReadonlySet<string>;
}

export class PgoutputReader implements PluginReader {
  readonly #context: PluginContext;
  /** By the number that rows name; bounded by the tables of the publication. */
  readonly #relations = new Map<number, Known | null>();

  constructor(context: PluginContext) {
    this.#context = context;
  }

  read(reader: WireReader): Promise<void> | undefined {
    const message = decodePgoutput(reader, this.#conversions);
    return message.kind === "relation" ? this.#learn(message) : this.#apply(message);
  }

  readonly #conversions = (relation_id: number): readonly ColumnConversion[] | null =>
    this.#known(relation_id)?.conversions ?? null;

  /** Null: the job does not want the table. */
  #known(relation_id: number): Known | null {
    const table = this.#relations.get(relation_id);
    if (table === undefined) {
      throw new RecordError(`pgoutput sent a row of relation ${relation_id} without describing it`);
    }
    return table;
  }

  #table(relation_id: number): CapturedTable {
    return this.#known(relation_id)!.table; // rows of unwanted tables come as `skipped`
  }

  #apply(message: Exclude<Message, Relation>): Promise<void> | undefined {
    const { assembler } = this.#context;
    switch (message.kind) {
      case "insert":
        assembler.insert(this.#table(message.relation_id), message.after);
        return undefined;
      case "update": {
        const { before, key_only, after } = message;
        const table = this.#table(message.relation_id);
        const incomplete = assembler.update(table, before, key_only, after);
        return incomplete && completeRow(this.#context.session, incomplete);
      }
      case "delete":
        assembler.delete(this.#table(message.relation_id), message.before, message.key_only);
        return undefined;
      case "begin":
        assembler.begin(message.final_lsn, message.commit_us, message.xid);
        return undefined;
      case "commit":
        assembler.end();
        this.#context.committed(message.end_lsn);
        return undefined;
      case "truncate":
        for (const relation_id of message.relation_ids) {
          const known = this.#known(relation_id);
          if (known !== null) assembler.truncate(known.table);
        }
        return undefined;
      case "skipped":
        return undefined;
    }
  }

  async #learn(sent: Relation): Promise<void> {
    const { session, types, tables, wanted } = this.#context;
    if (!wanted(sent.schema, sent.table)) {
      this.#relations.set(sent.id, null);
      return;
    }
    const [catalog] = await describeTables(session, [sent.id]);
    const fault = catalog && keyFault(catalog);
    if (fault !== undefined) {
      throw new RecordError(`Cannot capture ${sent.schema}.${sent.table}: ${fault.found}`, fault);
    }
    const previous = this.#relations.get(sent.id) ?? undefined;
    const generated = generatedNames(catalog, previous);
    const isLeftOut = ({ name }: RelationColumn) => generated.has(name);
    const columns = sent.columns.filter((column) => !isLeftOut(column));
    const relation = { ...sent, columns };
    const names = await typeNames(session, columns);
    await types.load(columns.map((column) => column.type_oid));
    const flagged = columns.flatMap((column, index) => column.identity ? [index] : []);
    const table = tables.make({
      schema: relation.schema,
      table: relation.table,
      columns: columns.map(({ name, type_oid }, index) => ({
        name,
        type: names[index]!,
        conversion: types.get(type_oid),
      })),
      key: keyOf(relation, flagged, catalog, previous?.table),
      identity: flagged,
      full: relation.replica_identity === "f",
    });
    const conversions = sent.columns.map((column) =>
      isLeftOut(column) ? null : types.get(column.type_oid)
    );
    this.#relations.set(relation.id, { table, conversions, generated });
    this.#context.log.debug("table_described", {
      table: `${relation.schema}.${relation.table}`,
      schema_id: table.schema.id,
    });
  }
}

/**
 * Indexes of the key's columns. The message says which columns the replica identity has, but not in
 * which order, and with FULL it flags every column: the catalogue knows more, if it still agrees.
 */
function keyOf(
  relation: Relation,
  flagged: number[],
  catalog: CatalogTable | undefined,
  previous: CapturedTable | undefined,
): number[] {
  if (relation.replica_identity === "n") return [];
  if (relation.replica_identity === "f") return keyOfFull(relation, catalog, previous);
  for (const numbers of [catalog?.primary_key ?? [], catalog?.identity_index ?? []]) {
    const ordered = indexesOf(numbers, relation, catalog!);
    if (ordered !== undefined && sameMembers(ordered, flagged)) return ordered;
  }
  return flagged;
}

function keyOfFull(
  relation: Relation,
  catalog: CatalogTable | undefined,
  previous: CapturedTable | undefined,
): number[] {
  const now = catalog && indexesOf(catalog.primary_key, relation, catalog);
  if (now !== undefined) return now;
  const before = previous?.schema.key.map((index) => previous.schema.columns[index]!.name);
  const kept = before?.map((name) => relation.columns.findIndex((column) => column.name === name));
  if (kept !== undefined && !kept.includes(-1)) return kept;
  throw new RecordError(
    `The key of table ${relation.schema}.${relation.table} cannot be determined: its rows in the log are` +
      ` from before it was ${catalog === undefined ? "dropped" : "altered"}, and with REPLICA` +
      ` IDENTITY FULL the log does not say which columns are the key`,
    { cure: `add ${relation.schema}.${relation.table} to source.exclude_tables` },
  );
}

/**
 * Where the columns with these numbers stand in the message; undefined when the table has other
 * columns by now. A column that was only renamed since is found by its place.
 */
function indexesOf(
  numbers: readonly number[],
  relation: Relation,
  catalog: CatalogTable,
): number[] | undefined {
  const sent = catalog.columns.filter((column) => !column.generated);
  const aligned = sent.length === relation.columns.length &&
    sent.every((column, index) => column.type_oid === relation.columns[index]!.type_oid);
  const indexes = numbers.map((number) => {
    const name = catalog.columns.find((column) => column.number === number)?.name;
    const index = relation.columns.findIndex((column) => column.name === name);
    return index < 0 && aligned ? sent.findIndex((column) => column.number === number) : index;
  });
  return indexes.includes(-1) ? undefined : indexes;
}
