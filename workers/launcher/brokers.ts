/** Worker: answers which addresses the bootstrap brokers of a job advertise. */
import { ConfigError, describe } from "../../shared/errors.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import type { KafkaOptions } from "../../shared/kafka/options.ts";
import { createLog, type Log } from "../../shared/observe/log.ts";
import { host } from "../cli/host.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { readJob } from "../runtime/environment.ts";
import type { BrokersAnswer } from "./grants.ts";

/** A launcher that waits longer says nothing: the worker waits for the brokers, and logs it. */
const RETRY_TIMEOUT_MS = 5_000;

await run(async () => {
  const { job, secrets } = readJob(host().args[0]!);
  const { kafka } = job as { kafka: KafkaOptions };
  const log = createLog({ job: job.name, level: "error", write() {}, now: Date.now, secrets });
  host().answer(JSON.stringify(await ask(kafka, log)));
  return EXIT_DONE;
});

async function ask(
  kafka: KafkaOptions,
  log: Log,
): Promise<BrokersAnswer> {
  try {
    const admin = await (await openKafka({ ...kafka, retry_timeout_ms: RETRY_TIMEOUT_MS }, log))
      .admin();
    const addresses = await admin.brokers();
    await admin.close();
    return { addresses };
  } catch (error) {
    return { error: describe(error), refused: error instanceof ConfigError };
  }
}
