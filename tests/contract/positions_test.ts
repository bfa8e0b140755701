/** `deno task positions` on captures of real servers: what it shows, and what becomes of those that it moves. */
import assert from "node:assert/strict";
import type { CaptureSummary } from "../../shared/pipeline/capture.ts";
import { parsePosition } from "../../shared/position.ts";
import { commandRunner, type Ended } from "../command.ts";
import { testFolder } from "../stack.ts";
import { fill, KEYED, KEYLESS, SnapshotLab, type SourceChanges, type Way } from "./snapshot_lab.ts";

const command = commandRunner(testFolder(`positions_${crypto.randomUUID().slice(0, 8)}`));

const WAYS: readonly Way[] = [
  { kind: "PostgreSQL", plugin: "pgoutput" },
  { kind: "MySQL", account: "admin" },
];

/** As `show --json` prints it. */
interface Shown {
  readonly source: string;
  readonly lag: { bytes: number | null; stored_seconds: number; newest_change_seconds: number };
  readonly lost: string | null;
  readonly stored: {
    readonly resume: Readonly<Record<string, string | number>>;
    readonly generation: number;
    readonly reset?: true;
  };
  readonly log: Readonly<Record<string, unknown>>;
  readonly partitions: readonly { stored_offset: number; end_offset: number; position: string }[];
}

/** A lab and the command on its job. */
class Moved implements AsyncDisposable {
  readonly lab: SnapshotLab;
  /** What later runs and commands change of the source. */
  source: SourceChanges = {};
  readonly #slots: string[] = [];

  private constructor(lab: SnapshotLab) {
    this.lab = lab;
  }

  static async open(way: Way, tables: Parameters<typeof SnapshotLab.open>[1]): Promise<Moved> {
    return new Moved(await SnapshotLab.open(way, tables));
  }

  positions(action: string, ...options: string[]): Promise<Ended> {
    return command("positions", this.lab.job(this.source), action, ...options);
  }

  async show(): Promise<Shown> {
    return JSON.parse(done(await this.positions("show", "--json"))) as Shown;
  }

  /** Captures to the end of the log; answers how many changes came. */
  async capture(): Promise<number> {
    const { source } = this;
    const { changes }: CaptureSummary = await this.lab.start({ source, mode: "batch" }).done;
    return Object.values(changes).reduce((sum, one) => sum + one, 0);
  }

  /** The stored place as `--to` takes it. */
  async place(): Promise<string> {
    const { resume } = (await this.lab.stored())!;
    return String(resume["lsn"] ?? `${resume["file"]}:${resume["offset"]}`);
  }

  /** Keeps a way back to the stored place where the server itself does not; answers what leads there. */
  async keepWayBack(): Promise<SourceChanges> {
    if (this.lab.way.kind === "MySQL") return {};
    const slot = `list_sync_${this.lab.name}`;
    const copy = `${slot}_back`;
    await this.lab.run(`SELECT pg_copy_logical_replication_slot('${slot}', '${copy}')`);
    this.#slots.push(copy);
    return { slot: copy };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const slot of this.#slots) {
      await this.lab.run(`SELECT pg_drop_replication_slot('${slot}')`);
    }
    await this.lab[Symbol.asyncDispose]();
  }
}

function done({ code, stdout, stderr }: Ended): string {
  assert.equal(code, 0, stderr + stdout);
  return stdout;
}

function refused({ code, stdout, stderr }: Ended, why: RegExp): void {
  assert.equal(code, 2, stdout + stderr);
  assert.match(stderr, why);
}

/** Six changes, a delete and a moved key among them. */
async function write({ lab }: Moved): Promise<void> {
  const table = lab.quoted("keyed");
  await lab.run(`INSERT INTO ${table} VALUES (101, 'new', 1), (102, 'goes again', 1)`);
  await lab.run(`UPDATE ${table} SET v = 'changed' WHERE id = 1`);
  await lab.run(`DELETE FROM ${table} WHERE id IN (2, 102)`);
  await lab.run(`UPDATE ${table} SET v = 'changed again' WHERE id = 1`);
}

