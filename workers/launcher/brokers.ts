/** Worker: answers which addresses the bootstrap brokers of a job advertise. */
import { ConfigError, describe } from "../../shared/errors.ts";
import { Cluster } from "../../shared/kafka/builtin/cluster.ts";
import { type ClientOptions, settings } from "../../shared/kafka/options.ts";
import { createLog, type Log } from "../../shared/observe/log.ts";
import { host } from "../cli/host.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { readJob } from "../runtime/environment.ts";
import type { BrokersAnswer } from "./grants.ts";

await run(async () => {
  const { job, secrets } = readJob(host().args[0]!);
  const { kafka } = job as { kafka: ClientOptions };
  const log = createLog({ job: job.name, level: "error", write() {}, now: Date.now, secrets });
  host().answer(JSON.stringify(await ask(kafka, log)));
  return EXIT_DONE;
});

/** One question, to those that the job lists: what they advertise may not be connected to from here. */
async function ask(kafka: ClientOptions, log: Log): Promise<BrokersAnswer> {
  try {
    const cluster = await Cluster.open(settings(kafka), log);
    const { addresses } = cluster;
    await cluster.close();
    return { addresses };
  } catch (error) {
    return { error: describe(error), refused: error instanceof ConfigError };
  }
}
