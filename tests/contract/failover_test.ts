/** Another server takes over from the one that was captured: servers of the test's own, the topics of the stack. */
import assert from "node:assert/strict";
import { describe, HistoryLostError } from "../../shared/errors.ts";
import { OwnPostgres } from "../own_postgres.ts";
import { type OwnMysql, withOwnMysql } from "../own_mysql.ts";
import { until } from "../until.ts";
import type { CaptureRun } from "./capture_run.ts";
import { KEYED, type RunChanges, SnapshotLab } from "./snapshot_lab.ts";

/** Many sends, of which the first ones are let through. */
const LARGE_ROWS = 6_000;
const SENDS = 4;

/** Inserts `count` rows, the ids from `first` on, in one transaction. */
async function insert(lab: SnapshotLab, first: number, count: number): Promise<void> {
  const rows = Array.from({ length: count }, (_, at) => `(${first + at}, 'row', 1)`);
  await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES ${rows.join(",")}`);
}

const STREAM: RunChanges = { source: { snapshot: "never" } };

/** Captures until so many sends have gone out, and is then killed. */
async function killedAfter(lab: SnapshotLab, sends: number, changes = STREAM): Promise<CaptureRun> {
  const running = lab.start({
    ...changes,
    sending: (running) => running.sent >= sends ? void running.cut() : undefined,
  });
  await until(() => `an end; told: ${told(running)}`, () => running.ended);
  return running;
}

/** The topic holds each of `rows` inserts exactly once, with no other change; answers their generations. */
async function onceEach(lab: SnapshotLab, rows: number): Promise<Set<string>> {
  const changes = await lab.changes("keyed");
  const found = changes.map(({ op, after }) => `${op} ${after?.[0]}`);
  const twice = found.filter((text, at) => found.indexOf(text) !== at);
  assert.deepEqual({ twice, count: found.length }, { twice: [], count: rows });
  return new Set(changes.map(({ position }) => position.slice(0, 8)));
}

async function lost(lab: SnapshotLab, message: RegExp): Promise<void> {
  await assert.rejects(lab.start({ ...STREAM, mode: "batch" }).done, (error) => {
    assert.ok(error instanceof HistoryLostError, describe(error));
    assert.match(error.message, message);
    return true;
  });
}

function told(running: CaptureRun): string {
  return running.told.map(({ event, fields }) => `${event} ${JSON.stringify(fields)}`).join("; ");
}

/** Makes `replica` follow `source` by GTIDs. */
async function replicate(replica: OwnMysql, source: OwnMysql): Promise<void> {
  const { host, port, users: { replicator: { user, password } } } = source.info;
  await replica.run("STOP REPLICA");
  await replica.run(
    `CHANGE REPLICATION SOURCE TO SOURCE_HOST = '${host}', SOURCE_PORT = ${port},
     SOURCE_USER = '${user}', SOURCE_PASSWORD = '${password}', SOURCE_AUTO_POSITION = 1,
     GET_SOURCE_PUBLIC_KEY = 1`,
  );
  await replica.run("START REPLICA");
}

/** Waits until the replica has all of its source, and makes it a server of its own. */
async function promote(replica: OwnMysql, source: OwnMysql): Promise<void> {
  const [[executed]] = await source.run("SELECT @@GLOBAL.gtid_executed") as [[string]];
  const [[left]] = await replica.run(`SELECT WAIT_FOR_EXECUTED_GTID_SET('${executed}', 60)`) as [
    [unknown],
  ];
  assert.equal(Number(left), 0, "the replica has caught up");
  await replica.run("STOP REPLICA");
  await replica.run("RESET REPLICA ALL");
}

Deno.test("MySQL: a capture goes on with a replica that was promoted, and not with one that lacks what is captured", async () => {
  await withOwnMysql(async (first) => {
    await withOwnMysql(async (second) => {
      await second.run("SET GLOBAL server_id = 2");
      // Its files have the higher numbers: other positions outrank those of the second server.
      for (let file = 0; file < 5; file++) await first.run("FLUSH BINARY LOGS");
      await replicate(second, first);
      const way = { kind: "MySQL", account: "admin" } as const;
      await using lab = await SnapshotLab.open(way, { keyed: KEYED }, first.info);
      await lab.start({ ...STREAM, mode: "batch" }).done;
      await insert(lab, 1, 10);
      await lab.start({ ...STREAM, mode: "batch" }).done;
      const { generation } = (await lab.stored())!;

      await using forgetful = await SnapshotLab.open(way, { keyed: KEYED }, first.info);
      await forgetful.start({ ...STREAM, mode: "batch" }).done;

      // Killed in the middle of a transaction, which then comes from the other server.
      await insert(lab, 1_001, LARGE_ROWS);
      await killedAfter(lab, SENDS);
      await insert(forgetful, 1_001, LARGE_ROWS);
      await killedAfter(forgetful, SENDS);
      await insert(lab, 11, 10);
      const held = (await lab.changes("keyed")).length;
      assert.ok(held > 10 && held < LARGE_ROWS, `the topic holds ${held} changes`);
      await promote(second, first);
      await lab.moveTo(second.info);
      await insert(lab, 21, 10);
      const moved = await killedAfter(lab, SENDS);
      assert.equal(moved.count("server_changed"), 1, told(moved));
      const more = (await lab.changes("keyed")).length;
      assert.ok(more > held && more < LARGE_ROWS, `the topic holds ${more} changes`);
      await lab.start({ ...STREAM, mode: "batch" }).done;
      await insert(lab, 31, 10);
      await lab.start({ ...STREAM, mode: "batch" }).done;
      const generations = await onceEach(lab, LARGE_ROWS + 40);
      assert.equal(generations.size, 2);
      assert.equal((await lab.stored())!.generation, generation + 1);

      // A capture that does not look for what the topics hold is seen to repeat it.
      await forgetful.moveTo(second.info);
      const sabotage: RunChanges["sabotage"] = (source) => {
        source.awaited = () => Promise.resolve(new Set());
      };
      await forgetful.start({ ...STREAM, mode: "batch", sabotage }).done;
      await assert.rejects(onceEach(forgetful, LARGE_ROWS));

      // Back, to a server that never got what was captured last.
      await replicate(first, second);
      await promote(first, second);
      await insert(lab, 10_001, LARGE_ROWS);
      await killedAfter(lab, SENDS);
      await lab.moveTo(first.info);
      await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id <= 20`);
      await lost(lab, /never executed/);
      await lab.settle({ on_history_lost: "resync" });
      assert.equal((await lab.folded("keyed")).length, LARGE_ROWS + 20);
    });
  });
});

