/** The client on `kafkajs`: a library behind the port, without a way to fence. */
import type { Log } from "../observe/log.ts";
import { KafkajsAdmin } from "./kafkajs/admin.ts";
import { KafkajsConsumer } from "./kafkajs/consumer.ts";
import { KafkajsProducer } from "./kafkajs/producer.ts";
import { type ClientOptions, type Settings, settings } from "./options.ts";
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
export class KafkajsClient implements KafkaClient {
  /**
   * A killed process's last batch may come late: readers drop the repetition by its position. The
   * library asks for partitions in one order, and brokers send a large batch to the first alone.
   */
  readonly capabilities: Capabilities = { fences: false, fair_fetches: false };
  readonly #settings: Settings;
  readonly #log: Log;

  constructor(options: ClientOptions, log: Log) {
    this.#settings = settings(options);
    this.#log = log;
  }

  async admin(): Promise<Admin> {
    return await KafkajsAdmin.open(this.#settings, this.#log);
  }

  async producer({ tells_too_large = false }: ProducerOptions): Promise<Producer> {
    return await KafkajsProducer.open(this.#settings, this.#log, tells_too_large);
  }

  async consumer(options: ConsumerOptions): Promise<Consumer> {
    return await KafkajsConsumer.open(this.#settings, this.#log, options);
  }
}

/** Opens the client; connections are made by what it opens. */
export function open(options: ClientOptions, log: Log): KafkaClient {
  return new KafkajsClient(options, log);
}
