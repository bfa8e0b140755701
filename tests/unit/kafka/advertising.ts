/** A broker without topics, for what it says about itself. */
import { Buffer } from "node:buffer";
import { apiVersions, metadata } from "../../../shared/kafka/requests.ts";
import {
  type Field,
  int16,
  int32,
  list,
  MessageWriter,
  plainList,
  plainStruct,
  plainText,
  plainTextOrNull,
  struct,
  text,
  textOrNull,
} from "../../../shared/wire/kafka_message.ts";
import { answerOf, Peer, PLAIN } from "./peer.ts";

/** What the library kafkajs is told: it asks in the latest version that both know. */
const OLD_METADATA = 1;

const known = plainStruct({
  error_code: int16,
  api_keys: plainList(plainStruct({ key: int16, min_version: int16, max_version: int16 })),
  throttle_time_ms: int32,
});
const oldMetadata = plainStruct({
  brokers: plainList(
    plainStruct({ node_id: int32, host: plainText, port: int32, rack: plainTextOrNull }),
  ),
  controller_id: int32,
  topics: plainList(int32),
});
const newMetadata = struct({
  throttle_time_ms: int32,
  brokers: list(struct({ node_id: int32, host: text, port: int32, rack: textOrNull })),
  cluster_id: textOrNull,
  controller_id: int32,
  topics: list(int32),
});

/** A broker whose listener is advertised as `host` and the port that it has; `port` of another. */
export function advertising(host: string, port?: number): Peer {
  return new Peer(({ key, version, correlation }, socket) => {
    const own = { node_id: 1, host, port: port ?? socket.localPort!, rack: null };
    const cluster = { brokers: [own], cluster_id: null, controller_id: 1, topics: [] };
    if (key === apiVersions.key) {
      const api_keys = [
        { key: apiVersions.key, min_version: 0, max_version: 2 },
        { key: metadata.key, min_version: 0, max_version: OLD_METADATA },
      ];
      const body = encoded(known, { error_code: 0, api_keys, throttle_time_ms: 0 });
      socket.write(answerOf(correlation, body, PLAIN));
    } else if (key === metadata.key && version === metadata.version) {
      const body = encoded(newMetadata, { throttle_time_ms: 0, ...cluster });
      socket.write(answerOf(correlation, body));
    } else if (key === metadata.key && version === OLD_METADATA) {
      socket.write(answerOf(correlation, encoded(oldMetadata, cluster), PLAIN));
    } else {
      socket.destroy();
    }
  });
}

function encoded<Value>(field: Field<Value>, value: Value): Buffer {
  const writer = new MessageWriter();
  field.write(writer, value);
  return Buffer.concat(writer.pieces);
}