Deno.test("PostgreSQL: a capture goes on with a standby that was promoted after all that is captured, and with no other", async () => {
  await using servers = new AsyncDisposableStack(); // the lab is left before its servers are
  const first = servers.use(await OwnPostgres.start());
  const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED }, first.info);
  await lab.start({ ...STREAM, mode: "batch" }).done;
  await insert(lab, 1, 10);
  await lab.start({ ...STREAM, mode: "batch" }).done;
  await first.stop("SIGINT");
  const follower = servers.use(await first.standby(true));
  const backup = servers.use(await first.standby(false));
  await first.start();
  await lab.moveTo(first.info);

  // Promoted before what is captured then: it gives the same LSNs to other changes.
  await insert(lab, 11, 10);
  await lab.start({ ...STREAM, mode: "batch" }).done;
  await lab.moveTo(backup.info);
  await lab.run("SELECT pg_promote()");
  for (let id = 101; id < 120; id++) await insert(lab, id, 1);
  await lost(lab, /left timeline 1 at .*, and a change that was committed there/);

  // Promoted after it: the capture was killed in the middle of a transaction.
  await lab.moveTo(first.info);
  await insert(lab, 1_001, LARGE_ROWS);
  await killedAfter(lab, SENDS);
  await insert(lab, 21, 10);
  const held = (await lab.changes("keyed")).length;
  assert.ok(held > 20 && held < LARGE_ROWS, `the topic holds ${held} changes`);
  const [[end]] = await lab.run("SELECT pg_current_wal_flush_lsn()") as [[string]];
  await lab.moveTo(follower.info);
  await until(
    `the standby has ${end}`,
    async () =>
      (await lab.run(`SELECT pg_last_wal_replay_lsn() >= '${end}'::pg_lsn`))[0]![0] === "t",
  );
  await first.stop("SIGQUIT");
  await lab.run("SELECT pg_promote()");
  await insert(lab, 31, 10);
  await lab.start({ ...STREAM, mode: "batch" }).done;
  const generations = await onceEach(lab, LARGE_ROWS + 40);
  assert.equal(generations.size, 1);

  // The other standby gave its timeline the same number.
  await lab.moveTo(backup.info);
  await lost(lab, /a timeline 2 that is no part of its history/);
  await lab.settle({ on_history_lost: "resync" });
  assert.equal((await lab.folded("keyed")).length, 29);
});

