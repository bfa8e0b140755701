/** Tables that are altered in mid-stream: each row comes under the definition with which it was written. */
import assert from "node:assert/strict";
import type { Change } from "../../shared/change.ts";
import { keyText } from "../../shared/formats/key.ts";
import { until } from "../until.ts";
import { KEYED, SnapshotLab, type SourceChanges, type Way } from "./snapshot_lab.ts";

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "PostgreSQL", plugin: "wal2json" },
  { kind: "MySQL", account: "admin" },
];

/** The topics of a lab, change by change as they come. */
class Feed {
  readonly #lab: SnapshotLab;
  readonly #seen = new Map<string, Set<string>>();

  constructor(lab: SnapshotLab) {
    this.#lab = lab;
  }

  /** Waits for `count` changes of the table that were not there before, in source order. */
  async next(table: string, count = 1): Promise<Change[]> {
    const seen = this.#seen.get(table) ?? new Set();
    this.#seen.set(table, seen);
    let fresh: Change[] = [];
    await until(
      () => `${count} more changes of ${table}; ${fresh.length} came`,
      async () => {
        const all = await this.#lab.changes(table);
        fresh = all.filter(({ position }) => !seen.has(position));
        return fresh.length >= count;
      },
    );
    assert.equal(fresh.length, count, fresh.map(textOf).join());
    for (const { position } of fresh) seen.add(position);
    return fresh.toSorted((a, b) => a.position < b.position ? -1 : 1);
  }
}

/** `name type` of each column, in the table's order. */
function columnsOf({ table }: Change): string {
  return table.columns.map(({ name, type }) => `${name} ${type.split("(")[0]}`).join(", ");
}

function textOf(change: Change): string {
  const values = change.after?.map((value) => value === undefined ? "" : String(value)).join("|");
  return `${change.op} ${keyText(change)} ${values}`;
}

/** What the topic of schema changes tells, a line for each record. */
async function toldChanges(lab: SnapshotLab): Promise<string[]> {
  const records = await lab.texts(`${lab.name}.schema-changes`);
  let last = "";
  return records.map(({ value }) => {
    const { source, tableChanges: [told] } = JSON.parse(value);
    assert.ok(source.position > last, `${source.position} stands after ${last}`);
    last = source.position;
    const table = source.table.slice(lab.name.length + 1);
    const alterations = told.alterations.map((alteration: Record<string, unknown>) =>
      Object.values(alteration).map((part) => Array.isArray(part) ? part.join("+") : part).join(" ")
    );
    return [table, told.type, ...alterations].join(", ");
  });
}

/** The lines that come of the statements below. */
function toldOf(isMysql: boolean): string[] {
  const [int, big] = [isMysql ? "int" : "integer", "bigint"];
  const text = isMysql ? "varchar(100)" : "character varying(100)";
  const reordered = [
    "keyed, ALTER, columns_reordered n+id+note",
    "keyed, ALTER, columns_reordered id+note+n, key_changed id note+id",
  ];
  return [
    "keyed, CREATE",
    `keyed, ALTER, column_added w ${int}`,
    `keyed, ALTER, column_replaced v note ${text}`,
    `keyed, ALTER, column_dropped w ${int}, column_retyped n ${int} ${big}`,
    ...isMysql ? reordered : ["keyed, ALTER, key_changed id note+id"],
    "moved, CREATE",
    ...isMysql ? ["keyed, DROP", "keyed, CREATE"] : [
      `keyed, ALTER, column_replaced note v ${text}, column_retyped n ${big} ${int}, key_changed note+id id`,
    ],
  ];
}

