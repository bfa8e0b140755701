/** Statements that are hard on a stream: what a topic comes to is still the table, or the capture says why not. */
import assert from "node:assert/strict";
import { ConfigError, describe, RecordError, RetryableError } from "../../shared/errors.ts";
import { withOwnPostgres } from "../own_postgres.ts";
import { until } from "../until.ts";
import { fill, KEYED, KEYLESS, type RunChanges, SnapshotLab, type Way } from "./snapshot_lab.ts";

const POSTGRES: Way = { kind: "PostgreSQL", plugin: "pgoutput" };
const MYSQL: Way = { kind: "MySQL", account: "admin" };
const BATCH: RunChanges = { mode: "batch", source: { snapshot: "never" } };
const PARTITIONS = 3;

for (const way of [POSTGRES, { ...POSTGRES, plugin: "wal2json" } as const, MYSQL]) {
  const name = way.plugin ?? way.kind;

  Deno.test(`${name}: a truncate goes to every partition, and no row outlives it`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    await lab.start(BATCH).done;
    await fill(lab, "keyed", 30);
    await lab.run(`TRUNCATE TABLE ${lab.quoted("keyed")}`);
    await fill(lab, "keyed", 3);
    await lab.settle(BATCH);
    const truncates = (await lab.changes("keyed")).filter(({ op }) => op === "t");
    assert.equal(truncates.length, PARTITIONS);
    assert.equal(new Set(truncates.map(({ position }) => position)).size, 1);
  });

  Deno.test(`${name}: of identical rows in a table without a key as many are left as in the table`, async () => {
    await using lab = await SnapshotLab.open(way, { keyless: KEYLESS });
    await lab.start(BATCH).done;
    const table = lab.quoted("keyless");
    await lab.run(
      `INSERT INTO ${table} VALUES ('a', 1), ('a', 1), ('a', 1), ('b', NULL), ('b', NULL)`,
    );
    const two = way.kind === "MySQL"
      ? "v = 'a' LIMIT 2"
      : `ctid IN (SELECT ctid FROM ${table} WHERE v = 'a' LIMIT 2)`;
    await lab.run(`DELETE FROM ${table} WHERE ${two}`);
    await lab.run(`UPDATE ${table} SET n = 5 WHERE v = 'b'`);
    await lab.settle(BATCH);
    assert.deepEqual(await lab.folded("keyless"), ["a|1", "b|5", "b|5"]);
  });

  Deno.test(`${name}: of two batches the first is refused, and nothing of the second overtakes it`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    await lab.start(BATCH).done;
    await fill(lab, "keyed", 500);
    let refused = 0;
    const running = lab.start({
      ...BATCH,
      sending() {
        // As a broker does that has lost what came before; the next batch is gathered by now.
        if (refused++ === 1) throw new RetryableError("refused: OUT_OF_ORDER_SEQUENCE_NUMBER");
      },
    });
    await running.done;
    assert.equal(running.count("retrying"), 1);
    await lab.settle(BATCH);
    assert.equal((await lab.changes("keyed")).length, 500);
  });
}

Deno.test("PostgreSQL: a changed key keeps the value that the log leaves out, read or from the row before", async () => {
  await using lab = await SnapshotLab.open(POSTGRES, {
    keyed: { ...KEYED, columns: "id BIGINT PRIMARY KEY, v TEXT, n INT" },
  });
  const table = lab.quoted("keyed");
  await lab.run(`ALTER TABLE ${table} ALTER v SET STORAGE EXTERNAL`);
  await lab.start(BATCH).done;
  await lab.run(
    `INSERT INTO ${table} SELECT id, repeat('large', 5000), 1 FROM generate_series(1, 3) id`,
  );
  await lab.run(`UPDATE ${table} SET id = 11 WHERE id = 1`);
  await lab.run(`ALTER TABLE ${table} REPLICA IDENTITY DEFAULT`);
  await lab.run(`UPDATE ${table} SET id = 12 WHERE id = 2`);
  await lab.settle(BATCH);
  await lab.run(`UPDATE ${table} SET id = 13 WHERE id = 3`);
  await lab.run(`DELETE FROM ${table} WHERE id = 13`);
  await assert.rejects(lab.start(BATCH).done, (error) => {
    assert.ok(error instanceof RecordError, describe(error));
    assert.match(describe(error), /no row has that key any more.*REPLICA IDENTITY FULL/);
    return true;
  });
});

