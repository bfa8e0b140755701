/** Snapshots of both databases while their tables are written: topics fold to the tables, whatever ends in between. */
import assert from "node:assert/strict";
import { ConfigError, describe, HistoryLostError } from "../../shared/errors.ts";
import { withOwnMariadb } from "../own_mariadb.ts";
import { withOwnMysql } from "../own_mysql.ts";
import { Proxy } from "../proxy.ts";
import { until } from "../until.ts";
import type { CaptureRun } from "./capture_run.ts";
import { fill, KEYED, KEYLESS, PAIRED, SnapshotLab, type Way, Writer } from "./snapshot_lab.ts";
import { seeds } from "./snapshot_rounds.ts";

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "PostgreSQL", plugin: "wal2json" },
  { kind: "MySQL", account: "admin" },
];

/** May not lock. */
const LOCK_FREE: Way = { kind: "MySQL", account: "replicator" };

const ROWS = 1_500;

/** Longer than it takes until a position is stored: without one there is nothing to go on from. */
const STORED_MS = 1_200;

function nameOf({ kind, plugin, account }: Way): string {
  return [kind, plugin, account].filter((part) => part !== undefined).join(" ");
}

async function filledLab(way: Way): Promise<SnapshotLab> {
  const lab = await SnapshotLab.open(way, { keyed: KEYED, paired: PAIRED });
  await fill(lab, "keyed", ROWS);
  await fill(lab, "paired", ROWS / 3);
  return lab;
}

for (const way of [...WAYS, LOCK_FREE]) {
  for (const seed of seeds(2)) {
    Deno.test(`${nameOf(way)}: a snapshot under writes and the stream after it make up the tables, seed ${seed}`, async () => {
      await using lab = await filledLab(way);
      {
        await using writer = new Writer(lab, seed);
        const running = lab.start({
          source: { snapshot_workers: 1 + (seed - 1) % 3 },
          sending: () => writer.more(1),
        });
        await running.event("snapshot_finished");
        await running.stop();
        assert.equal(running.count("retrying"), 0, told(running));
        assert.equal(running.count("snapshot_without_lock"), way === LOCK_FREE ? 1 : 0);
      }
      await lab.settle();
    });
  }
}

for (const [way, seed] of WAYS.flatMap((way) => seeds(1).map((seed) => [way, seed] as const))) {
  Deno.test(`${nameOf(way)}: a snapshot that is killed again and again goes on at its chunk, seed ${seed}`, async () => {
    await using lab = await filledLab(way);
    {
      await using writer = new Writer(lab, seed);
      for (let round = 1; round <= 3; round++) {
        const running = lab.start({
          sending: async (running) => {
            if (running.stored > 0) return void running.cut();
            await writer.more(1);
            if (running.sent === 8) await passed(STORED_MS);
          },
        });
        await until(() => `an end; told: ${told(running)}`, () => running.ended);
        assert.equal(running.count("snapshot_finished"), 0, told(running));
        await writer.more(20);
      }
    }
    const last = lab.start();
    await last.event("snapshot_finished");
    await last.stop();
    const begun = last.told.find(({ event }) => event === "snapshot_started")!.fields;
    assert.equal(begun["attempt"], 4, told(last));
    assert.ok(Number(begun["rows"]) > 300, `rows of earlier attempts: ${JSON.stringify(begun)}`);
    await lab.settle();
  });
}

