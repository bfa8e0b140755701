/** Whatever stands in an output folder: a journal is read or refused as damaged, a name is ours or not. */
import assert from "node:assert/strict";
import fc from "fast-check";
import { HistoryLostError } from "../../../shared/errors.ts";
import type { Disk } from "../../../shared/sinks/csv/disk.ts";
import { fileName, nameReader } from "../../../shared/sinks/csv/filename.ts";
import { type Journal, readJournal, sealed } from "../../../shared/sinks/csv/journal.ts";
import { bytes, damaged, survives } from "../fuzzing.ts";

const GOOD: Journal = {
  version: 1,
  topic: "orders.public.list",
  topic_id: "id",
  partition: 0,
  next_offset: 7,
  positions: { "mysql/orders": "p" },
  set_aside: [[7, "digest"]],
  sequence: 2,
  since_sequence: 1,
  tables: ["shop.list"],
  layout: "l",
  opened_ms: 1,
  files: [{
    name: "t/inserts-0-00000002.csv",
    operation: "inserts",
    bytes: 3,
    rows: 1,
    tail_crc32: 9,
  }],
  completing: [],
};

/** A disk with nothing but a journal on it. */
function diskWith(content: Uint8Array): Disk {
  const file = { read: () => content, size: () => content.length, close() {} };
  return { exists: () => true, open: () => file } as unknown as Disk;
}

/** A journal's bytes; its checksum is right, whatever it says. */
const encoded = (journal: unknown) => new TextEncoder().encode(sealed(JSON.stringify(journal)));

Deno.test("journals: any bytes, and a good one with some of them changed, survive", () => {
  const input = fc.oneof(bytes, damaged(encoded(GOOD)));
  survives(input, (content) => readJournal(diskWith(content), "journal"), HistoryLostError);
});

Deno.test("journals: values of other kinds and sizes survive", () => {
  const changed = fc.tuple(fc.constantFrom(...Object.keys(GOOD)), fc.jsonValue({ maxDepth: 3 }));
  survives(changed, ([name, value]) => {
    return readJournal(diskWith(encoded({ ...GOOD, [name]: value })), "journal");
  }, HistoryLostError);
});

Deno.test("names of files: any name beside ours survives, and what is read of one makes it again", () => {
  const template = "{topic}/{operation}-{partition}-{sequence}.csv";
  const read = nameReader(template);
  const unit = fc.constantFrom(..."a%.2E/-019", "inserts", "00000001", ".csv");
  const name = fc.oneof(
    fc.string({ unit, maxLength: 20 }),
    fc.string({ unit, maxLength: 6 }).map((topic) => `${topic}/inserts-0-00000001.csv`),
  );
  survives(name, (text) => {
    const parts = read(text);
    if (parts === undefined) return;
    const { topic = "", ...rest } = parts;
    const made = fileName(template, { ...rest, topic, consumer_id: "1" });
    // Numbers may have been written with more zeros than ours.
    assert.equal(made.replaceAll(/\b0+(?=\d)/g, ""), text.replaceAll(/\b0+(?=\d)/g, ""));
  });
});

Deno.test("journals: a file outside of the output folder is refused", () => {
  for (
    const name of ["../x", "/etc/passwd", "a/../../x", "..", "a/..", "", "a//b", "./a", "a\0b"]
  ) {
    const content = encoded({ ...GOOD, files: [{ ...GOOD.files[0], name }] });
    assert.throws(() => readJournal(diskWith(content), "journal"), HistoryLostError, name);
  }
  readJournal(diskWith(encoded(GOOD)), "journal");
});
