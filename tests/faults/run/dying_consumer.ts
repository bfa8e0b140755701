/** The CSV consumer as the product starts it, but for a point of its work at which it dies (death.ts). */
import { formats } from "../../../shared/formats/mod.ts";
import { openKafka } from "../../../shared/kafka/mod.ts";
import type { Consumer, KafkaClient } from "../../../shared/kafka/port.ts";
import { runConsume } from "../../../shared/pipeline/consume.ts";
import { CsvSink } from "../../../shared/sinks/csv.ts";
import { type Disk, disk } from "../../../shared/sinks/csv/disk.ts";
import { PART } from "../../../shared/sinks/csv/filename.ts";
import type { Sink } from "../../../shared/sinks/sink.ts";
import { runWorker } from "../../../workers/runtime/worker.ts";
import { dieAt } from "./death.ts";

const dyingDisk: Disk = {
  ...disk,
  open(path, how) {
    const file = disk.open(path, how);
    if (!path.endsWith(PART)) return file;
    const sync = file.sync.bind(file);
    file.sync = async () => {
      await sync();
      dieAt("synced");
    };
    return file;
  },
  rename(from, to) {
    disk.rename(from, to);
    if (to.endsWith(".json")) dieAt("journal written");
  },
};

function dyingSink(sink: Sink): Sink {
  const write = sink.write.bind(sink);
  sink.write = async (at, batch) => {
    dieAt("read");
    await write(at, batch);
    dieAt("written");
  };
  return sink;
}

function dyingKafka(kafka: KafkaClient): KafkaClient {
  return {
    capabilities: kafka.capabilities,
    admin: () => kafka.admin(),
    producer: (options) => kafka.producer(options),
    consumer: async (options) => dyingConsumer(await kafka.consumer(options)),
  };
}

function dyingConsumer(consumer: Consumer): Consumer {
  const commit = consumer.commit.bind(consumer);
  consumer.commit = async (offsets) => {
    await commit(offsets);
    dieAt("committed");
  };
  return consumer;
}

await runWorker("consume-csv", async ({ job, log, metrics, health, signal, now }) => {
  if (job.sink === "none") throw new Error("There is nothing to die for without files");
  const { format } = await formats[job.format]();
  const { consumer_id } = job;
  const sink = new CsvSink(job.sink, { consumer_id, log, health, now }, dyingDisk);
  await runConsume(job, {
    kafka: dyingKafka(await openKafka(job.kafka, log)),
    sink: dyingSink(sink),
    format,
    log,
    metrics,
    health,
    signal,
    now,
  });
  return 0;
});
