/** Tables that appear while a capture runs and that its patterns match. */
import assert from "node:assert/strict";
import { withOwnPostgres } from "../own_postgres.ts";
import { until } from "../until.ts";
import { KEYED, SnapshotLab, type SourceChanges, type Way } from "./snapshot_lab.ts";

const REFRESH: SourceChanges = { table_refresh_ms: 200 };

interface Case {
  readonly name: string;
  readonly way: Way;
  readonly source?: SourceChanges;
  /** What a publication covers that is made before the capture begins. */
  readonly publication?: string;
}

const CASES: readonly Case[] = [
  { name: "MySQL", way: { kind: "MySQL", account: "admin" } },
  {
    name: "PostgreSQL with a publication of the capture's own",
    way: { kind: "PostgreSQL", plugin: "pgoutput" },
    source: REFRESH,
  },
  {
    name: "PostgreSQL with a publication of all tables",
    way: { kind: "PostgreSQL", plugin: "pgoutput" },
    publication: "FOR ALL TABLES",
  },
  {
    name: "PostgreSQL with a publication of a schema's tables",
    way: { kind: "PostgreSQL", plugin: "pgoutput" },
    publication: "FOR TABLES IN SCHEMA public",
  },
  { name: "PostgreSQL by wal2json", way: { kind: "PostgreSQL", plugin: "wal2json" } },
];

/** Waits until the topic folds to the table, and says how far it is when it does not. */
async function same(lab: SnapshotLab, table: string): Promise<void> {
  let found: string[] = [];
  let expected: string[] = [];
  await until(
    () => `${lab.topic(table)} folds to ${expected}; it folds to ${found}`,
    async () => {
      [found, expected] = [await lab.folded(table), await lab.content(table)];
      return JSON.stringify(found) === JSON.stringify(expected);
    },
  );
}

/** On a server of its own: there such a publication would refuse other tests' updates. */
async function published(way: Way, publication: string, body: (lab: SnapshotLab) => Promise<void>) {
  await withOwnPostgres(async (info) => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED }, info);
    await lab.run(`CREATE PUBLICATION list_sync_${lab.name} ${publication}`);
    await body(lab);
  });
}

for (const { name, way, source = {}, publication } of CASES) {
  const body = async (lab: SnapshotLab) => {
    const running = lab.start({ source });
    await running.event("snapshot_finished");
    await lab.create("later", KEYED);
    const later = lab.quoted("later");
    await lab.run(`INSERT INTO ${later} VALUES (1, 'at once', 1), (2, 'goes', 2)`);
    await lab.run(`DELETE FROM ${later} WHERE id = 2`);
    await same(lab, "later");
    await lab.run(`UPDATE ${later} SET v = 'changed' WHERE id = 1`);
    await lab.run(`INSERT INTO ${later} VALUES (3, 'afterwards', 3)`);
    await same(lab, "later");
    await running.stop();

    await lab.create("down", KEYED);
    await lab.run(`INSERT INTO ${lab.quoted("down")} VALUES (1, 'while it was down', 1)`);
    await lab.settle({ source });
  };
  Deno.test(`${name}: a table that appears while the capture runs is taken in with all its rows`, async () => {
    if (publication !== undefined) return await published(way, publication, body);
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    await body(lab);
  });
}

Deno.test("PostgreSQL: what a transaction wrote before the table joined comes, however late it commits", async () => {
  const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED });
  await using other = await lab.connect();
  // Seldom enough that the table is there, and written, before it is found.
  const running = lab.start({ source: { table_refresh_ms: 3_000 } });
  await running.event("snapshot_finished");
  await lab.create("later", KEYED);
  await other.run("BEGIN");
  await other.run(`INSERT INTO ${lab.quoted("later")} VALUES (1, 'early, and committed late', 1)`);
  assert.equal(running.count("publication_extended"), 0, "it was written before it joined");
  await running.event("publication_extended");
  const { resume } = (await lab.stored())!;
  const moved = async () => (await lab.stored())!.resume["lsn"] !== resume["lsn"];
  await until("the stream goes on, and the table could be read", moved);
  await other.run("COMMIT");
  await running.event("incremental_snapshot_finished");
  await same(lab, "later");
  await running.stop();
});

Deno.test("PostgreSQL: a table that the role may not publish is named with the statement once, the capture goes on, and all its rows come once it is run", async () => {
  const way = { kind: "PostgreSQL", plugin: "pgoutput", account: "replicator" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED });
  const publication = `list_sync_${lab.name}`;
  await lab.run(`CREATE PUBLICATION ${publication} FOR TABLE ${lab.quoted("keyed")}`);
  let running = lab.start({ source: REFRESH });
  await running.event("snapshot_finished");
  await lab.create("later", KEYED);
  await lab.run(`INSERT INTO ${lab.quoted("later")} VALUES (1, 'before it joined', 1)`);
  await running.event("table_not_captured");
  const { fields } = running.told.find(({ event }) => event === "table_not_captured")!;
  const statement = /ALTER PUBLICATION .* ADD TABLE "public"\.\S+/.exec(String(fields["error"]));
  await lab.create("third", KEYED);
  await until("it is looked again", async () => running.count("table_not_captured") > 1);
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (1, 'goes on', 1)`);
  await same(lab, "keyed");
  assert.equal(running.count("table_not_captured"), 2, "once for each table");
  await running.stop();
  await lab.start({ source: REFRESH, mode: "batch" }).done; // nothing waits for the tables
  assert.deepEqual(await lab.changes("later"), []);
  await lab.run(statement![0]);
  running = lab.start({ source: REFRESH });
  await same(lab, "later");
  await running.stop();
  await lab.run(`DROP PUBLICATION ${publication}`);
});

Deno.test("PostgreSQL: a new table that is locked holds nothing up, and joins when it is free", async () => {
  const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED });
  await using other = await lab.connect();
  await lab.settle({ source: REFRESH });
  await lab.create("later", KEYED);
  await lab.run(`INSERT INTO ${lab.quoted("later")} VALUES (1, 'before it joined', 1)`);
  await other.run("BEGIN");
  await other.run(`LOCK TABLE ${lab.quoted("later")} IN SHARE MODE`); // as CREATE INDEX does
  const running = lab.start({ source: REFRESH });
  await running.event("table_not_captured");
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (1, 'goes on', 1)`);
  await same(lab, "keyed");
  await other.run("COMMIT");
  await same(lab, "later");
  await running.stop();
});
