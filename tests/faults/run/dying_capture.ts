/** The capture worker as the product starts it, but for a point of its work at which it dies (death.ts). */
import { openKafka } from "../../../shared/kafka/mod.ts";
import type { KafkaClient, Producer } from "../../../shared/kafka/port.ts";
import { capture } from "../../../shared/pipeline/capture.ts";
import { POSITIONS_TOPIC } from "../../../shared/pipeline/positions.ts";
import type { Source } from "../../../shared/sources/source.ts";
import type { CaptureKind } from "../../../workers/jobs.ts";
import { sourceMaker } from "../../../workers/runtime/sources.ts";
import { runWorker } from "../../../workers/runtime/worker.ts";
import { dieAt, dieSoonAfter } from "./death.ts";

/** Topics of list-sync itself begin so; the others hold changes. */
const OWN = "list-sync.";

function dyingKafka(kafka: KafkaClient): KafkaClient {
  return {
    capabilities: kafka.capabilities,
    admin: () => kafka.admin(),
    consumer: (options) => kafka.consumer(options),
    producer: async (options) => dyingProducer(await kafka.producer(options)),
  };
}

function dyingProducer(producer: Producer): Producer {
  return {
    async send(batches) {
      const hasChanges = batches.some(({ topic }) => !topic.startsWith(OWN));
      if (hasChanges) dieAt("read");
      const sending = producer.send(batches);
      if (hasChanges) dieSoonAfter("sent");
      const acknowledged = await sending;
      if (hasChanges) dieAt("acknowledged");
      if (batches.some(({ topic }) => topic === POSITIONS_TOPIC)) dieAt("stored");
      return acknowledged;
    },
    prepare: (batches) => producer.prepare(batches),
    keepFence: () => producer.keepFence(),
    close: () => producer.close(),
  };
}

function dyingSource(source: Source): Source {
  const confirm = source.confirm.bind(source);
  source.confirm = (resume) => {
    confirm(resume);
    dieSoonAfter("confirmed");
  };
  return source;
}

const kind = JSON.parse(Deno.readTextFileSync(Deno.args.at(-1)!)).job as CaptureKind;

await runWorker(kind, async ({ job, log, metrics, signal, now, version }) => {
  const source = await sourceMaker(kind, job, { log, now });
  await capture(job, {
    source: () => dyingSource(source()),
    kafka: dyingKafka(await openKafka(job.kafka, log)),
    version,
    log,
    metrics,
    signal,
    now,
    ready: () => {},
  });
  return 0;
});
