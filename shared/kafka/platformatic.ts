/** The client on `@platformatic/kafka`: its connections and requests, with our own batches and group. */
import "./platformatic/lazy_schemas.ts"; // before all that imports the library
import type { Log } from "../observe/log.ts";
import { type ClientOptions, type Settings, settings } from "./options.ts";
import { PlatformaticAdmin } from "./platformatic/admin.ts";
import { Cluster } from "./platformatic/cluster.ts";
import { PlatformaticConsumer } from "./platformatic/consumer.ts";
import { PlatformaticProducer } from "./platformatic/producer.ts";
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
export class PlatformaticClient implements KafkaClient {
  readonly capabilities: Capabilities = { fences: true, fair_fetches: true };
  readonly #settings: Settings;
  readonly #log: Log;

  constructor(options: ClientOptions, log: Log) {
    this.#settings = settings(options);
    this.#log = log;
  }

  async admin(): Promise<Admin> {
    return new PlatformaticAdmin(await Cluster.open(this.#settings, this.#log));
  }

  async producer(options: ProducerOptions): Promise<Producer> {
    const cluster = await Cluster.open(this.#settings, this.#log);
    try {
      return await PlatformaticProducer.open(cluster, options);
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  async consumer(options: ConsumerOptions): Promise<Consumer> {
    const cluster = await Cluster.open(this.#settings, this.#log);
    const consumer = new PlatformaticConsumer(cluster, options);
    consumer.start();
    return consumer;
  }
}

/** Opens the client; connections are made by what it opens. */
export function open(options: ClientOptions, log: Log): KafkaClient {
  return new PlatformaticClient(options, log);
}
