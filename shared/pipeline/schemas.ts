/** Table definitions on the compacted topic `list-sync.schemas`: written before the first row that needs them. */
import type { SourceIdentity, TableSchema } from "../change.ts";
import { RecordError } from "../errors.ts";
import { type SchemaLookup, sourceId } from "../formats/format.ts";
import type { Admin, NewTopic, OutBatch } from "../kafka/port.ts";
import { recordsOf } from "../kafka/records.ts";
import { nameParts } from "../table_name.ts";
import { minInsync } from "./positions.ts";

/** Name of the topic. */
export const SCHEMAS_TOPIC = "list-sync.schemas";

/** A record names a definition that the topic did not hold when it was last read. */
export class UnknownSchemaError extends RecordError {}

/** The topic as it is to be made. One partition, so that it is read in one order. */
export function schemasTopic(replication_factor: number): NewTopic {
  return {
    name: SCHEMAS_TOPIC,
    partitions: 1,
    replication_factor,
    config: { "cleanup.policy": "compact", "min.insync.replicas": minInsync(replication_factor) },
  };
}

type Key = [source: string, db: string, schema: string | null, table: string, id: string];

/** The record that publishes `table`. */
export function schemaBatch(source: SourceIdentity, table: TableSchema, now_ms: number): OutBatch {
  const key: Key = [sourceId(source), table.db, table.schema, table.table, table.id];
  return {
    topic: SCHEMAS_TOPIC,
    partition: 0,
    records: [{ key: JSON.stringify(key), value: JSON.stringify(table), timestamp_ms: now_ms }],
  };
}

/** Reads the topic as far as it goes and finds definitions in it. */
export class SchemaReader {
  readonly #admin: Admin;
  readonly #tables = new Map<string, TableSchema>();
  #next_offset = 0;

  constructor(admin: Admin) {
    this.#admin = admin;
  }

  /** Finds a definition; throws UnknownSchemaError when the topic held none at the last refresh. */
  readonly lookup: SchemaLookup = (source, db, schema, table, id) => {
    const found = this.find([source, db, schema, table, id]);
    if (found !== undefined) return found;
    throw new UnknownSchemaError(
      `No definition ${id} of table ${nameParts({ db, schema, table }).join(".")}` +
        ` from ${source} is in topic ${SCHEMAS_TOPIC}`,
      {
        cure: `read ${SCHEMAS_TOPIC} from the cluster that the records came from, or capture the` +
          ` table again so that its definition is published`,
      },
    );
  };

  /** The same, and undefined where there is none. */
  find(key: Key): TableSchema | undefined {
    return this.#tables.get(JSON.stringify(key));
  }

  /** One definition of each table of a source. */
  tables(source: string): TableSchema[] {
    const found = new Map<string, TableSchema>();
    for (const [key, table] of this.#tables) {
      const [name, ...place] = JSON.parse(key) as Key;
      if (name === source) found.set(JSON.stringify(place.slice(0, 3)), table);
    }
    return [...found.values()];
  }

  /** Reads what was added since the last call. */
  async refresh(): Promise<void> {
    const [partition] = await this.#admin.topics((name) => name === SCHEMAS_TOPIC)
      .then((topics) => topics.length === 0 ? [] : this.#admin.offsets(SCHEMAS_TOPIC));
    if (partition === undefined) return;
    const isAnew = this.#next_offset > partition.end; // the topic was
    const from = isAnew ? partition.first : Math.max(this.#next_offset, partition.first);
    const at = { topic: SCHEMAS_TOPIC, partition: 0 };
    for await (const { key, value } of recordsOf(this.#admin, at, from, partition.end)) {
      if (key === null || value === null) continue;
      this.#tables.set(text.decode(key), JSON.parse(text.decode(value)) as TableSchema);
    }
    this.#next_offset = partition.end;
  }
}

const text = new TextDecoder();
