/** The clients. Adding one is a file and a line. */
import type { Log } from "../observe/log.ts";
import type { ClientOptions } from "./options.ts";
import type { KafkaClient } from "./port.ts";

/** Every client by its name in a job's `kafka.client`. */
export const clients = {
  builtin: () => import("./builtin.ts"),
  kafkajs: () => import("./kafkajs.ts"),
} as const;

/**
 * The client that the job names. Loads only that one. Nothing is connected before an admin, a producer
 * or a consumer is opened.
 */
export async function openKafka(options: ClientOptions, log: Log): Promise<KafkaClient> {
  const { open } = await clients[options.client]();
  return open(options, log);
}