for (const way of WAYS) {
  Deno.test(`${nameOf(way)}: a snapshot whose database falls silent goes on over new connections`, async () => {
    await using lab = await filledLab(way);
    await using proxy = await Proxy.start(lab.port);
    const running = lab.start({
      source: { port: proxy.port },
      sending: (running) => {
        if (running.stored > 0 && running.count("retrying") === 0) proxy.mute();
      },
    });
    await running.event("retrying");
    assert.equal(running.count("snapshot_finished"), 0, told(running));
    await running.event("snapshot_finished");
    await running.stop();
    const { attempt } = running.told.findLast(({ event }) => event === "snapshot_started")!.fields;
    assert.ok(Number(attempt) > 1, told(running));
    await lab.settle();
  });

  Deno.test(`${nameOf(way)}: rows that were deleted or truncated while a snapshot was interrupted do not live on`, async () => {
    await using lab = await filledLab(way);
    const running = lab.start({
      sending: (running) => running.sent >= 12 ? void running.cut() : undefined,
    });
    await until(() => `an end; told: ${told(running)}`, () => running.ended);
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id % 2 = 0`);
    await lab.run(`TRUNCATE TABLE ${lab.quoted("paired")}`);
    await fill(lab, "paired", 10);
    await lab.settle();
    assert.equal((await lab.folded("keyed")).length, ROWS / 2);
    assert.equal((await lab.folded("paired")).length, 10);
  });

  Deno.test(`${nameOf(way)}: a snapshot that is cut off in a table without a key begins again, and no row is twice`, async () => {
    await using lab = await SnapshotLab.open(way, { keyless: KEYLESS, keyed: KEYED });
    await fill(lab, "keyless", 1_000);
    await fill(lab, "keyed", 100);
    const running = lab.start({
      sending: (running) => running.sent >= 3 ? void running.cut() : undefined,
    });
    await until(() => `an end; told: ${told(running)}`, () => running.ended);
    const { generation } = (await lab.stored())!;
    await lab.run(`DELETE FROM ${lab.quoted("keyless")} WHERE n = 1`);
    await lab.run(`INSERT INTO ${lab.quoted("keyless")} VALUES ('row 1', 2)`);
    const second = lab.start({ mode: "batch" });
    await second.done;
    assert.equal(second.count("retrying"), 1, told(second));
    await lab.settle();
    assert.ok((await lab.stored())!.generation > generation);
    assert.ok((await lab.changes("keyless")).some(({ op }) => op === "t"));
  });

  Deno.test(`${nameOf(way)}: marks, order and place of the rows are as Debezium has them`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED, none: KEYED, paired: PAIRED });
    await fill(lab, "keyed", 300);
    await fill(lab, "paired", 3);
    await lab.settle();
    const rows = [...await lab.changes("keyed"), ...await lab.changes("paired")]
      .sort((one, other) => one.position < other.position ? -1 : 1);
    const marks = rows.map(({ snapshot }) => snapshot);
    assert.equal(rows.length, 303);
    assert.deepStrictEqual([marks[0], marks[1]], ["first", "true"]);
    assert.deepStrictEqual(marks.slice(298), [
      ...["true", "last_in_data_collection", "first_in_data_collection", "true", "last"],
    ]);
    for (const { op, before, transaction, total_order, ts_ms } of rows) {
      assert.deepStrictEqual([op, before, transaction.id, total_order], ["r", null, "", 0]);
      assert.ok(Math.abs(transaction.ts_us / 1000 - ts_ms) < 60_000);
    }
    assert.deepStrictEqual(
      await lab.stored().then((stored) => stored!.resume["snapshot"]),
      undefined,
    );
  });

  Deno.test(`${nameOf(way)}: only the snapshot is taken where the job says so, and the stream goes on from it`, async () => {
    await using lab = await filledLab(way);
    const { changes } = await lab.start({ source: { snapshot: "only" } }).done;
    assert.deepStrictEqual([changes.r, changes.c], [ROWS + ROWS / 3, 0]);
    await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (-1, 'later', NULL)`);
    const again = await lab.start({ source: { snapshot: "only" } }).done;
    assert.deepStrictEqual([again.changes.r, again.changes.c], [0, 0]);
    const stream = await lab.start({ mode: "batch" }).done;
    assert.deepStrictEqual([stream.changes.r, stream.changes.c], [0, 1]);
    await lab.settle();
  });
}

/** A topic of a first generation: all rows of the table and a change after them. */
async function captureOnce(lab: SnapshotLab): Promise<void> {
  await fill(lab, "keyed", 100);
  await lab.start({ mode: "batch" }).done;
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (-1, 'captured', NULL)`);
  await lab.settle();
}

/** Rows go and come while nobody can see it. */
async function changeUnseen(lab: SnapshotLab): Promise<void> {
  await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id BETWEEN 10 AND 90`);
  await lab.run(`UPDATE ${lab.quoted("keyed")} SET v = 'unseen' WHERE id < 5`);
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (-2, 'unseen', NULL)`);
}

/** Refused unless the job says `resync`; then the topic comes to the table's content, without ghosts. */
async function resynced(lab: SnapshotLab, lost: RegExp): Promise<void> {
  const { generation } = (await lab.stored())!;
  await assert.rejects(lab.start({ mode: "batch" }).done, (error) => {
    assert.ok(error instanceof HistoryLostError, describe(error));
    assert.match(error.message, lost);
    return true;
  });
  await lab.settle({ on_history_lost: "resync" });
  const stored = (await lab.stored())!;
  assert.ok(stored.generation > generation, `${stored.generation} after ${generation}`);
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (-3, 'later', NULL)`);
  await lab.settle();
  assert.equal((await lab.stored())!.generation, stored.generation);
}

for (const plugin of ["pgoutput", "wal2json"] as const) {
  Deno.test(`PostgreSQL ${plugin}: a slot that was dropped is made anew, and the topic holds no ghosts`, async () => {
    await using lab = await SnapshotLab.open({ kind: "PostgreSQL", plugin }, { keyed: KEYED });
    await captureOnce(lab);
    await lab.run(`SELECT pg_drop_replication_slot('list_sync_${lab.name}')`);
    await changeUnseen(lab);
    // Killed before the first truncate has gone out: the next one sends it.
    const killed = lab.start({
      on_history_lost: "resync",
      sending: (running) => void running.cut(),
    });
    await until(() => `an end; told: ${told(killed)}`, () => killed.ended);
    await lab.settle();
    await lab.run(`SELECT pg_drop_replication_slot('list_sync_${lab.name}')`);
    await resynced(lab, /Slot list_sync_snap_\w+ of .* is gone/);
  });
}