/** Waits until the standby keeps the slot of the lab's capture. */
async function keepSlot(
  lab: SnapshotLab,
  primary: OwnPostgres,
  standby: OwnPostgres,
  changes: RunChanges,
): Promise<void> {
  const running = lab.start(changes);
  await running.event("capture_started");
  {
    await using beside = await lab.connect();
    await lab.moveTo(standby.info);
    await until("the standby keeps the slot", async () => {
      // The slot has to pass what the standby no longer has.
      await beside.run("SELECT pg_log_standby_snapshot()");
      await lab.run("SELECT pg_sync_replication_slots()");
      const kept = "SELECT 1 FROM pg_replication_slots WHERE synced AND NOT temporary";
      return (await lab.run(kept)).length === 1;
    });
    await lab.moveTo(primary.info);
  }
  await running.stop();
}

Deno.test("PostgreSQL 18: a capture goes on with a standby that keeps its slot, and sends nothing that the standby lacks", async () => {
  await using servers = new AsyncDisposableStack();
  const first = servers.use(await OwnPostgres.start(18));
  const changes: RunChanges = { source: { snapshot: "never", slot_failover: true } };
  const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
  await using lab = await SnapshotLab.open(way, { keyed: KEYED }, first.info);
  await lab.run("SELECT pg_create_physical_replication_slot('follower', true)");
  await first.stop("SIGINT");
  const follower = servers.use(await first.standby(true, "follower"));
  await first.start();
  await lab.moveTo(first.info);
  await lab.run("ALTER SYSTEM SET synchronized_standby_slots = 'follower'");
  await lab.run("SELECT pg_reload_conf()");

  // The slot is made without, and changed when the job asks for it.
  await lab.start({ ...STREAM, mode: "batch" }).done;
  await insert(lab, 1, 10);
  await keepSlot(lab, first, follower, changes);
  await insert(lab, 1_001, LARGE_ROWS);
  await killedAfter(lab, SENDS, changes);
  const held = (await lab.changes("keyed")).length;
  assert.ok(held > 10 && held < LARGE_ROWS, `the topic holds ${held} changes`);

  // What is committed from now on is with one server alone: it never goes out.
  await follower.stop("SIGINT");
  await insert(lab, 11, 10);
  const waiting = lab.start(changes);
  await waiting.event("capture_started");
  await until(
    "the log's sender waits for the standby",
    async () =>
      (await lab.run(
        "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'WaitForStandbyConfirmation'",
      )).length === 1,
  );
  await waiting.stop();
  await first.stop("SIGQUIT");
  await follower.start();
  await lab.moveTo(follower.info);
  await lab.run("SELECT pg_promote()");
  await insert(lab, 21, 10);
  await lab.start({ ...changes, mode: "batch" }).done;
  assert.equal((await onceEach(lab, LARGE_ROWS + 20)).size, 1);
  await lab.settle(changes);
});
