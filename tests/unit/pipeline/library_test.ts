import assert from "node:assert/strict";
import { letterRecord } from "../../../shared/pipeline/dead_letter.ts";
import { clock } from "../../../shared/pipeline/library.ts";
import { PackedRecords } from "../../../shared/wire/packed_records.ts";
import { RecordBatchWriter } from "../../../shared/wire/record_batch.ts";
import { TOPIC } from "../sinks/fixtures.ts";

Deno.test("a dead letter that is told the time by the library's clock can be written", () => {
  const letter = letterRecord({
    origin: { topic: TOPIC, topic_id: "id", partition: 0, offset: 7 },
    reason: "format",
    error: "no change",
    job: "g",
    group_id: "g",
    replays: 0,
    failed_ms: clock(),
    record: { key: null, value: new TextEncoder().encode("?"), timestamp_ms: 5, headers: [] },
  });
  const writer = new RecordBatchWriter({
    crc32c: () => 0,
    compression_id: 0,
    compress: (bytes) => bytes,
  });
  const { count } = writer.write(PackedRecords.of([letter]), 0, 1 << 20);
  assert.equal(count, 1);
});
