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
 * The client for each direction when the job names none, by 300,000 changes of about 500 B JSON on a
 * machine with 2 cores that three brokers share (replication factor 3, acks=all, lz4; medians of three
 * rounds), records a second and peak memory (VmHWM). `deno task bench --only
 * produce-kafkajs,consume-kafkajs` measures it again, without keys and without parsing:
 *
 *                             platformatic       kafkajs
 *     produce                 96 k, 267 MB       53 k, 373 MB
 *     consume + JSON.parse    262 k, 171 MB      124 k, 342 MB
 *     consume alone           999 k, 154 MB      210 k, 359 MB
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
