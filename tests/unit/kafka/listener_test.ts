/** What a person is told of a broker that hangs up or answers nonsense when it is first spoken to. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { ConfigError, RetryableError } from "../../../shared/errors.ts";
import { openKafka } from "../../../shared/kafka/mod.ts";
import { kafkaOptions } from "../../../shared/kafka/options.ts";
import * as requests from "../../../shared/kafka/requests.ts";
import { apiVersions, metadata, saslHandshake } from "../../../shared/kafka/requests.ts";
import { answerOf, Peer, PLAIN } from "./peer.ts";
import { SILENT } from "../../silent.ts";

type Range = readonly [key: number, min: number, max: number];

/** Every request in the version that is needed, but for `other`. */
function ranges(...other: Range[]): Range[] {
  const needed = Object.values<unknown>(requests)
    .filter((one): one is typeof metadata =>
      typeof one === "object" && one !== null && "key" in one
    )
    .map(({ key, version }): Range => [key, 0, version]);
  return [...other, ...needed];
}

function versionsAnswer(known: readonly Range[]): Buffer {
  const body = Buffer.alloc(6 + known.length * 6);
  body.writeInt32BE(known.length, 2);
  known.forEach((range, index) =>
    range.forEach((number, at) => body.writeInt16BE(number, 6 + index * 6 + at * 2))
  );
  return body;
}

function handshakeAnswer(code: number, ...mechanisms: string[]): Buffer {
  const head = Buffer.alloc(6);
  head.writeInt16BE(code, 0);
  head.writeInt32BE(mechanisms.length, 2);
  const names = mechanisms.map((name) =>
    Buffer.from(`\0${String.fromCharCode(name.length)}${name}`)
  );
  return Buffer.concat([head, ...names]);
}

const ILLEGAL_SASL_STATE = 34;
const NO_LOGINS = handshakeAnswer(ILLEGAL_SASL_STATE);

/** Hangs up on whatever is not asked to look at the listener, as brokers do. */
function closing(versions: Buffer, handshake: Buffer): Peer {
  return new Peer(({ key, correlation }, socket) => {
    if (key === apiVersions.key) socket.write(answerOf(correlation, versions, PLAIN));
    else if (key === saslHandshake.key) socket.write(answerOf(correlation, handshake, PLAIN));
    else socket.destroy();
  });
}

async function failure(peer: Peer, more: Record<string, unknown> = {}): Promise<Error> {
  const options = kafkaOptions.parse({
    brokers: [await peer.address()],
    request_timeout_ms: 1_000,
    ...more,
  });
  const kafka = await openKafka(options, SILENT);
  const error = await kafka.admin().then((admin) => admin.close(), (error) => error);
  assert.ok(error instanceof Error, "a broker that hangs up was taken for one");
  return error;
}

const sasl = { mechanism: "scram-sha-512", username: "u", password: "secret" };

for (
  const [what, peer, more, kind, message] of [
    [
      "is too old",
      () => closing(versionsAnswer(ranges([metadata.key, 0, 9])), NO_LOGINS),
      {},
      ConfigError,
      /is too old: it knows Metadata in versions 0 to 9, and version 12 is needed/,
    ],
    [
      "does not know a request at all",
      () => closing(versionsAnswer([]), NO_LOGINS),
      {},
      ConfigError,
      /is too old: it does not know \w+/,
    ],
    [
      "demands a login",
      () => closing(versionsAnswer(ranges()), handshakeAnswer(33, "PLAIN")),
      {},
      ConfigError,
      /demands a login \(PLAIN\), and kafka\.sasl is missing/,
    ],
    [
      "has no logins",
      () => closing(versionsAnswer(ranges()), NO_LOGINS),
      { sasl },
      ConfigError,
      /has no logins on this port/,
    ],
    [
      "hangs up all the same",
      () => closing(versionsAnswer(ranges()), NO_LOGINS),
      {},
      RetryableError,
      /Cannot reach the Kafka broker at .*: Connection closed/,
    ],
    [
      "answers nonsense",
      () =>
        new Peer(({ correlation }, socket) => socket.write(answerOf(correlation, Buffer.alloc(3)))),
      {},
      ConfigError,
      /The answer of .* to Metadata, version 12, cannot be read/,
    ],
    [
      "lies about what follows in its answer to a look",
      () => closing(versionsAnswer(ranges()).subarray(0, 20), NO_LOGINS),
      {},
      RetryableError,
      /Cannot reach the Kafka broker/,
    ],
  ] as const
) {
  Deno.test(`a broker that ${what} is told apart`, async () => {
    await using server = peer();
    const error = await failure(server, more);
    assert.match(error.message, message);
    assert.ok(error instanceof kind, `${error.name}: ${error.message}`);
    assert.doesNotMatch(error.message, /secret/);
  });
}
