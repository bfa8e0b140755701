/** A cluster one of whose brokers is cut off from the others, and answers clients as it knew it last. */
import { Buffer } from "node:buffer";
import assert from "node:assert/strict";
import { openKafka } from "../../../shared/kafka/mod.ts";
import { kafkaOptions, produceOptions } from "../../../shared/kafka/options.ts";
import {
  boolean,
  type Field,
  int16,
  int32,
  int64,
  list,
  long,
  MessageWriter,
  struct,
  text,
  textOrNull,
  uuid,
} from "../../../shared/wire/kafka_message.ts";
import { SILENT } from "../../silent.ts";
import { answerOf, Peer } from "./peer.ts";

// Answers as the protocol guide has them: what clients read, brokers write.
const BROKERS = list(struct({ node_id: int32, host: text, port: int32, rack: textOrNull }));
const METADATA = struct({
  throttle_time_ms: int32,
  brokers: BROKERS,
  cluster_id: textOrNull,
  controller_id: int32,
  topics: list(struct({
    error_code: int16,
    name: textOrNull,
    topic_id: uuid,
    is_internal: boolean,
    partitions: list(struct({
      error_code: int16,
      partition_index: int32,
      leader_id: int32,
      leader_epoch: int32,
      replica_nodes: list(int32),
      isr_nodes: list(int32),
      offline_replicas: list(int32),
    })),
    topic_authorized_operations: int32,
  })),
});
const COORDINATOR = struct({
  throttle_time_ms: int32,
  error_code: int16,
  error_message: textOrNull,
  node_id: int32,
  host: text,
  port: int32,
});
const INIT = struct({
  throttle_time_ms: int32,
  error_code: int16,
  producer_id: int64,
  producer_epoch: int16,
});
const PRODUCE = struct({
  responses: list(struct({
    name: text,
    partitions: list(struct({
      index: int32,
      error_code: int16,
      base_offset: long,
      log_append_time_ms: long,
      log_start_offset: long,
      record_errors: list(struct({ batch_index: int32, message: textOrNull })),
      error_message: textOrNull,
    })),
  })),
  throttle_time_ms: int32,
});
const KEYS = { produce: 0, metadata: 3, find_coordinator: 10, init_producer_id: 22 };
const NOT_COORDINATOR = 16;
const REQUEST_TIMED_OUT = 7;

/** Three brokers: the first leads, or so it believes; the second does. */
class Split implements AsyncDisposable {
  readonly peers: readonly Peer[];
  readonly #ports: number[] = [];

  constructor() {
    this.peers = [1, 2, 3].map((id) =>
      new Peer(({ key, correlation }, socket) => {
        const body = this.#answer(id, key);
        if (body !== undefined) socket.write(answerOf(correlation, body));
      })
    );
  }

  /** Addresses, that of the broker that is cut off first. */
  async addresses(): Promise<string[]> {
    const addresses = await Promise.all(this.peers.map((peer) => peer.address()));
    this.#ports.push(...addresses.map((address) => Number(address.split(":")[1])));
    return addresses;
  }

  #answer(id: number, key: number): Buffer | undefined {
    const throttle_time_ms = 0;
    const isCutOff = id === 1;
    const error_message = null;
    switch (key) {
      case KEYS.metadata: {
        const brokers = this.#ports.map((port, at) => ({
          node_id: at + 1,
          host: "127.0.0.1",
          port,
          rack: null,
        }));
        const partition = {
          error_code: 0,
          partition_index: 0,
          offline_replicas: [],
          leader_id: isCutOff ? 1 : 2,
          leader_epoch: isCutOff ? 5 : 6,
          replica_nodes: [1, 2, 3],
          isr_nodes: isCutOff ? [1, 2, 3] : [2, 3],
        };
        const topic = {
          error_code: 0,
          name: "t",
          topic_id: "00000000-0000-0000-0000-000000000001",
          is_internal: false,
          partitions: [partition],
          topic_authorized_operations: 0,
        };
        const answer = { throttle_time_ms, brokers, cluster_id: "c", controller_id: 2 };
        return encoded(METADATA, { ...answer, topics: [topic] });
      }
      case KEYS.find_coordinator: {
        const node_id = isCutOff ? 1 : 2;
        const found = { node_id, host: "127.0.0.1", port: this.#ports[node_id - 1]! };
        return encoded(COORDINATOR, { throttle_time_ms, error_code: 0, error_message, ...found });
      }
      case KEYS.init_producer_id: {
        const error_code = isCutOff ? NOT_COORDINATOR : 0;
        const answer = { throttle_time_ms, error_code, producer_id: 1n, producer_epoch: 0 };
        return encoded(INIT, answer);
      }
      case KEYS.produce: {
        const written = {
          index: 0,
          error_code: isCutOff ? REQUEST_TIMED_OUT : 0,
          base_offset: 0,
          log_append_time_ms: -1,
          log_start_offset: 0,
          record_errors: [],
          error_message,
        };
        const responses = [{ name: "t", partitions: [written] }];
        return encoded(PRODUCE, { responses, throttle_time_ms });
      }
      default:
        return undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.peers) await peer[Symbol.asyncDispose]();
  }
}

function encoded<Value>(field: Field<Value>, value: Value): Buffer {
  const writer = new MessageWriter();
  field.write(writer, value);
  return Buffer.concat(writer.pieces);
}

Deno.test("a broker that is cut off from its cluster and asked first keeps nobody from writing", async () => {
  await using split = new Split();
  const brokers = await split.addresses();
  const options = { ...kafkaOptions.parse({ brokers }), ...produceOptions.parse({}) };
  const kafka = await openKafka(options, SILENT);
  const producer = await kafka.producer({
    transactional_id: "x",
    fence: { partitions: [], ids: [] },
  });
  try {
    const records = [{ key: "k", value: "v", timestamp_ms: 1 }];
    const sent = producer.send([{ topic: "t", partition: 0, records }]);
    const late = new Promise((_, reject) =>
      setTimeout(() => {
        const asked = split.peers.map(({ came }) => came.map(({ key }) => key).join(" "));
        reject(new Error(`not acknowledged; asked, by broker: ${asked.join(" | ")}`));
      }, 20_000)
    );
    await Promise.race([sent, late]);
    const written = split.peers.map(({ came }) => came.filter(({ key }) => key === KEYS.produce));
    assert.equal(written[1]!.length, 1, "the leader took the record once");
  } finally {
    await producer.close();
  }
});
