import assert from "node:assert/strict";
import type { Change, Value } from "../../../shared/change.ts";
import { ConfigError } from "../../../shared/errors.ts";
import {
  executeSignal,
  firstBehind,
  Incremental,
  takeSignals,
  UnreadableTableError,
} from "../../../shared/sources/incremental.ts";
import { SILENT } from "../../silent.ts";

const column = (name: string) => ({ name, type: "text", kind: "string" } as const);

function change(
  table: string,
  op: Change["op"],
  after: readonly Value[],
  schema: string | null = null,
): Change {
  return {
    op,
    before: null,
    after,
    position: "",
    coordinates: {},
    total_order: 1,
    ts_ms: 0,
    source: { connector: "mysql", name: "orders", version: "0" },
    table: {
      id: "",
      db: "shop",
      schema,
      table,
      key: [0],
      columns: [column("data"), column("id"), column("type")],
    },
    transaction: { id: "1", ts_us: 0 },
  };
}

Deno.test("signals are taken out of the changes, and those with sense are followed", () => {
  const { type, data } = executeSignal(["shop.a", "shop.b"]);
  const range = { from: ["7", "a"] };
  const filtered = '{"data-collections": ["a"], "additional-conditions": [{"filter": "1 = 1"}]}';
  const inexact =
    '{"data-collections": ["a"], "ranges": [{"data-collection": "a", "from": [9007199254740993]}]}';
  const stray = '{"data-collections": ["a"], "ranges": [{"data-collection": "b", "from": [1]}]}';
  const other = change("list", "c", ["", "1", ""]);
  const changes = [
    change("signal", "c", [data, "1", type]),
    other,
    change("signal", "d", [data, "1", type]),
    change("signal", "c", [data, "2", "stop-snapshot"]),
    change("signal", "c", ["{", "3", type]),
    change("signal", "c", [null, "4", type]),
    change("signal", "c", ["null", "5", type]),
    change("signal", "c", ['{"data-collections": [1]}', "6", type]),
    change("signal", "c", [filtered, "7", type]),
    change("signal", "c", [executeSignal(["shop.a"], range).data, "8", type]),
    change("signal", "c", ['{"data-collections": ["a"], "type": "blocking"}', "9", type]),
    change("signal", "c", [inexact, "10", type]),
    change("signal", "c", [stray, "11", type]),
  ];
  const asked: unknown[] = [];
  const refused: unknown[] = [];
  const error = (_: string, fields?: Record<string, unknown>) => void refused.push(fields!["id"]);
  const log = { debug() {}, info() {}, warn() {}, error };
  const requests = { add: (...request: unknown[]) => void asked.push(request) };
  assert.deepStrictEqual(takeSignals(changes, "shop.signal", requests, log), [other]);
  assert.deepStrictEqual(asked, [["shop.a", undefined], ["shop.b", undefined], ["shop.a", range]]);
  assert.deepStrictEqual(refused, ["2", "3", "4", "5", "6", "7", "9", "10", "11"]);
});

Deno.test("the signal table is named by its schema, else by its database; without one nothing is taken out", () => {
  const { type, data } = executeSignal(["public.a"]);
  const changes = [
    change("signal", "c", [data, "1", type]),
    change("signal", "c", [data, "2", type], "public"),
  ];
  const left = (signal_table?: string) => takeSignals(changes, signal_table, { add() {} }, SILENT);
  assert.deepStrictEqual(left("shop.signal"), [changes[1]]);
  assert.deepStrictEqual(left("public.signal"), [changes[0]]);
  assert.equal(left(undefined), changes);
  assert.equal(left("shop.other"), changes);
});

Deno.test("a chunk is put after all that a topic held at the start, or not yet", () => {
  const prefixes = [
    "00000001-0000000000000005-0000000000000001-",
    "00000001-0000000000000005-0000000000000002-",
  ];
  const held = (text: string) => firstBehind(text, prefixes);
  assert.equal(held(""), prefixes[0]);
  assert.equal(held("00000001-0000000000000004-ffffffffffffffff-00000009"), prefixes[0]);
  assert.equal(held("00000001-0000000000000005-0000000000000001-00000000"), prefixes[1]);
  assert.equal(held("00000001-0000000000000005-0000000000000002-00000007"), undefined);
  assert.equal(held("00000001-0000000000000006-0000000000000000-00000000"), undefined);
});

/** Reads a chunk of table `shop.a`, which `open` refuses, with `shop.b` after it. */
async function refusedChunk(
  error: Error,
): Promise<{ told: unknown[]; resumes: unknown[]; waiting: unknown }> {
  const told: unknown[] = [];
  const requests = new Incremental(undefined, {
    source: { connector: "mysql", name: "orders", version: "0" },
    now: () => 0,
    batch_changes: 1,
    batch_bytes: 1,
    open: () => Promise.reject(error),
    log: { ...SILENT, error: (event, fields) => void told.push([event, fields?.["table"]]) },
  });
  for (const table of ["shop.a", "shop.b"]) requests.add(table);
  const waiting = () =>
    JSON.parse(String(requests.with({})["incremental"] ?? "[]"))
      .map(({ table }: { table: string }) => table);
  const resumes: unknown[] = [];
  const boundary = { prefix: "", resume: { file: "f" }, coordinates: () => ({}) };
  try {
    for await (const { resume } of requests.chunk(boundary, new AbortController().signal)) {
      resumes.push(resume["file"], waiting());
    }
  } catch (thrown) {
    assert.equal(thrown, error);
  }
  return { told, resumes, waiting: waiting() };
}

Deno.test("a table that cannot be read is refused and no longer asked for; a refused connection keeps the request", async () => {
  assert.deepEqual(await refusedChunk(new UnreadableTableError("no GTIDs")), {
    told: [["incremental_snapshot_refused", "shop.a"]],
    resumes: ["f", ["shop.b"]],
    waiting: ["shop.b"],
  });
  assert.deepEqual(await refusedChunk(new ConfigError("access denied")), {
    told: [],
    resumes: [],
    waiting: ["shop.a", "shop.b"],
  });
});

Deno.test("a chunk that is being opened when the capture stops or its server is lost ends at once, and is closed when it opens", async () => {
  const opened = Promise.withResolvers<never>();
  const over = new AbortController();
  const incremental = new Incremental(undefined, {
    source: { connector: "mysql", name: "orders", version: "0" },
    open: () => opened.promise,
    batch_changes: 1,
    batch_bytes: 1,
    log: SILENT,
    now: Date.now,
  });
  incremental.add("shop.a");
  const boundary = { prefix: "", resume: {}, coordinates: () => ({}) };
  const next = incremental.chunk(boundary as never, over.signal).next();
  over.abort();
  assert.deepStrictEqual(await next, { done: true, value: false });
  assert.ok(incremental.active, "it is read later");
  let closed = 0;
  opened.resolve({ close: () => Promise.resolve(void closed++) } as never);
  await new Promise((resolve) => setTimeout(resolve));
  assert.equal(closed, 1);
});