for (const way of WAYS) {
  Deno.test(`${way.kind}: changes from an earlier place come again, and readers end with the table's content`, async () => {
    await using moved = await Moved.open(way, { keyed: KEYED });
    const { lab } = moved;
    await fill(lab, "keyed", 40);
    assert.equal(await moved.capture(), 40);
    const back = await moved.keepWayBack();
    const place = await moved.place();
    const before = (await lab.stored())!;
    await write(moved);
    assert.ok((await moved.show()).lag.bytes! > 100, "six changes are not captured yet");
    assert.equal(await moved.capture(), 6);

    if (way.kind === "PostgreSQL") {
      const why = /cannot go back to .*PostgreSQL has forgotten.*pg_copy_logical_replication_slot/;
      refused(await moved.positions("set", "--to", place, "--yes"), why);
    }
    moved.source = back;
    refused(
      await moved.positions("set", "--to", place),
      /comes again, as generation \d+.*add --yes/,
    );
    assert.equal(
      (await lab.stored())!.generation,
      before.generation,
      "what is refused moves nothing",
    );
    done(await moved.positions("set", "--to", place, "--yes"));
    assert.equal(await moved.place(), place);
    assert.equal(await moved.capture(), 6, "no change is taken for a repetition");

    const generations = new Map<number, number>();
    for (const { position } of await lab.changes("keyed")) {
      const { generation } = parsePosition(position);
      generations.set(generation, (generations.get(generation) ?? 0) + 1);
    }
    const { generation } = (await lab.stored())!;
    assert.ok(generation > before.generation);
    assert.deepEqual([...generations].sort(), [[before.generation, 46], [generation, 6]]);
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id = 3`);
    await lab.settle({ source: back });
    assert.equal((await lab.stored())!.clean, true);
  });

  Deno.test(`${way.kind}: the newest record may be one about a transaction`, async () => {
    await using moved = await Moved.open(way, { keyed: KEYED });
    const notes = { mode: "batch", provide_transaction_metadata: true } as const;
    await moved.lab.start(notes).done;
    await fill(moved.lab, "keyed", 3);
    await moved.lab.start(notes).done;
    const { lag } = await moved.show();
    assert.ok(Number.isInteger(lag.newest_change_seconds), JSON.stringify(lag));
  });

  Deno.test(`${way.kind}: a capture that runs is not moved; after a reset all rows are read again`, async () => {
    await using moved = await Moved.open(way, { keyed: KEYED });
    const { lab } = moved;
    await fill(lab, "keyed", 30);
    const running = lab.start();
    await running.event("capture_started");
    const why = /Another capture (is running: slot list_sync_snap_|of job "snap_)/;
    refused(await moved.positions("set", "--to", await moved.place(), "--yes"), why);
    refused(await moved.positions("reset", "--yes"), why);
    await running.event("snapshot_finished");
    await running.stop();
    assert.equal(running.count("retrying"), 0, JSON.stringify(running.told));

    const before = (await lab.stored())!;
    await lab.run(`DELETE FROM ${lab.quoted("keyed")} WHERE id <= 10`);
    refused(
      await moved.positions("reset"),
      /truncates the topics and reads all rows again.*add --yes/,
    );
    assert.deepEqual(await lab.stored(), before);
    done(await moved.positions("reset", "--yes"));
    refused(await moved.positions("set", "--to", "x", "--yes"), /snapshot .* is not finished/);
    await lab.settle();
    const ops = (await lab.changes("keyed")).map(({ op }) => op);
    assert.equal(ops.filter((op) => op === "r").length, 30 + 20);
    const after = (await lab.stored())!;
    assert.ok(after.generation > before.generation);
    assert.equal(after.reset, undefined);
    moved.source = { snapshot: "never" };
    refused(await moved.positions("reset", "--yes"), /`snapshot: never` forbids/);
  });

  Deno.test(`${way.kind}: what lies before a later place is left out, and rows without a key are not sent again`, async () => {
    await using moved = await Moved.open(way, { keyed: KEYED, keyless: KEYLESS });
    const { lab } = moved;
    assert.equal(await moved.capture(), 0);
    const back = await moved.keepWayBack();
    const place = await moved.place();
    await fill(lab, "keyless", 3);
    await fill(lab, "keyed", 5);
    const { log } = await moved.show();
    await write(moved);
    const told = done(await moved.positions("set", "--to", String(log["log_end"]), "--yes"));
    assert.match(told, /is left out for good/);
    assert.equal(await moved.capture(), 6);
    await lab.run(`INSERT INTO ${lab.quoted("keyless")} VALUES ('x', 1)`);
    assert.equal(await moved.capture(), 1);
    moved.source = back;
    const keyless = new RegExp(`${lab.quoted("keyless")} have no key.*positions reset`);
    refused(await moved.positions("set", "--to", place, "--yes"), keyless);
  });
}

Deno.test("MySQL: a set of GTIDs is a place; one inside a transaction, or not in the log, is none", async () => {
  await using moved = await Moved.open(WAYS[1]!, { keyed: KEYED });
  const { lab } = moved;
  await moved.capture();
  const { resume } = (await lab.stored())!;
  await fill(lab, "keyed", 40);
  const { stored, lag, log } = await moved.show();
  assert.deepEqual(stored.resume, resume);
  assert.notEqual(log["gtid_missing"], "");
  const files = log["files"] as { file: string; bytes: number }[];
  assert.equal(files.at(-1)!.file, String(log["log_end"]).split(":")[0]);
  assert.ok(lag.bytes! > 0);
  const file = String(resume["file"]);
  const inside = `${file}:${Number(resume["offset"]) + 100}`;
  const boundary = new RegExp(`No transaction begins at ${inside}: .*--to ${file}:\\d+`);
  refused(await moved.positions("set", "--to", inside, "--yes"), boundary);
  const unknown = `${resume["gtid_set"]},00000000-0000-0000-0000-000000000001:1-5`;
  refused(await moved.positions("set", "--to", unknown, "--yes"), /never executed 0{8}-.*:1-5/);
  const gone = /no binlog file other\.000001.*name one of/;
  refused(await moved.positions("set", "--to", "other.000001:4", "--yes"), gone);
  done(await moved.positions("set", "--to", String(resume["gtid_set"]), "--yes"));
  const moved_to = (await lab.stored())!.resume;
  assert.deepEqual(moved_to["gtid_set"], resume["gtid_set"]);
  assert.equal(await moved.capture(), 40);
});

Deno.test("PostgreSQL: a place that is no LSN, or not in the log yet, is refused; a lost slot is shown", async () => {
  await using moved = await Moved.open(WAYS[0]!, { keyed: KEYED });
  refused(await moved.positions("set", "--to", "0/1", "--yes"), /has not captured yet/);
  await moved.capture();
  refused(await moved.positions("set", "--to", "yesterday", "--yes"), /write an LSN, such as/);
  refused(
    await moved.positions("set", "--to", "FFFF/0", "--yes"),
    /not in the log yet: it ends at/,
  );
  const { log } = await moved.show();
  const slot = log["slot"] as Record<string, unknown>;
  assert.equal(slot["name"], `list_sync_${moved.lab.name}`);
  assert.ok(Number(slot["retained_bytes"]) > 0, JSON.stringify(slot));
  await moved.lab.run(`SELECT pg_drop_replication_slot('${slot["name"]}')`);
  const { lost, lag } = await moved.show();
  assert.match(lost!, /Slot .* is gone/);
  assert.equal(lag.bytes, null);
  const text = done(await moved.positions("show"));
  assert.match(text, /Lost: Slot .* is gone/);
});