for (const way of WAYS) {
  Deno.test(`${way.kind} ${way.plugin ?? ""}: altered, renamed, re-created and truncated tables are told as they were at each row`, async () => {
    const isMysql = way.kind === "MySQL";
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    const table = lab.quoted("keyed");
    const feed = new Feed(lab);
    /** What `list-sync.schemas` held before the last send of rows. */
    let defined: ReadonlySet<string> = new Set();
    const sending = async () => void (defined = await lab.definitions());
    const source: SourceChanges = isMysql ? {} : { table_refresh_ms: 200 };
    const changes = { source, include_schema_changes: true };
    const running = lab.start({ ...changes, sending });
    await running.event("snapshot_finished");

    /** Runs statements, and compares the change that comes of the last one. */
    const step = async (statements: string[], text: string, columns: string, to = "keyed") => {
      for (const sql of statements) await lab.run(sql);
      const [change] = await feed.next(to);
      const what = statements.join("; ");
      assert.equal(textOf(change!), text, what);
      assert.equal(columnsOf(change!), columns, what);
      assert.ok(defined.has(change!.table.id), `${change!.table.id} is defined first: ${what}`);
      return change!;
    };
    const [big, int] = isMysql ? ["bigint", "int"] : ["bigint", "integer"];
    const text = isMysql ? "varchar" : "character varying";
    const insert = (values: string) => `INSERT INTO ${table} VALUES (${values})`;
    const alter = (...actions: string[]) =>
      actions.map((action) => `ALTER TABLE ${table} ${action}`);

    const first = `id ${big}, v ${text}, n ${int}`;
    await step([insert("1, 'x', 10")], 'c {"id":1} 1|x|10', first);
    await step(
      [...alter(`ADD COLUMN w INT`), insert("2, 'y', 20, 30")],
      'c {"id":2} 2|y|20|30',
      `${first}, w ${int}`,
    );
    await step(
      [...alter(`RENAME COLUMN v TO note`), `UPDATE ${table} SET note = 'z' WHERE id = 2`],
      'u {"id":2} 2|z|20|30',
      `id ${big}, note ${text}, n ${int}, w ${int}`,
    );
    await step(
      [
        ...alter(
          isMysql ? "MODIFY COLUMN n BIGINT" : "ALTER COLUMN n TYPE BIGINT",
          "DROP COLUMN w",
        ),
        insert("3, 'x', 1099511627776"),
      ],
      'c {"id":3} 3|x|1099511627776',
      `id ${big}, note ${text}, n ${big}`,
    );
    if (isMysql) {
      await step(
        [...alter("MODIFY COLUMN n BIGINT FIRST"), insert("40, 4, 'x'")],
        'c {"id":4} 40|4|x',
        `n ${big}, id ${big}, note ${text}`,
      );
      await lab.run(`ALTER TABLE ${table} MODIFY COLUMN n BIGINT AFTER note`);
    }
    const drop = isMysql ? "DROP PRIMARY KEY" : `DROP CONSTRAINT ${table}_pkey`;
    const third = `id ${big}, note ${text}, n ${big}`;
    await step(
      [...alter(`${drop}, ADD PRIMARY KEY (note, id)`), insert("5, 'k', 50")],
      'c {"note":"k","id":5} 5|k|50',
      third,
    );
    const moved = lab.quoted("moved");
    await step(
      [...alter(`RENAME TO ${moved}`), `INSERT INTO ${moved} VALUES (6, 'm', 60)`],
      'c {"note":"m","id":6} 6|m|60',
      third,
      "moved",
    );
    await lab.run(`ALTER TABLE ${moved} RENAME TO ${table}`);
    await step([insert("7, 'back', 70")], 'c {"note":"back","id":7} 7|back|70', third);

    await lab.run(`TRUNCATE TABLE ${table}`);
    const truncated = await feed.next("keyed", 3);
    assert.deepEqual(truncated.map(({ op }) => op), ["t", "t", "t"]);
    assert.equal(new Set(truncated.map(({ position }) => position)).size, 1);

    await lab.run(`DROP TABLE ${table}`);
    await lab.create("keyed", KEYED);
    await lab.run(insert("8, 'anew', 80"));
    const [anew] = await feed.next("keyed");
    assert.match(textOf(anew!), /^[cr] \{"id":8\} 8\|anew\|80$/);
    assert.equal(columnsOf(anew!), first);
    await running.stop();
    assert.equal(running.count("retrying"), 0, JSON.stringify(running.told));
    await lab.settle(changes);
    assert.deepEqual(await toldChanges(lab), toldOf(isMysql));
  });
}
