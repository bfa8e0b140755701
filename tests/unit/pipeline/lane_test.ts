import assert from "node:assert/strict";
import { format } from "../../../shared/formats/json.ts";
import { Lane } from "../../../shared/pipeline/lane.ts";
import type { SchemaReader } from "../../../shared/pipeline/schemas.ts";
import { NoneSink } from "../../../shared/sinks/none.ts";

/** A sink that says what is asked of it. */
class TellingSink extends NoneSink {
  readonly calls: string[] = [];

  override flush(...args: Parameters<NoneSink["flush"]>) {
    this.calls.push("flush");
    return super.flush(...args);
  }

  override release(...args: Parameters<NoneSink["release"]>) {
    this.calls.push("release");
    return super.release(...args);
  }
}

Deno.test("what waits behind a release leaves the sink alone", async () => {
  const sink = new TellingSink();
  const at = { topic: "orders", partition: 0 };
  const lane = new Lane(at, { sink, format, schemas: {} as SchemaReader, now: () => 0 });
  lane.begin(0, undefined);
  await lane.skipTo(5);
  await Promise.all([
    lane.exclusive(() => lane.flush()),
    lane.exclusive(() => lane.release()),
    lane.exclusive(() => lane.flush()),
    lane.exclusive(() => lane.release()),
  ]);
  assert.deepStrictEqual(sink.calls, ["flush", "release"]);
});
