/** Tables that are read again while they are written and the stream goes on. */
import assert from "node:assert/strict";
import { executeSignal, type KeyRange } from "../../shared/sources/incremental.ts";
import { Proxy } from "../proxy.ts";
import { SILENT } from "../silent.ts";
import { until } from "../until.ts";
import type { CaptureRun } from "./capture_run.ts";
import {
  fill,
  KEYED,
  PAIRED,
  type RunChanges,
  SnapshotLab,
  type TableSpec,
  type Way,
  Writer,
} from "./snapshot_lab.ts";
import { seeds } from "./snapshot_rounds.ts";

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "PostgreSQL", plugin: "wal2json" },
  { kind: "MySQL", account: "replicator" },
];

const SIGNAL: TableSpec = {
  columns: "id VARCHAR(64) PRIMARY KEY, type VARCHAR(32) NOT NULL, data TEXT",
  names: ["id", "type", "data"],
  keyed: true,
};

const ROWS = 1_500;

/** More in a chunk than the sockets on its way hold: 20 MB. */
const WIDE: TableSpec = {
  columns: "id BIGINT PRIMARY KEY, t TEXT",
  names: ["id", "t"],
  keyed: true,
};
const WIDE_ROWS = 400;

function nameOf({ kind, plugin }: Way): string {
  return [kind, plugin].filter((part) => part !== undefined).join(" ");
}

function told(running: CaptureRun): string {
  return running.told.map(({ event, fields }) => `${event} ${JSON.stringify(fields)}`).join("; ");
}

/** Tables whose rows no capture has seen, and the signal table. */
class Incrementals implements AsyncDisposable {
  readonly lab: SnapshotLab;

  private constructor(lab: SnapshotLab) {
    this.lab = lab;
  }

  static async open(way: Way): Promise<Incrementals> {
    const lab = await SnapshotLab.open(way, { keyed: KEYED, paired: PAIRED });
    await lab.run(`CREATE TABLE ${lab.quoted("signal")} (${SIGNAL.columns})`);
    await fill(lab, "keyed", ROWS);
    await fill(lab, "paired", ROWS / 3);
    return new Incrementals(lab);
  }

  get source() {
    const signal_table = this.lab.qualified("signal");
    return { snapshot: "never", snapshot_chunk_rows: 150, signal_table };
  }

  start(changes: RunChanges = {}): CaptureRun {
    return this.lab.start({ ...changes, source: { ...this.source, ...changes.source } });
  }

  /** As `deno task snapshot` does, with an account that may write. */
  async signal(...tables: string[]): Promise<void> {
    await this.#ask(executeSignal(tables.map((table) => this.lab.qualified(table))));
  }

  /** The same for a range of a table. */
  async signalRange(table: string, range: KeyRange): Promise<void> {
    await this.#ask(executeSignal([this.lab.qualified(table)], range));
  }

