import { equal, ok } from "node:assert/strict";
import { classify, describe } from "../../../shared/errors.ts";
import { LoginError } from "../../../shared/kafka/login.ts";
import { brokerFault, connectionFault } from "../../../shared/kafka/faults.ts";

const refusals: readonly (readonly [name: string, error: string, verdict: string])[] = [
  ["NOT_LEADER_OR_FOLLOWER", "RetryableError", "retry"],
  ["NOT_ENOUGH_REPLICAS", "RetryableError", "retry"],
  ["OUT_OF_ORDER_SEQUENCE_NUMBER", "SpentError", "retry"],
  ["INVALID_PRODUCER_ID_MAPPING", "SpentError", "retry"],
  ["INVALID_PRODUCER_EPOCH", "FencedError", "stop"],
  ["PRODUCER_FENCED", "FencedError", "stop"],
  ["MESSAGE_TOO_LARGE", "RecordError", "stop"],
  ["TOPIC_AUTHORIZATION_FAILED", "DeniedError", "stop"],
  ["SASL_AUTHENTICATION_FAILED", "ConfigError", "stop"],
  ["UNSUPPORTED_VERSION", "ConfigError", "stop"],
];

for (const [name, error, verdict] of refusals) {
  Deno.test(`a broker's ${name} is a ${error}: ${verdict}`, () => {
    const fault = brokerFault(name, "Writing to t/0");
    equal(fault.name, error);
    equal(classify(fault), verdict);
    ok(fault.message.startsWith(`Writing to t/0 was refused: ${name}`), fault.message);
  });
}

function failed(cause: Error): Error {
  return new Error("Connection to broker1:9092 failed.", { cause });
}

Deno.test("a refused connection is passing and names host and port", () => {
  const fault = connectionFault(failed(new Error("connect ECONNREFUSED")), "broker1:9092");
  equal(classify(fault), "retry");
  equal(fault.message, "Cannot reach the Kafka broker at broker1:9092: connect ECONNREFUSED");
});

Deno.test("a missing net permission names the address and the job's line", () => {
  const cause = new Error(
    'Requires net access to "broker2:9094", run again with the --allow-net flag',
  );
  const text = describe(connectionFault(failed(cause), "broker1:9092"));
  equal(connectionFault(failed(cause), "broker1:9092").name, "ConfigError");
  ok(text.includes("broker2:9094") && text.includes("kafka.brokers"), text);
});

Deno.test("a refused login and a wrong certificate are for a person to mend", () => {
  const login = new LoginError("Authentication failed: Invalid username or password");
  ok(/kafka\.sasl/.test(describe(connectionFault(failed(login), "b:1"))));
  const tls = Object.assign(new Error("self-signed certificate"), {
    code: "DEPTH_ZERO_SELF_SIGNED_CERT",
  });
  ok(/kafka\.tls/.test(describe(connectionFault(failed(tls), "b:1"))));
  for (const cause of [login, tls]) equal(classify(connectionFault(failed(cause), "b:1")), "stop");
});

Deno.test("a connection that breaks while it logs in or agrees on TLS is passing: the broker may be stopping", () => {
  const login = new LoginError("no answer", { cause: new Error("Connection closed") });
  const tls = new Error("TLS handshake failed. Please verify the broker supports TLS.", {
    cause: Object.assign(new Error("socket disconnected before"), { code: "ECONNRESET" }),
  });
  const kafkajs = new Error("SASL SCRAM SHA512 authentication failed: Closed connection");
  kafkajs.name = "KafkaJSSASLAuthenticationError";
  for (const cause of [login, tls, kafkajs]) {
    equal(classify(connectionFault(failed(cause), "b:1")), "retry", cause.message);
  }
});
