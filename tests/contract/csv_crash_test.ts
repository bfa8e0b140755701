/** Crashes of the CSV sink: at every file operation, with everything a power cut may leave. */
import assert from "node:assert/strict";
import type { Change } from "../../shared/change.ts";
import type { CsvOptions } from "../../shared/sinks/csv/options.ts";
import { type Disk, disk as real } from "../../shared/sinks/csv/disk.ts";
import {
  at,
  change,
  csvSink,
  inFolder,
  never,
  partition,
  readLines,
  standing,
} from "../unit/sinks/fixtures.ts";
import { CrashDisk, type Fault, LOSSES } from "./crash_disk.ts";

/** Every kind of change, so that files rotate, end with a truncate and begin again. */
const CHANGES: Change[] = Array.from({ length: 24 }, (_, index) => {
  const n = index + 1;
  const row = [n % 5, `category ${n}`, "a.example"];
  switch (n % 6) {
    case 0:
      return change(n, "d", { before: row });
    case 1:
    case 2:
      return change(n, "c", { after: row });
    case 3:
      return change(n, "u", { before: row, after: [row[0]!, "other", "b"] });
    case 4:
      return n === 16 ? change(n, "t", {}) : change(n, "r", { after: row });
    default:
      return change(n, "u", { after: [row[0]!, "new", undefined] });
  }
});

const FLUSH_EVERY = 4;
const OPTIONS: Partial<CsvOptions> = { rotate_rows: 5 };

/** What the files must hold in the end, whatever happened on the way: each row by its position. */
const EXPECTED = CHANGES.flatMap(({ op, position }) =>
  op === "u"
    ? [`deletes u ${position}`, `inserts u ${position}`]
    : op === "d" || op === "t"
    ? [`deletes ${op} ${position}`]
    : [`inserts ${op} ${position}`]
).sort();

/** Feeds the changes from where the sink stands to the end. */
async function feed(
  sink: ReturnType<typeof csvSink>,
  flushed: (next: number) => void = () => {},
): Promise<void> {
  const found = await sink.open(partition, never);
  const first = found === undefined ? 0 : found.next_offset - 1;
  for (let from = first; from < CHANGES.length; from += FLUSH_EVERY) {
    const to = Math.min(from + FLUSH_EVERY, CHANGES.length);
    const half = from + 2;
    await sink.write(at, { changes: CHANGES.slice(from, half), standing: standing(half) });
    await sink.write(at, { changes: CHANGES.slice(half, to), standing: standing(to) });
    const durable = await sink.flush(at);
    assert.equal(durable?.next_offset, to + 1);
    flushed(to + 1);
  }
  await sink.release(at);
  await sink.close();
}

interface Image {
  readonly folder: string;
  readonly step: string;
  /** What flush had promised before. */
  readonly promised: number;
}

/** Writes all changes to a folder, and puts aside what a crash would leave before each step. */
async function images(folder: string, fault?: Fault): Promise<Image[]> {
  const found: Image[] = [];
  const seen = new Set<string>();
  let promised = 0;
  const disk: CrashDisk = new CrashDisk(`${folder}/whole`, (operation) => {
    for (const loss of LOSSES) {
      const image = `${folder}/${disk.operations}-${loss}`;
      const content = `${promised} ${disk.fingerprint(loss)}`;
      if (seen.has(content)) continue;
      seen.add(content);
      Deno.mkdirSync(image);
      disk.image(image, loss);
      found.push({
        folder: image,
        step: `before step ${disk.operations} (${operation}), unsynced lost: ${loss}`,
        promised,
      });
    }
  }, fault);
  await feed(csvSink(`${folder}/whole`, OPTIONS, disk), (next) => promised = next);
  return found;
}

/** The real disk in a hurry: after a crash that was made up, no other is to be survived. */
const hasty: Disk = {
  ...real,
  open(path, how) {
    const file = real.open(path, how);
    file.sync = () => Promise.resolve();
    return file;
  },
  syncFolder: () => Promise.resolve(),
};

/** Says what is wrong after a start on what the crash left; undefined: nothing. */
async function wrong({ folder, promised }: Image): Promise<string | undefined> {
  try {
    const probe = csvSink(folder, OPTIONS, hasty);
    const found = (await probe.open(partition, never))?.next_offset ?? 0;
    await probe.close();
    if (found < promised) return `offset ${promised} was promised, ${found} was found`;
    await feed(csvSink(folder, OPTIONS, hasty));
    const lines = readLines(folder, OPTIONS).map(({ operation, cells }) =>
      `${operation} ${cells[0]} ${cells[1]}`
    ).sort();
    assert.deepEqual(lines, EXPECTED);
    return undefined;
  } catch (error) {
    return String(error);
  }
}

Deno.test("After a crash at any step, whatever the disk lost, each change stands in the files once", () =>
  inFolder(async (folder) => {
    const all = await images(folder);
    assert(all.length > 100, `only ${all.length} crashes were tried`);
    for (const image of all) {
      assert.equal(await wrong(image), undefined, image.step);
    }
  }));

for (const fault of ["sync of data", "sync of the journal", "sync of folders"] as const) {
  Deno.test(`Without the ${fault} the crashes above are not survived`, () =>
    inFolder(async (folder) => {
      for (const image of await images(folder, fault)) {
        if (await wrong(image) !== undefined) return;
      }
      assert.fail(`no crash lost anything although the ${fault} was left out`);
    }));
}
