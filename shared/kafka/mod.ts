/** The clients, and which one is used for what. */
import type { Log } from "../observe/log.ts";
import type { ClientOptions } from "./options.ts";
import type { KafkaClient } from "./port.ts";

/** Every client by its name in a job's `kafka.client`. */
export const clients = {
  builtin: () => import("./builtin.ts"),
  kafkajs: () => import("./kafkajs.ts"),
} as const;

/** What a job mostly does with Kafka. */
export type Direction = "produce" | "consume";

/**
 * The client for each direction when the job names none: the faster one on less memory, as
 * `deno task bench --only produce-kafkajs,consume-kafkajs` measures.
 */
export const defaultClients: Readonly<Record<Direction, keyof typeof clients>> = {
  produce: "builtin",
  consume: "builtin",
};

/**
 * The client that the job names, else the default of the direction. Loads only that one.
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
