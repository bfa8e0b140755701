import assert from "node:assert/strict";
import { parse } from "csv-parse/sync";
import fc from "fast-check";
import type { Change, Row } from "../../../shared/change.ts";
import { ConfigError, HistoryLostError, RecordError } from "../../../shared/errors.ts";
import { base64, floatText, jsonWriter } from "../../../shared/wire/value_text.ts";
import { type CsvOptions, csvOptions } from "../../../shared/sinks/csv/options.ts";
import { csvFiles } from "../../../shared/sinks/csv/files.ts";
import { formatPosition } from "../../../shared/position.ts";
import * as arbitrary from "../formats/arbitrary.ts";
import {
  at,
  change,
  csvSink,
  inFolder,
  listTable,
  never,
  partition,
  positionOf,
  readLines,
  standing,
  table,
  TOPIC,
} from "./fixtures.ts";

const UNAVAILABLE = "__list_sync_unavailable_value";

/** Writes and flushes all changes as one batch, and lets the partition go. */
async function writeAll(
  output: string,
  changes: readonly Change[],
  options: Partial<CsvOptions> = {},
): Promise<void> {
  const sink = csvSink(output, options);
  try {
    const before = await sink.open(partition, never);
    const next_offset = (before?.next_offset ?? 0) + changes.length;
    await sink.write(at, { changes, standing: { next_offset, positions: new Map() } });
    await sink.flush(at);
  } finally {
    await sink.close();
  }
}

function text(output: string, name: string): string {
  return Deno.readTextFileSync(`${output}/${name}`);
}

/** Paths of the files in a folder, without the sink's state. */
function names(output: string): string[] {
  const found: string[] = [];
  const walk = (inside: string) => {
    for (const entry of Deno.readDirSync(`${output}/${inside}`)) {
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory) walk(`${inside}${entry.name}/`);
      else found.push(inside + entry.name);
    }
  };
  walk("");
  return found.sort();
}

const INSERTS = `${TOPIC}/inserts-0-00000001.csv`;
const DELETES = `${TOPIC}/deletes-0-00000001.csv`;

Deno.test("Creates, reads and deletes become rows of two files, an update one row in each", () =>
  inFolder(async (output) => {
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a.example"] }),
      change(2, "r", { after: [2, null, ""] }),
      change(3, "u", { before: [1, "news", "a.example"], after: [1, "blog", "a.example"] }),
      change(4, "d", { before: [2, null, ""] }),
    ]);
    assert.deepEqual(names(output), [DELETES, INSERTS]);
    assert.equal(
      text(output, INSERTS),
      "__op,__position,id,category,domain\n" +
        `c,${positionOf(1)},1,news,a.example\n` +
        `r,${positionOf(2)},2,,""\n` +
        `u,${positionOf(3)},1,blog,a.example\n`,
    );
    assert.equal(
      text(output, DELETES),
      "__op,__position,id,category,domain\n" +
        `u,${positionOf(3)},1,news,a.example\n` +
        `d,${positionOf(4)},2,,""\n`,
    );
  }));

Deno.test("One file has a column that says what each row means", () =>
  inFolder(async (output) => {
    const options = {
      split_files: false,
      meta: [],
      filename: "{topic}-{partition}-{sequence}.csv",
    };
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a"] }),
      change(2, "u", { before: [1, "news", "a"], after: [1, "blog", "a"] }),
      change(3, "t", {}),
    ], options);
    assert.equal(
      text(output, `${TOPIC}-0-00000001.csv`),
      "op,id,category,domain\ninsert,1,news,a\ndelete,1,news,a\ninsert,1,blog,a\n",
    );
    assert.equal(text(output, `${TOPIC}-0-00000002.csv`), "op,id,category,domain\ntruncate,,,\n");
  }));

Deno.test("What the log did not carry is marked, and never null", () =>
  inFolder(async (output) => {
    await writeAll(output, [
      // PostgreSQL's default replica identity: no old row with an update, the key with a delete.
      change(1, "u", { after: [1, "blog", undefined] }),
      change(2, "d", { before: [1, undefined, undefined] }),
      // Replica identity FULL: the unchanged TOAST value stands in the old row.
      change(3, "u", { before: [2, "x", "long"], after: [2, "y", undefined] }),
      change(4, "c", { after: [3, UNAVAILABLE, null] }),
    ], { meta: [] });
    assert.equal(
      text(output, INSERTS),
      `id,category,domain\n1,blog,${UNAVAILABLE}\n2,y,long\n3,"${UNAVAILABLE}",\n`,
    );
    assert.equal(
      text(output, DELETES),
      `id,category,domain\n1,${UNAVAILABLE},${UNAVAILABLE}\n` +
        `1,${UNAVAILABLE},${UNAVAILABLE}\n2,x,long\n`,
    );
  }));

