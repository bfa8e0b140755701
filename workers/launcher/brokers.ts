/** Worker: prints, as a JSON list, the addresses that the bootstrap brokers of a job advertise. */
import { ConfigError, describe } from "../../shared/errors.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import type { KafkaOptions } from "../../shared/kafka/options.ts";
import { createLog } from "../../shared/observe/log.ts";
import { EXIT_CONFIG, EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { readJob } from "../runtime/environment.ts";

/** A launcher that waits longer says nothing: the worker waits for the brokers, and logs it. */
const RETRY_TIMEOUT_MS = 5_000;

await run(async () => {
  const { job, secrets } = readJob(Deno.args[0]!);
  const { kafka } = job as { kafka: KafkaOptions };
  const log = createLog({ job: job.name, level: "error", write() {}, now: Date.now, secrets });
  try {
    const admin =
      await (await openKafka({ ...kafka, retry_timeout_ms: RETRY_TIMEOUT_MS }, "consume", log))
        .admin();
    console.log(JSON.stringify(await admin.brokers()));
    await admin.close();
    return EXIT_DONE;
  } catch (error) {
    console.error(describe(error));
    return error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILED;
  }
});
