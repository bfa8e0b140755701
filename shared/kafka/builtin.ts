/** The client that speaks to brokers itself, in just the requests that list-sync needs. */
import type { Log } from "../observe/log.ts";
import { type ClientOptions, type Settings, settings } from "./options.ts";
import { BuiltinAdmin } from "./builtin/admin.ts";
import { Cluster } from "./builtin/cluster.ts";
import { BuiltinConsumer } from "./builtin/consumer.ts";
import { BuiltinProducer } from "./builtin/producer.ts";
import type {
  Admin,
  Capabilities,
  Consumer,
  ConsumerOptions,
  KafkaClient,
  Producer,
  ProducerOptions,
} from "./port.ts";

/** Opens admins, producers and consumers, each with connections of its own. */
export class BuiltinClient implements KafkaClient {
  readonly capabilities: Capabilities = { fences: true, fair_fetches: true };
  readonly #settings: Settings;
  readonly #log: Log;

  constructor(options: ClientOptions, log: Log) {
    this.#settings = settings(options);
    this.#log = log;
  }

  async admin(): Promise<Admin> {
    return new BuiltinAdmin(await Cluster.open(this.#settings, this.#log));
  }

  async producer(options: ProducerOptions): Promise<Producer> {
    const cluster = await Cluster.open(this.#settings, this.#log);
    try {
      return await BuiltinProducer.open(cluster, options);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async consumer(options: ConsumerOptions): Promise<Consumer> {
    const cluster = await Cluster.open(this.#settings, this.#log);
    const consumer = new BuiltinConsumer(cluster, options);
    consumer.start();
    return consumer;
  }
}

/** Opens the client; connections are made by what it opens. */
export function open(options: ClientOptions, log: Log): KafkaClient {
  return new BuiltinClient(options, log);
}