Deno.test("Columns stand in the order asked for, and all that is known of a change may be had", () =>
  inFolder(async (output) => {
    const { meta } = csvOptions.parse({
      output,
      meta: ["__source", "__table", "__topic", "__partition", "__transaction", "__ts_us"],
    });
    await writeAll(output, [change(7, "c", { after: [1, "news", "a"] })], {
      meta,
      columns: ["domain", "id"],
    });
    assert.equal(
      text(output, INSERTS),
      "__source,__table,__topic,__partition,__transaction,__ts_us,domain,id\n" +
        `postgresql/orders,shop.public.list,${TOPIC},0,771,1795255200000007,a,1\n`,
    );
  }));

Deno.test("Any row that is written is found by an independent reader as its text", async () => {
  const rows = arbitrary.table.chain((table) =>
    fc.tuple(fc.constant(table), fc.array(arbitrary.row(table), { minLength: 1, maxLength: 5 }))
  );
  await fc.assert(
    fc.asyncProperty(rows, ([table, rows]) =>
      inFolder(async (output) => {
        const changes = rows.map((after, n) => change(n, "c", { after }, table));
        await writeAll(output, changes, { header: false });
        const found: (string | null)[][] = parse(text(output, INSERTS), {
          record_delimiter: "\n",
          cast: (value, { quoting }) => value === "" && !quoting ? null : value,
        });
        const expected = rows.map((row, n) => ["c", positionOf(n), ...texts(row, table)]);
        assert.deepEqual(found, expected, text(output, INSERTS));
      })),
    { numRuns: 100 },
  );
});

/** The text forms of the type table, as cells. */
function texts(row: Row, table: Change["table"]): (string | null)[] {
  return row.map((value, index) => {
    const column = table.columns[index]!;
    if (value === undefined) return UNAVAILABLE;
    if (value === null) return null;
    switch (column.kind) {
      case "float32":
      case "float64":
        return floatText(value as number, column.kind);
      case "bytes":
        return base64(value as Uint8Array);
      case "array":
        return jsonWriter(column)(value);
      default:
        return String(value);
    }
  });
}

Deno.test("A truncate closes the files, and the next set begins with a row that says so", () =>
  inFolder(async (output) => {
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a"] }),
      change(2, "t", {}),
      change(3, "c", { after: [2, "news", "b"] }),
    ]);
    const files = csvFiles(csvOptions.parse({ output }), TOPIC);
    assert.deepEqual(
      files.map(({ operation, sequence, truncated }) => [operation, sequence, truncated]),
      [["inserts", 1, true], ["deletes", 2, false], ["inserts", 2, false]],
    );
    assert.deepEqual(
      readLines(output).map(({ sequence, cells }) => [sequence, cells[0], cells[2]]),
      [[1, "c", "1"], [2, "t", null], [2, "c", "2"]],
    );
  }));

Deno.test("Other columns go to another set with its own header", () =>
  inFolder(async (output) => {
    const wider = listTable("note");
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a"] }),
      change(2, "c", { after: [2, "news", "b", "n"] }, wider),
      change(3, "c", { after: [3, "news", "c", "n"] }, { ...wider }),
    ], { meta: [] });
    assert.equal(text(output, INSERTS), "id,category,domain\n1,news,a\n");
    assert.equal(
      text(output, `${TOPIC}/inserts-0-00000002.csv`),
      "id,category,domain,note\n2,news,b,n\n3,news,c,n\n",
    );
  }));

