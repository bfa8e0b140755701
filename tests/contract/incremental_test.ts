/** Tables that are read again while they are written and the stream goes on. */
import assert from "node:assert/strict";
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
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

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
    const names = tables.map((table) => `"${this.lab.qualified(table)}"`);
    await this.lab.run(
      `INSERT INTO ${
        this.lab.quoted("signal")
      } VALUES ('${crypto.randomUUID()}', 'execute-snapshot',
       '{"data-collections": [${names.join(", ")}], "type": "incremental"}')`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.lab[Symbol.asyncDispose]();
  }
}

for (const way of WAYS) {
  for (const seed of [1, 2, 3]) {
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
        for (let round = 1; round < seed; round++) {
          const { sent } = first;
          await until(
            () => `sends; told: ${told(first)}`,
            () => first.sent > sent + 3 || first.ended,
          );
        }
        if (seed > 1) {
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
