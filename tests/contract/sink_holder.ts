/**
 * A process that holds partition 0 of a CSV sink until it is killed: `sink_holder.ts FOLDER` writes
 * one change with a flush and one without, `sink_holder.ts FOLDER TOPIC TOPIC_ID` writes nothing.
 */
import { at, change, csvSink, never, partition, standing } from "../unit/sinks/fixtures.ts";

const [folder, topic, topic_id] = Deno.args;
const sink = csvSink(folder!);
if (topic !== undefined) {
  await sink.open({ topic, topic_id: topic_id!, partition: 0 }, never);
} else {
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
}
console.log("held");
setInterval(() => {}, 1000);