Deno.test("Files rotate by rows, by bytes and by time, and whole ones have lost their .part", () =>
  inFolder(async (output) => {
    const rows = [1, 2, 3, 4, 5].map((id) => change(id, "c", { after: [id, "news", "a"] }));
    for (const [limit, value] of [["rotate_rows", 2], ["rotate_bytes", 90]] as const) {
      const folder = `${output}/${limit}`;
      const sink = csvSink(folder, { [limit]: value, header: false });
      await sink.open(partition, never);
      await sink.write(at, { changes: rows, standing: standing(5) });
      await sink.flush(at);
      assert.deepEqual(names(folder), [
        `${TOPIC}/inserts-0-00000001.csv`,
        `${TOPIC}/inserts-0-00000002.csv`,
        `${TOPIC}/inserts-0-00000003.csv.part`,
      ], limit);
      await sink.close();
      assert.deepEqual(readLines(folder, { header: false }).map(({ cells }) => cells[2]), [
        ..."12345",
      ]);
    }
    const sink = csvSink(`${output}/time`, { rotate_interval_ms: 1 });
    await sink.open(partition, never);
    await sink.write(at, { changes: rows, standing: standing(5) });
    const deadline = Date.now() + 5000;
    while (!names(`${output}/time`).includes(INSERTS)) {
      assert(Date.now() < deadline, `found ${names(`${output}/time`)}`);
      await sink.flush(at);
    }
    await sink.close();
  }));

Deno.test("What was accepted and not flushed is undone, and the rest is gone on with", () =>
  inFolder(async (output) => {
    const first = csvSink(output);
    await first.open(partition, never);
    await first.write(at, {
      changes: [change(1, "c", { after: [1, "x", "a"] })],
      standing: standing(1),
    });
    await first.flush(at);
    const long = "y".repeat(400_000); // reaches the file before any flush
    await first.write(at, {
      changes: [
        change(2, "c", { after: [2, long, "b"] }),
        change(3, "d", { before: [1, "x", "a"] }),
      ],
      standing: standing(3),
    });
    await first.release(at);
    assert.deepEqual(names(output), [`${DELETES}.part`, `${INSERTS}.part`]);
    assert(Deno.statSync(`${output}/${INSERTS}.part`).size > 400_000);

    const second = csvSink(output);
    assert.deepEqual(await second.open(partition, never), standing(1));
    assert.deepEqual(names(output), [`${INSERTS}.part`]);
    await second.write(at, {
      changes: [change(2, "c", { after: [2, "z", "b"] })],
      standing: standing(2),
    });
    await second.flush(at);
    await second.release(at);
    assert.deepEqual(names(output), [INSERTS]);
    assert.deepEqual(readLines(output).map(({ cells }) => cells.slice(2)), [
      ["1", "x", "a"],
      ["2", "z", "b"],
    ]);
    await first.close();
    await second.close();
  }));

Deno.test("Files that are missing, cut or edited are lost history, named with what was expected", () =>
  inFolder(async (output) => {
    const tampering: [what: string, RegExp, (path: string) => void][] = [
      ["missing", /found no such file/, (path) => Deno.removeSync(path)],
      ["cut", /expected 106 bytes.*found 100 bytes/, (path) => Deno.truncateSync(path, 100)],
      [
        "edited",
        /expected .* CRC-32 [0-9a-f]{8}, found CRC-32 [0-9a-f]{8}: it was edited/,
        (path) => {
          Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace("news", "olds"));
        },
      ],
    ];
    for (const [what, message, tamper] of tampering) {
      const folder = `${output}/${what}`;
      const sink = csvSink(folder);
      await sink.open(partition, never);
      await sink.write(at, {
        changes: [change(1, "c", { after: [1, "news", "a.example"] })],
        standing: standing(1),
      });
      await sink.flush(at);
      await sink.write(at, { changes: [], standing: standing(2) });
      await sink.close();
      const path = `${folder}/${INSERTS}.part`;
      tamper(path);
      await assert.rejects(csvSink(folder).open(partition, never), (error: Error) => {
        assert(error instanceof HistoryLostError, String(error));
        assert(error.message.startsWith(path), error.message);
        assert.match(error.message, message);
        return true;
      });
    }
  }));

