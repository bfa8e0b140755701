/** A process that opens partition 0 of a CSV sink, writes without a flush, and holds on until killed. */
import { at, change, csvSink, never, partition, standing } from "../unit/sinks/fixtures.ts";

const sink = csvSink(Deno.args[0]!);
await sink.open(partition, never);
await sink.write(at, {
  changes: [change(1, "c", { after: [1, "news", "a"] })],
  standing: standing(1),
});
await sink.flush(at);
await sink.write(at, {
  changes: [change(2, "c", { after: [2, "news", "b".repeat(300_000)] })],
  standing: standing(2),
});
console.log("held");
setInterval(() => {}, 1000);