  async #ask({ type, data }: ReturnType<typeof executeSignal>): Promise<void> {
    const values = [crypto.randomUUID(), type, data].map((text) => text.replaceAll("'", "''"));
    await this.lab.run(
      `INSERT INTO ${this.lab.quoted("signal")} VALUES ('${values.join("', '")}')`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

for (const way of WAYS) {
  for (const seed of seeds(3)) {
    /** So many waits for more chunks before a kill; none: it is not killed. */
    const waits = (seed - 1) % 3;
    Deno.test(`${nameOf(way)}: tables read while they are written come to their content, killed or not, seed ${seed}`, async () => {
      await using incrementals = await Incrementals.open(way);
      const { lab } = incrementals;
      {
        const first = incrementals.start();
        await first.event("capture_started");
        await using writer = new Writer(lab, seed, () => incrementals.signal("keyed", "paired"));
        await until(
          () => `a request; told: ${told(first)}`,
          () => first.count("incremental_snapshot_requested") > 0,
        );
        // Killed while chunks go out: what is left is read by the next.
        for (let wait = 0; wait < waits; wait++) {
          const { sent } = first;
          await until(
            () => `sends; told: ${told(first)}`,
            () => first.sent > sent + 3 || first.ended,
          );
        }
        if (waits > 0) {
          await first.cut();
          const second = incrementals.start();
          await second.event("incremental_snapshot_finished", 1);
          await second.stop();
        } else {
          await first.event("incremental_snapshot_finished", 2);
          await first.stop();
        }
        await writer.more(5);
      }
      await lab.settle({ source: incrementals.source });
      const marks = new Set(
        (await lab.changes("keyed")).filter(({ op }) => op === "r")
          .map(({ snapshot }) => snapshot),
      );
      assert.deepStrictEqual([...marks], ["incremental"]);
      assert.deepStrictEqual(await lab.changes("signal"), [], "signals go to no topic");
    });
  }

  Deno.test(`${nameOf(way)}: a chunk whose database falls silent is read over new connections`, async () => {
    await using incrementals = await Incrementals.open(way);
    const { lab } = incrementals;
    await lab.create("wide", WIDE);
    const rows = Array.from({ length: WIDE_ROWS }, (_, id) => `(${id}, REPEAT('x', 50000))`);
    await lab.run(`INSERT INTO ${lab.quoted("wide")} VALUES ${rows.join(", ")}`);
    await using proxy = await Proxy.start(lab.port);
    const running = incrementals.start({
      source: { port: proxy.port, snapshot_chunk_rows: WIDE_ROWS },
      sending: (running) => {
        if (running.count("retrying") === 0) proxy.mute();
      },
    });
    await running.event("capture_started");
    await incrementals.signal("wide", "keyed", "paired");
    await running.event("retrying");
    assert.equal(running.count("incremental_snapshot_finished"), 0, told(running));
    await running.event("incremental_snapshot_finished", 3);
    await running.stop();
    await lab.settle({ source: incrementals.source });
  });

  Deno.test(`${nameOf(way)}: of a range of keys just its rows are read, killed or not; one that is none is told and left`, async () => {
    await using incrementals = await Incrementals.open(way);
    const { lab } = incrementals;
    const [keyed, paired] = [lab.quoted("keyed"), lab.quoted("paired")];
    const first = incrementals.start();
    await first.event("capture_started");
    await incrementals.signalRange("keyed", { from: ["301"], to: ["1000"] });
    await until(() => `sends; told: ${told(first)}`, () => first.sent > 1);
    await first.cut();

    const running = incrementals.start();
    await incrementals.signalRange("keyed", { from: ["x'); --"] });
    await incrementals.signalRange("keyed", { from: ["1", "2"] });
    await running.event("incremental_snapshot_refused", 2);
    await incrementals.signalRange("paired", { from: ["z5"], to: ["z5", "300.5"] });
    await incrementals.signalRange("paired", { from: ["'8", "4.5"], to: ["'8", "400.5"] });
    await running.event("incremental_snapshot_finished", 3);
    await running.stop();
    assert.equal(running.count("retrying"), 0, told(running));

    const expected = {
      keyed: await lab.run(`SELECT id, v, n FROM ${keyed} WHERE id BETWEEN 301 AND 1000`),
      paired: await lab.run(
        `SELECT n, b, a FROM ${paired} WHERE a = 'z5' AND b <= 300.5
           OR a = '''8' AND b BETWEEN 4.5 AND 400.5`,
      ),
    };
    assert.deepEqual([expected.keyed.length, expected.paired.length > 40], [700, true]);
    for (const [table, rows] of Object.entries(expected)) {
      assert.deepEqual(
        await lab.folded(table),
        rows.map((row) => row.map(String).join("|")).sort(),
        lab.topic(table),
      );
    }
  });

  Deno.test(`${nameOf(way)}: a signal for a table that is not there, or without sense, is told and left`, async () => {
    await using incrementals = await Incrementals.open(way);
    const { lab } = incrementals;
    const running = incrementals.start();
    await running.event("capture_started");
    await incrementals.signal("nowhere");
    await lab.run(
      `INSERT INTO ${lab.quoted("signal")} VALUES ('x', 'dance', '{"data-collections": 7}')`,
    );
    await running.event("incremental_snapshot_refused");
    await running.event("signal_refused");
    await lab.source(SILENT, incrementals.source).signal([lab.qualified("paired")])
      .catch((error) => assert.match(String(error), /denied/)); // MySQL's replicator may not write
    if (way.kind === "MySQL") await incrementals.signal("paired");
    await running.event("incremental_snapshot_finished");
    await running.stop();
    assert.deepStrictEqual(await lab.folded("paired"), await lab.content("paired"));
  });
}

Deno.test("PostgreSQL: the stream goes on while a table that is to be read is altered", async () => {
  await using incrementals = await Incrementals.open(WAYS[0]!);
  const { lab } = incrementals;
  await using other = await lab.connect();
  const running = incrementals.start();
  await running.event("capture_started");
  await other.run("BEGIN");
  await other.run(`LOCK TABLE ${lab.quoted("keyed")} IN ACCESS EXCLUSIVE MODE`);
  await incrementals.signal("keyed");
  await running.event("incremental_snapshot_requested");
  const went = running.sent;
  for (const id of [1, 2, 3]) {
    await lab.run(`INSERT INTO ${lab.quoted("paired")} VALUES (${id}, ${id}.125, 'goes on')`);
    await until("it goes out", () => running.sent >= went + id);
  }
  assert.equal(running.count("retrying"), 0, told(running));
  await other.run("COMMIT");
  await running.event("incremental_snapshot_finished");
  await running.stop();
  assert.deepStrictEqual(await lab.folded("keyed"), await lab.content("keyed"));
});

for (const way of [WAYS[0]!, WAYS[2]!]) {
  Deno.test(`${nameOf(way)}: keys of times and bytes bound a range as they stand in changes, and no such day is refused`, async () => {
    const [time, bytes] = way.kind === "MySQL"
      ? ["TIMESTAMP(3)", "VARBINARY(8)"]
      : ["TIMESTAMPTZ(3)", "BYTEA"];
    const columns = `happened ${time}, raw ${bytes}, v INT, PRIMARY KEY (happened, raw)`;
    const dated: TableSpec = { columns, names: ["happened", "raw", "v"], keyed: true };
    await using lab = await SnapshotLab.open(way, { dated });
    await lab.run(`CREATE TABLE ${lab.quoted("signal")} (${SIGNAL.columns})`);
    const row = (n: number) => `('2026-11-21 10:00:0${n}.500+00:00', 'r${n}', ${n})`;
    await lab.run(`INSERT INTO ${lab.quoted("dated")} VALUES ${[1, 2, 3, 4, 5].map(row).join()}`);
    const source = { snapshot: "never", signal_table: lab.qualified("signal") };
    const running = lab.start({ source });
    await running.event("capture_started");
    const moment = (n: number) => `2026-11-21T10:00:0${n}.500Z`;
    for (
      const range of [
        { from: ["2026-02-31T10:00:00Z"] },
        { from: [moment(2), btoa("r2")], to: [moment(4), btoa("r3")] },
      ]
    ) {
      const { type, data } = executeSignal([lab.qualified("dated")], range);
      const values = [crypto.randomUUID(), type, data].join("', '");
      await lab.run(`INSERT INTO ${lab.quoted("signal")} VALUES ('${values}')`);
    }
    await running.event("incremental_snapshot_finished");
    await running.stop();
    assert.equal(running.count("incremental_snapshot_refused"), 1, told(running));
    assert.equal(running.count("retrying"), 0, told(running));
    const read = (await lab.changes("dated")).map(({ after }) => after![2]);
    assert.deepEqual(read.sort(), [2, 3]);
  });
}

for (
  const [way, levels] of [
    [{ kind: "PostgreSQL", plugin: "pgoutput", account: "replicator" }, ["error", "warning", "ok"]],
    [{ kind: "MySQL", account: "replicator" }, ["error", "ok"]],
  ] as const
) {
  Deno.test(`${way.kind}: check tells what a signal table lacks, and its cures mend that`, async () => {
    await using lab = await SnapshotLab.open(way, { keyed: KEYED });
    const signal_table = lab.qualified("signal");
    /** Levels of what is found, each after the cure of the one before. */
    const mended = async () => {
      const levels: string[] = [];
      for (let cure: string | undefined = "";;) {
        for (const sql of cure.split(";").filter((sql) => sql !== "")) await lab.run(sql);
        const findings = await lab.source(SILENT, { signal_table }).inspect();
        const found = findings.find(({ subject }) => subject === `signal table ${signal_table}`)!;
        levels.push(found.level);
        if (found.level === "ok" || levels.length > 3) return levels;
        cure = found.cure!;
      }
    };
    assert.deepEqual(await mended(), levels);
    await lab.run(`ALTER TABLE ${lab.quoted("signal")} DROP COLUMN data`);
    assert.deepEqual(await mended(), ["error", "ok"]);
    if (way.kind !== "MySQL") return;
    const [[grantee]] = await lab.run(
      `SELECT CONCAT(QUOTE(User), '@', QUOTE(Host)) FROM mysql.tables_priv
       WHERE Table_name = '${lab.quoted("signal")}'`,
    ) as [[string]];
    await lab.run(`REVOKE INSERT ON ${lab.quoted("signal")} FROM ${grantee}`);
    assert.deepEqual(await mended(), ["warning", "ok"]);
  });
}
