/** A capture whose tables are idle, on a server that is busy elsewhere. */
import assert from "node:assert/strict";
import pg from "pg";
import { withOwnPostgres } from "../own_postgres.ts";
import { until } from "../until.ts";
import { KEYED, SnapshotLab } from "./snapshot_lab.ts";

/** The gigabyte takes a minute and a half on a loaded machine: LIST_SYNC_BUSY_BYTES=1073741824. */
const WRITTEN_BYTES = Number(Deno.env.get("LIST_SYNC_BUSY_BYTES") ?? 100 << 20);
const RETAINED_BYTES = 32 << 20;
/** Of 8,000 bytes each. */
const STEP_ROWS = 1_000;

Deno.test("PostgreSQL: while other tables and databases are written, an idle capture's slot keeps moving", async () => {
  await withOwnPostgres(async (info) => {
    const way = { kind: "PostgreSQL", plugin: "pgoutput" } as const;
    await using lab = await SnapshotLab.open(way, { keyed: KEYED }, info);
    await lab.run(`CREATE DATABASE elsewhere`);
    const { host, port, users } = info;
    await using elsewhere = await connect({ host, port, database: "elsewhere", ...users.admin });
    const writers = [lab.run.bind(lab), elsewhere.run];
    for (const run of writers) {
      await run("CREATE TABLE busy (v text)");
      await run("ALTER TABLE busy ALTER v SET STORAGE EXTERNAL");
    }
    const running = lab.start();
    await running.event("snapshot_finished");

    const [[began]] = await lab.run("SELECT pg_current_wal_lsn()") as [[string]];
    let written = 0;
    let retained = 0;
    const look = async () => {
      const [[now, kept]] = await lab.run(
        `SELECT pg_current_wal_lsn() - '${began}', pg_current_wal_lsn() - restart_lsn
         FROM pg_replication_slots WHERE slot_name = 'list_sync_${lab.name}'`,
      ) as [[string, string]];
      [written, retained] = [Number(now), Number(kept)];
    };
    for (let step = 0; written < WRITTEN_BYTES; step++) {
      const run = writers[step % writers.length]!;
      await run(`INSERT INTO busy SELECT repeat('x', 8000) FROM generate_series(1, ${STEP_ROWS})`);
      await run("TRUNCATE busy");
      // What the server does by itself every 15 seconds: a slot can move to such places only.
      await run("CHECKPOINT");
      // So fast a writer waits for the slot: what is measured is that it moves, not how soon.
      await until(
        () => `the slot moves: it keeps ${retained} bytes of ${written} written`,
        async () => {
          await look();
          return retained < RETAINED_BYTES;
        },
      );
    }
    assert.equal(running.count("retrying"), 0, JSON.stringify(running.told));
    await lab.run(`INSERT INTO ${lab.quoted("keyed")} VALUES (1, 'after all that', 1)`);
    await running.stop();
    await lab.settle();
  });
});

async function connect(config: pg.ClientConfig) {
  const client = new pg.Client(config);
  await client.connect();
  return {
    run: (sql: string) => client.query(sql).then(() => [] as string[][]),
    [Symbol.asyncDispose]: () => client.end(),
  };
}
