/** Changes of one small table, and an independent reading of what a CSV sink wrote of them. */
import { parse } from "csv-parse/sync";
import type { Change, Op, Row, TableSchema } from "../../../shared/change.ts";
import { createHealth } from "../../../shared/observe/health.ts";
import { createLog } from "../../../shared/observe/log.ts";
import { formatPosition } from "../../../shared/position.ts";
import { CsvSink } from "../../../shared/sinks/csv.ts";
import { type CsvOptions, csvOptions } from "../../../shared/sinks/csv/options.ts";
import type { Disk } from "../../../shared/sinks/csv/disk.ts";
import { csvFiles } from "../../../shared/sinks/csv/files.ts";
import type { SinkContext, Standing } from "../../../shared/sinks/sink.ts";
import { schemaFingerprint } from "../../../shared/wire/schema_fingerprint.ts";

export const SOURCE = "postgresql/orders";
export const TOPIC = "orders.public.list";
export const at = { topic: TOPIC, partition: 0 };
export const partition = { ...at, topic_id: "topic-id-1" };
export const never = new AbortController().signal;

/** `list(id, category, domain)` with the key `id`, and more columns when given. */
export function listTable(...more: string[]): TableSchema {
  const columns = [
    { name: "id", type: "bigint", kind: "integer" },
    ...["category", "domain", ...more].map((name) => ({ name, type: "text", kind: "string" })),
  ] as TableSchema["columns"];
  const id = schemaFingerprint(columns, [0]);
  return { id, db: "shop", schema: "public", table: "list", columns, key: [0] };
}

export const table = listTable();

/** Change number `n` of the source: its position and offset grow with it. */
export function change(
  n: number,
  op: Op,
  rows: { before?: Row; after?: Row },
  of: TableSchema = table,
): Change {
  return {
    op,
    source: { connector: "postgresql", name: "orders", version: "0.1.0" },
    table: of,
    before: rows.before ?? null,
    after: rows.after ?? null,
    position: positionOf(n),
    coordinates: {},
    transaction: { id: "771", ts_us: 1_795_255_200_000_000 + n },
    total_order: n,
    ts_ms: 1_795_255_200_130,
  };
}

/** The position of change number `n`. */
export function positionOf(n: number): string {
  return formatPosition({ generation: 1, major: 1n, minor: BigInt(n), row: 0 });
}

/** Standing after change number `n`, where offsets are numbers of changes. */
export function standing(n: number): Standing {
  const positions = new Map([[SOURCE, positionOf(n)]]);
  return { next_offset: n + 1, positions, set_aside: new Map([[n, "digest"]]) };
}

/** What a sink is made with, and the lines it logged. */
export function context(): SinkContext & { lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    job: "test",
    level: "debug",
    write: (line) => lines.push(JSON.parse(line)),
    now: () => 0,
  });
  return { consumer_id: "1", log, health: createHealth(), now: Date.now, lines };
}

/** A CSV sink over `output`, with the defaults for all that `options` leaves out. */
export function csvSink(output: string, options: Partial<CsvOptions> = {}, disk?: Disk): CsvSink {
  return new CsvSink(csvOptions.parse({ output, ...options }), context(), disk);
}

/** One line of the files as an independent reader finds it. */
export interface Line {
  /** Path of the file inside the folder. */
  readonly file: string;
  readonly operation: string;
  readonly sequence: number;
  readonly cells: (string | null)[];
}

/** Every line that counts of `topic` in the folder, headers left out, file after file. */
export function readLines(
  output: string,
  options: Partial<CsvOptions> = {},
  topic = TOPIC,
): Line[] {
  const known = csvOptions.parse({ output, ...options });
  return csvFiles(known, topic).flatMap(({ path, bytes, operation, sequence }) => {
    const content = Deno.readFileSync(path).subarray(0, bytes);
    const rows: (string | null)[][] = parse(new TextDecoder().decode(content), {
      from_line: known.header ? 2 : 1,
      record_delimiter: "\n",
      cast: (value, { quoting }) => value === "" && !quoting ? null : value,
    });
    const file = path.slice(output.length + 1);
    return rows.map((cells) => ({ file, operation, sequence, cells }));
  });
}

/** Does `work` in a folder of its own that is removed after it. */
export async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "list-sync-csv-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