Deno.test("PostgreSQL pgoutput: a publication that was dropped is made anew where the job says resync", async () => {
  const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED });
  await captureOnce(lab);
  await lab.run(`DROP PUBLICATION list_sync_${lab.name}`);
  await changeUnseen(lab);
  await resynced(lab, /Publication list_sync_snap_\w+ of .* is gone/);
});

for (const way of WAYS) {
  Deno.test(`${nameOf(way)}: a topic that was deleted is filled again where the job says resync`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED, paired: PAIRED });
    await fill(lab, "paired", 100);
    await captureOnce(lab);
    await lab.admin.deleteTopics([lab.topic("keyed")]);
    await changeUnseen(lab);
    await lab.run(`DELETE FROM ${lab.quoted("paired")} WHERE n > 50`);
    await resynced(lab, /Topic snap_.* is gone/);
  });

  Deno.test(`${nameOf(way)}: a job that was removed begins anew, and what was deleted meanwhile does not live on`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    await captureOnce(lab);
    const ahead = Math.floor(Date.now() / 1000) + 3_600; // of a clock that was set back since
    await lab.forget(ahead);
    await changeUnseen(lab);
    await lab.settle();
    assert.equal((await lab.folded("keyed")).length, 21);
    assert.equal((await lab.stored())!.generation, ahead + 1);
  });
}

Deno.test("MySQL: a binlog that was purged or reset is lost history, healed by a new generation", async () => {
  await withOwnMysql(async ({ info, run }) => {
    await using lab = await SnapshotLab.open(
      { kind: "MySQL", account: "admin" },
      { keyed: KEYED },
      info,
    );
    await captureOnce(lab);
    await changeUnseen(lab);
    await run("FLUSH BINARY LOGS");
    const logs = await run("SHOW BINARY LOGS");
    await run(`PURGE BINARY LOGS TO '${logs.at(-1)![0]}'`);
    await resynced(lab, /has purged/);

    await changeUnseen(lab).catch(() => {}); // -2 is there already
    await run("RESET BINARY LOGS AND GTIDS");
    await run(`DELETE FROM ${lab.quoted("keyed")} WHERE id < 3`);
    await resynced(lab, /has never executed/);
  });
});

Deno.test("MariaDB: without a lock, killed, and with its binlog purged or reset, topics come to the tables", async () => {
  await withOwnMariadb(async ({ info, run }) => {
    const way: Way = { kind: "MariaDB", account: "replicator" };
    await using lab = await SnapshotLab.open(way, { keyed: KEYED, paired: PAIRED }, info);
    await fill(lab, "keyed", ROWS);
    await fill(lab, "paired", ROWS / 3);
    {
      await using writer = new Writer(lab, 4);
      const killed = lab.start({
        sending: async (running) => {
          if (running.sent >= 12) return void running.cut();
          await writer.more(1);
        },
      });
      await until(() => `an end; told: ${told(killed)}`, () => killed.ended);
      const last = lab.start();
      await last.event("snapshot_finished");
      await writer.more(20);
      await last.cut();
    }
    await lab.settle();

    const purge = async () => {
      await run("FLUSH BINARY LOGS");
      const file = (await run("SHOW BINARY LOGS")).at(-1)![0];
      // A file goes once the engine has made its transactions durable.
      await until(`the files before ${file} are purged`, async () => {
        await run(`PURGE BINARY LOGS TO '${file}'`);
        return (await run("SHOW BINARY LOGS")).length === 1;
      });
    };
    await purge();
    await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (-1, 'captured', NULL)`);
    await lab.settle(); // what was purged had been captured
    await changeUnseen(lab);
    await purge();
    await resynced(lab, /what lies between is purged/);
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id = -3`);
    await run("RESET MASTER");
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id < 3`);
    await resynced(lab, /the binlog was reset/);
  });
});

Deno.test("MySQL replicator: a table without a key is refused where the user may not lock, with the grant", async () => {
  await using lab = await SnapshotLab.open(LOCK_FREE, { keyless: KEYLESS });
  await fill(lab, "keyless", 10);
  await assert.rejects(lab.start().done, (error) => {
    assert.ok(error instanceof ConfigError, describe(error));
    assert.match(describe(error), /_keyless without a primary key.*GRANT FLUSH_TABLES ON \*\.\*/);
    return true;
  });
});

async function passed(ms: number): Promise<void> {
  const began = performance.now();
  await until(`${ms} ms pass`, () => performance.now() - began > ms);
}

function told(running: CaptureRun): string {
  return running.told.map(({ event, fields }) => `${event} ${JSON.stringify(fields)}`).join("; ");
}