Deno.test("A damaged journal, a lost one and another topic under the same name are refused", () =>
  inFolder(async (output) => {
    await writeAll(output, [change(1, "c", { after: [1, "news", "a"] })]);
    const journal = `${output}/.list-sync/${TOPIC}/0.json`;
    const whole = Deno.readTextFileSync(journal);

    await assert.rejects(
      csvSink(output).open({ ...partition, topic_id: "topic-id-2" }, never),
      (error: Error) =>
        error instanceof HistoryLostError &&
        /recreated.*id topic-id-1.*id topic-id-2/.test(error.message),
    );
    Deno.writeTextFileSync(journal, whole.slice(0, 40));
    await assert.rejects(csvSink(output).open(partition, never), HistoryLostError);
    Deno.writeTextFileSync(journal, whole.replace('"next_offset":', '"next_offset":1'));
    await assert.rejects(csvSink(output).open(partition, never), (error: Error) => {
      assert.match(String(error.cause), /its checksum says/);
      return error instanceof HistoryLostError;
    });
    Deno.writeTextFileSync(journal, whole.replace('"version":1', '"version":2'));
    await assert.rejects(csvSink(output).open(partition, never), HistoryLostError);
    Deno.removeSync(journal);
    await assert.rejects(csvSink(output).open(partition, never), (error: Error) => {
      assert(error instanceof ConfigError);
      assert.match(error.message, /inserts-0-00000001\.csv is there, but no journal/);
      return true;
    });
  }));

Deno.test("Columns that do not exist or would stand twice are refused with the cure", () =>
  inFolder(async (output) => {
    const one = [change(1, "c", { after: [1, "news", "a"] })];
    await assert.rejects(writeAll(`${output}/a`, one, { columns: ["domian"] }), (error: Error) => {
      assert(error instanceof ConfigError);
      assert.match(
        error.message,
        /sink\.columns names "domian".*nearest is "domain".*id, category/,
      );
      return true;
    });
    const clash = change(1, "c", { after: [1, "news", "a", "x"] }, listTable("__op"));
    await assert.rejects(writeAll(`${output}/b`, [clash]), RecordError);
  }));

Deno.test("A table under another name begins a set; a name that comes again after it is refused", () =>
  inFolder(async (output) => {
    const renamed = { ...listTable(), table: "items" };
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a"] }),
      change(2, "c", { after: [2, "news", "b"] }, renamed),
      change(3, "t", {}, renamed),
      change(4, "c", { after: [4, "news", "d"] }, renamed),
    ]);
    const again = [
      change(5, "c", { after: [5, "news", "e"] }, renamed),
      change(6, "c", { after: [6, "news", "f"] }),
    ];
    for (const changes of [again, [change(6, "t", {})]]) {
      await assert.rejects(writeAll(output, changes), (error: Error) => {
        assert(error instanceof ConfigError, String(error));
        assert.match(
          error.message,
          /orders\.public\.list, partition 0.* shop\.public\.list appear again after changes of shop\.public\.items/,
        );
        assert.match(error.cure ?? "", /\{table\}.*kafka\.topic/);
        return true;
      });
    }
    assert.deepEqual(readLines(output).map(({ sequence, cells }) => [sequence, cells[2]]), [
      [1, "1"],
      [2, "2"],
      [3, null],
      [3, "4"],
    ]);
  }));

Deno.test("A generation may begin with truncates of all names that a table has had", () =>
  inFolder(async (output) => {
    const renamed = { ...listTable(), table: "items" };
    const begin = (row: number, of = table) => ({
      ...change(3, "t", {}, of),
      position: formatPosition({ generation: 2, major: 0n, minor: 0n, row }),
    });
    await writeAll(output, [
      change(1, "c", { after: [1, "news", "a"] }),
      change(2, "c", { after: [2, "news", "b"] }, renamed),
      begin(0, renamed),
      begin(1),
      change(5, "r", { after: [5, "news", "e"] }),
    ]);
    const files = csvFiles(csvOptions.parse({ output }), TOPIC);
    assert.deepEqual(
      files.filter(({ operation }) => operation === "inserts")
        .map(({ sequence, truncated }) => [sequence, truncated]),
      [[1, true], [2, true], [4, false]],
    );
  }));

Deno.test("Two topics in one folder need {topic} in the file name", () =>
  inFolder(async (output) => {
    const filename = "{operation}-{partition}-{sequence}.csv";
    await writeAll(output, [change(1, "c", { after: [1, "news", "a"] })], { filename });
    await assert.rejects(
      csvSink(output, { filename }).open({ ...partition, topic: "other" }, never),
      (error: Error) => error instanceof ConfigError && /without \{topic\}/.test(error.message),
    );
  }));