for (const end of ["ROLLBACK", "COMMIT"]) {
  Deno.test(`MySQL: a prepared XA transaction of a captured table stops the capture before its ${end}`, async () => {
    await using lab = await SnapshotLab.open(MYSQL, { keyed: KEYED });
    await fill(lab, "keyed", 3);
    await lab.settle();
    const xid = `'${lab.name}'`;
    await lab.run(`XA START ${xid}`);
    await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (10, 'prepared', 1)`);
    await lab.run(`XA END ${xid}`);
    await lab.run(`XA PREPARE ${xid}`);
    const stopped = async () =>
      await assert.rejects(lab.start({ mode: "batch" }).done, (error) => {
        assert.ok(error instanceof ConfigError, describe(error));
        assert.match(error.message, /an XA transaction changes table/);
        return true;
      });
    await stopped();
    await lab.run(`XA ${end} ${xid}`);
    await stopped();
    assert.equal((await lab.changes("keyed")).filter(({ op }) => op === "c").length, 0);
    // The cure: a generation of its own after it.
    await lab.forget();
    await lab.settle();
    assert.equal((await lab.folded("keyed")).length, end === "COMMIT" ? 4 : 3);
  });
}

Deno.test("PostgreSQL: a chunk waits for a commit that is in the log and not yet to be seen; a slot without its log is lost", async () => {
  await withOwnPostgres(async (info) => {
    await using lab = await SnapshotLab.open(POSTGRES, { keyed: KEYED }, info);
    const signal_table = lab.qualified("signal");
    await lab.run(`CREATE TABLE ${signal_table} (id TEXT PRIMARY KEY, type TEXT, data TEXT)`);
    await fill(lab, "keyed", 5);
    const source = { signal_table };
    const running = lab.start({ source });
    await running.event("snapshot_finished");
    await setting(lab, "synchronous_standby_names", "nobody");
    {
      // Its commit is written, streamed, and waits for a standby that there is not.
      await using hidden = await lab.connect();
      const committed = hidden.run(`UPDATE ${lab.quoted("keyed")} SET v = 'new' WHERE id = 1`);
      committed.catch(() => {}); // told below
      await until(
        "the change has come",
        async () => (await lab.changes("keyed")).some(({ op }) => op === "u"),
      );
      await lab.run("SET synchronous_commit = local");
      await lab.run(
        `INSERT INTO ${signal_table} VALUES ('1', 'execute-snapshot',
         '{"data-collections": ["${lab.qualified("keyed")}"], "type": "incremental"}')`,
      );
      await running.event("incremental_snapshot_requested");
      const { stored } = running;
      await until("the stream has gone on", () => running.stored >= stored + 2);
      assert.equal(running.count("incremental_snapshot_finished"), 0);
      await setting(lab, "synchronous_standby_names", "");
      await committed;
    }
    await running.event("incremental_snapshot_finished");
    await running.stop();
    await lab.settle({ source });

    await setting(lab, "max_slot_wal_keep_size", "1MB");
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id < 3`);
    for (let segment = 0; segment < 3; segment++) {
      await lab.run("SELECT pg_logical_emit_message(false, 'other', 'x'), pg_switch_wal()");
    }
    await lab.run("CHECKPOINT");
    await assert.rejects(
      lab.start({ source, mode: "batch" }).done,
      /has lost its log \(wal_removed\)/,
    );
    await lab.settle({ source, on_history_lost: "resync" });
    assert.equal((await lab.folded("keyed")).length, 3);
  });
});

async function setting(lab: SnapshotLab, name: string, value: string): Promise<void> {
  await lab.run(`ALTER SYSTEM SET ${name} = '${value}'`);
  await lab.run("SELECT pg_reload_conf()");
  const found = async () => (await lab.run(`SHOW ${name}`))[0]![0] === value;
  await until(`${name} is ${value}`, found);
}
