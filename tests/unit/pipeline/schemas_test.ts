import assert from "node:assert/strict";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import type { Admin } from "../../../shared/kafka/port.ts";
import { schemaBatch, SchemaReader } from "../../../shared/pipeline/schemas.ts";
import { change, table } from "../sinks/fixtures.ts";

/** A topic of definitions as brokers show it, of tables with these names. */
function topicOf(names: readonly string[]): Admin {
  const records = PackedRecords.of(
    names.map((name) => schemaBatch(identity, { ...table, table: name }, 0).records.at(0)!),
  );
  return {
    topics: () => Promise.resolve([{}]),
    offsets: () => Promise.resolve([{ first: 0, end: names.length }]),
    async *read(_at: unknown, from: number, to: number) {
      const all = Array.from({ length: to - from }, (_, index) => records.at(from + index)!);
      if (all.length > 0) yield { records: all };
    },
  } as unknown as Admin;
}

const identity = change(0, "c", {}).source;

Deno.test("definitions of a topic that was made anew are all read, and those of the old one stay", async () => {
  let topic = topicOf(["a", "b", "c"]);
  const forward = new Proxy({} as Admin, {
    get: (_, name: keyof Admin) => topic[name],
  });
  const reader = new SchemaReader(forward);
  const tables = async () => {
    await reader.refresh();
    return reader.tables(`${identity.connector}/${identity.name}`).map(({ table }) => table).sort();
  };
  assert.deepEqual(await tables(), ["a", "b", "c"]);
  topic = topicOf(["d", "e"]);
  assert.deepEqual(await tables(), ["a", "b", "c", "d", "e"]);
});
