/** The client libraries, and which one is used for what. */
import type { Log } from "../observe/log.ts";
import type { ClientOptions } from "./options.ts";
import type { KafkaClient } from "./port.ts";

/** Every client by its name in a job's `kafka.client`. */
export const clients = {
  kafkajs: () => import("./kafkajs.ts"),
  platformatic: () => import("./platformatic.ts"),
} as const;

/** What a job mostly does with Kafka. */
export type Direction = "produce" | "consume";

/**
 * The client for each direction when the job names none. Measured against each other on one
 * machine: 2 cores, shared with three brokers and other work, replication factor 3, acks=all,
 * lz4, rows of about 500 B JSON, fetches of 1 MiB; records a second and peak memory (VmHWM). Taken
 * once with a script that is not kept: compare the columns, do not quote them.
 *
 *                             platformatic       kafkajs
 *     produce                 86 k, 260 MB       34 k, 280 MB
 *     consume + JSON.parse    231–383 k, 290 MB  61–90 k, 600 MB
 *     consume alone           940–1,070 k        150–410 k
 *     library loaded, idle    98 MB              68 MB
 *
 * kafkajs decodes everything that a fetch brought at once; the other hands over a megabyte at a time.
 */
export const defaultClients: Readonly<Record<Direction, keyof typeof clients>> = {
  produce: "platformatic",
  consume: "platformatic",
};

/**
 * The client that the job names, else the default of the direction. Loads only that library.
 * Nothing is connected before an admin, a producer or a consumer is opened.
 */
export async function openKafka(
  options: ClientOptions,
  direction: Direction,
  log: Log,
): Promise<KafkaClient> {
  const { open } = await clients[options.client ?? defaultClients[direction]]();
  return open(options, log);
}
