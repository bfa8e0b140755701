/** The versions of the peers, for the report. */
import kafkajs from "kafkajs/package.json" with { type: "json" };
import { DEBEZIUM_VERSION } from "./debezium.ts";
import { CONFLUENT_KAFKA_VERSION } from "./python.ts";

/** Version by name. */
export const peerVersions: Readonly<Record<string, string>> = {
  "Debezium": DEBEZIUM_VERSION,
  "confluent-kafka": CONFLUENT_KAFKA_VERSION,
  "kafkajs": kafkajs.version,
};
