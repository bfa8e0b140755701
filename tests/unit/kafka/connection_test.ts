import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BrokerConnection, type ConnectionSettings } from "../../../shared/kafka/connection.ts";
import type { Request } from "../../../shared/kafka/requests.ts";
import { MalformedMessageError } from "../../../shared/wire/kafka_message.ts";
import { until } from "../../until.ts";
import { answerOf, type Came, Peer, PLAIN } from "./peer.ts";

const SETTINGS: ConnectionSettings = {
  client_id: "tester",
  connect_timeout_ms: 5_000,
  answer_timeout_ms: 5_000,
  tls: undefined,
  sasl: undefined,
};

/** A request whose body is a text, answered by a text. */
const echoRequest: Request<string, string> = {
  name: "Echo",
  key: 7,
  version: 3,
  flexible: true,
  encode: (text) => [Buffer.from(text)],
  decode: (body) => body.toString(),
};

async function connect(
  peer: Peer,
  changes: Partial<ConnectionSettings> = {},
  retired = () => {},
): Promise<BrokerConnection> {
  return new BrokerConnection(await peer.address(), { ...SETTINGS, ...changes }, retired);
}

const echo = (connection: BrokerConnection, text: string) => connection.ask(echoRequest, text);

/** A tagged field of two bytes, which nobody here knows. */
const ONE = new Uint8Array([1, 5, 2, 0xff, 0xff]);

/** The text after the tagged fields. */
const textOf = ({ body }: Came) => body.subarray(1);

Deno.test("a request has its header and whole body, large pieces too, and the answer finds who asked", async () => {
  await using peer = new Peer((came, socket) =>
    socket.write(answerOf(came.correlation, textOf(came)))
  );
  const connection = await connect(peer);
  await connection.ready;
  const texts = ["a", "b".repeat(100_000), "ü"];
  assert.deepEqual(await Promise.all(texts.map((text) => echo(connection, text))), texts);
  const { key, version, client_id, body } = peer.came[0]!;
  assert.deepEqual({ key, version, client_id }, { key: 7, version: 3, client_id: "tester" });
  assert.equal(body[0], 0, "no tagged fields");
  connection.destroy();
});

Deno.test("tagged fields in the head of an answer are passed over", async () => {
  await using peer = new Peer((came, socket) =>
    socket.write(answerOf(came.correlation, textOf(came), ONE))
  );
  const connection = await connect(peer);
  await connection.ready;
  assert.equal(await echo(connection, "text"), "text");
  connection.destroy();
});

Deno.test("an answer that cannot be read fails who asked, and no other", async () => {
  await using peer = new Peer((came, socket) =>
    socket.write(answerOf(came.correlation, textOf(came), new Uint8Array([1, 5, 0x7f])))
  );
  const connection = await connect(peer);
  await connection.ready;
  await assert.rejects(echo(connection, "a"), MalformedMessageError);
  await assert.rejects(echo(connection, "b"), MalformedMessageError);
  connection.destroy();
});

Deno.test("answers are put together from any pieces, and several come in one", async () => {
  const held: Came[] = [];
  await using peer = new Peer(async (came, socket) => {
    held.push(came);
    if (held.length < 3) return;
    const all = Buffer.concat(held.map((one) => answerOf(one.correlation, textOf(one))));
    socket.setNoDelay(true);
    for (const [from, to] of [[0, 2], [2, 5], [5, 31], [31, all.length]] as const) {
      socket.write(all.subarray(from, to));
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
  const connection = await connect(peer);
  await connection.ready;
  const texts = ["first of three", "x".repeat(200_000), "last"];
  assert.deepEqual(await Promise.all(texts.map((text) => echo(connection, text))), texts);
  connection.destroy();
});

for (
  const [what, bytes, message] of [
    ["TLS", Buffer.from([0x15, 3, 3, 0, 2, 2, 40]), /requires TLS/],
    [
      "a web server's page",
      Buffer.from("HTTP/1.1 400 Bad Request"),
      /answer announces 1213486160 bytes/,
    ],
    ["too few bytes", Buffer.from([0, 0, 0, 1, 0]), /answer announces 1 bytes/],
    [
      "an answer to nothing",
      answerOf(99, Buffer.from("?")),
      /Answer 99 matches no request that was sent/,
    ],
  ] as const
) {
  Deno.test(`${what} in the place of an answer ends the connection with the reason`, async () => {
    await using peer = new Peer((_, socket) => socket.write(bytes));
    let retired = 0;
    const connection = await connect(peer, {}, () => retired++);
    await connection.ready;
    await assert.rejects(echo(connection, "a"), message);
    await assert.rejects(echo(connection, "b"), message);
    assert.equal(retired, 1);
  });
}

Deno.test("an answer that never comes ends the connection after its time, with all that wait", async () => {
  await using peer = new Peer(() => {});
  const connection = await connect(peer, { answer_timeout_ms: 50 });
  await connection.ready;
  const both = await Promise.allSettled([echo(connection, "a"), echo(connection, "b")]);
  for (const one of both) {
    assert.equal(one.status, "rejected");
    assert.match(
      String((one as PromiseRejectedResult).reason),
      /Echo was not answered within 50 ms/,
    );
  }
});

Deno.test("a server that hangs up fails what waits, and what is asked later", async () => {
  await using peer = new Peer((_, socket) => socket.destroy());
  const connection = await connect(peer);
  await connection.ready;
  await assert.rejects(echo(connection, "a"), /Connection (closed|to .* failed)/);
  await assert.rejects(echo(connection, "b"), /Connection (closed|to .* failed)/);
});

Deno.test("a login that ends soon: what was asked is answered, then the connection ends and another is told to follow", async () => {
  const SASL_HANDSHAKE = 17;
  const LIFETIME_MS = 1_000n;
  let answerLate: (() => void) | undefined;
  await using peer = new Peer(({ key, correlation, body }, socket) => {
    if (key === 7) {
      answerLate = () => void socket.write(answerOf(correlation, body.subarray(1)));
    } else if (key === SASL_HANDSHAKE) {
      const told = Buffer.from("\0\0\0\0\0\x01\0\x05PLAIN", "latin1");
      socket.write(answerOf(correlation, told, PLAIN));
    } else {
      const told = Buffer.alloc(2 + 2 + 4 + 8);
      told.writeInt16BE(-1, 2); // no message
      told.writeBigInt64BE(LIFETIME_MS, 8); // after no bytes
      socket.write(answerOf(correlation, told, PLAIN));
    }
  });
  let retired = 0;
  const sasl = { mechanism: "plain", username: "u", password: "p" } as const;
  const connection = await connect(peer, { sasl }, () => retired++);
  await connection.ready;
  assert.equal(peer.came[1]!.body.subarray(4).toString(), "\0u\0p");
  const asked = echo(connection, "still here");
  const answer = await until("the end of the login to be told", () => retired > 0 && answerLate);
  answer();
  assert.equal(await asked, "still here");
  await assert.rejects(echo(connection, "too late"), /Connection closed/);
  assert.equal(retired, 1);
});
