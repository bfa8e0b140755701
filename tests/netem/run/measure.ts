/** What a link really does: the time of a round trip, and bytes a second each way. */
import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { Admin, Producer, stringSerializers } from "@platformatic/kafka";
import { connectMysql } from "../../../shared/database/mysql.ts";
import { connectPostgres } from "../../../shared/database/postgres.ts";
import type { TestDatabase } from "../../databases.ts";

/** How often a round trip is measured; the median counts. */
const TIMES = 3;
const ADDRESS = "127.0.0.1";

/** Kafka's numbers of the requests used (https://kafka.apache.org/protocol). */
const FETCH = 1;
const API_VERSIONS = 18;

/** One answer: when it was whole, and how its bytes came, milliseconds after the request was sent. */
interface Answer {
  readonly last_ms: number;
  readonly bytes: number;
  /** From the first bytes of it to the last. */
  readonly transfer_ms: number;
}

/** A connection to a broker on which one request is asked after another. */
class BrokerConnection {
  readonly #connection: Deno.TcpConn;

  private constructor(connection: Deno.TcpConn) {
    this.#connection = connection;
  }

  static async open(port: number): Promise<BrokerConnection> {
    const connection = await Deno.connect({ hostname: ADDRESS, port });
    connection.setNoDelay(true);
    return new BrokerConnection(connection);
  }

  async ask(request: Uint8Array): Promise<Answer> {
    const began = performance.now();
    const size = Buffer.alloc(4);
    size.writeInt32BE(request.length);
    const all = Buffer.concat([size, request]);
    for (let at = 0; at < all.length;) at += await this.#connection.write(all.subarray(at));
    const buffer = new Uint8Array(1 << 16);
    let head = Buffer.alloc(0);
    let first_ms = 0;
    for (let bytes = 0;;) {
      const count = await this.#connection.read(buffer);
      if (count === null) throw new Error(`The broker hung up after ${bytes} bytes`);
      if (bytes === 0) first_ms = performance.now() - began;
      if (head.length < 4) head = Buffer.concat([head, buffer.subarray(0, count)]);
      bytes += count;
      if (head.length < 4 || bytes < 4 + head.readInt32BE(0)) continue;
      const last_ms = performance.now() - began;
      return { last_ms, bytes, transfer_ms: last_ms - first_ms };
    }
  }

  close(): void {
    this.#connection.close();
  }
}

/** A request for what the broker can do; `padding`: bytes of a field that it passes over. */
function versionsRequest(padding: number): Uint8Array {
  const header = Buffer.from([0, API_VERSIONS, 0, 3, 0, 0, 0, 1, 0xff, 0xff]);
  const name = Buffer.from("netem");
  const text = Buffer.concat([Buffer.from([name.length + 1]), name]);
  const field = Buffer.concat([Buffer.from([1, 99]), varint(padding), Buffer.alloc(padding)]);
  return Buffer.concat([header, field, text, text, Buffer.from([0])]);
}

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  for (; value >= 0x80; value >>>= 7) bytes.push(value & 0x7f | 0x80);
  return Uint8Array.from([...bytes, value]);
}

/** A request for what partition 0 of a topic holds, up to `bytes`. */
function fetchRequest(topic: string, bytes: number): Uint8Array {
  const int32 = (...values: number[]) => {
    const buffer = Buffer.alloc(4 * values.length);
    values.forEach((value, at) => buffer.writeInt32BE(value, 4 * at));
    return buffer;
  };
  const name = Buffer.from(topic);
  return Buffer.concat([
    Buffer.from([0, FETCH, 0, 4, 0, 0, 0, 1, 0xff, 0xff]),
    int32(-1, 500, 1, bytes), // no replica; wait, least and most bytes
    Buffer.from([0]), // what is not committed, too
    int32(1),
    Buffer.from([0, name.length]),
    name,
    int32(1, 0, 0, 0, bytes), // one partition: number 0 from offset 0, which has 8 bytes
  ]);
}

/** Milliseconds of a round trip to a broker's port. */
export async function brokerRoundTrip(port: number): Promise<number> {
  const connection = await BrokerConnection.open(port);
  try {
    return await median(async () => (await connection.ask(versionsRequest(0))).last_ms);
  } finally {
    connection.close();
  }
}

/** Milliseconds of a round trip to a database, whose port is `port`. */
export async function databaseRoundTrip(db: TestDatabase, port: number): Promise<number> {
  const options = { ...db.reader, port };
  const timed = async (work: () => Promise<unknown>) => {
    const began = performance.now();
    await work();
    return performance.now() - began;
  };
  if (options.kind === "postgresql") {
    const client = await connectPostgres(options, "netem-test");
    try {
      return await median(() => timed(() => client.query({ text: "SELECT 1" })));
    } finally {
      await client.end();
    }
  }
  const connection = await connectMysql(options);
  try {
    return await median(() => timed(() => connection.query("SELECT 1")));
  } finally {
    await connection.end();
  }
}

async function median(measure: () => Promise<number>): Promise<number> {
  const found: number[] = [];
  for (let time = 0; time < TIMES; time++) found.push(await measure());
  return found.sort((a, b) => a - b)[Math.floor(TIMES / 2)]!;
}

/** Bits a second to a broker, of a request of so many bytes; `round_trip_ms` is taken off. */
export async function rateTo(port: number, bytes: number, round_trip_ms: number): Promise<number> {
  const connection = await BrokerConnection.open(port);
  try {
    const { last_ms } = await connection.ask(versionsRequest(bytes));
    return bytes * 8 / ((last_ms - round_trip_ms) / 1000);
  } finally {
    connection.close();
  }
}

/** Bits a second from a broker: of records of so many bytes, which are written past the link first. */
export async function rateFrom(
  brokers: string[],
  port: (leader: number) => number,
  bytes: number,
): Promise<number> {
  const topic = `netem_${crypto.randomUUID().slice(0, 8)}`;
  const leader = await fill(brokers, topic, bytes);
  const connection = await BrokerConnection.open(port(leader));
  try {
    const answer = await connection.ask(fetchRequest(topic, 2 * bytes));
    if (answer.bytes < bytes) throw new Error(`Only ${answer.bytes} of ${bytes} bytes were there`);
    return answer.bytes * 8 / (answer.transfer_ms / 1000);
  } finally {
    connection.close();
  }
}

/** Makes a topic with records of so many random bytes in partition 0; answers its leader. */
async function fill(brokers: string[], topic: string, bytes: number): Promise<number> {
  const client = { clientId: "netem-test", bootstrapBrokers: brokers };
  const admin = new Admin(client);
  const producer = new Producer({ ...client, serializers: stringSerializers, retries: 20 });
  const half = randomBytes(bytes / 4).toString("hex"); // below the largest that a topic takes
  try {
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 1 });
    for (const value of [half, half]) {
      await producer.send({ acks: -1, messages: [{ topic, value }] });
    }
    const { topics } = await admin.metadata({ topics: [topic], forceUpdate: true });
    return topics.get(topic)!.partitions[0]!.leader;
  } finally {
    await Promise.all([admin.close(), producer.close()]);
  }
}

/** Milliseconds until a record that is sent past the links stands on all brokers. */
export async function replicationTime(brokers: string[]): Promise<number> {
  const topic = `netem_${crypto.randomUUID().slice(0, 8)}`;
  const client = { clientId: "netem-test", bootstrapBrokers: brokers };
  const admin = new Admin(client);
  const producer = new Producer({ ...client, serializers: stringSerializers, retries: 20 });
  try {
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: 3 });
    const send = () => producer.send({ acks: -1, messages: [{ topic, value: "x" }] });
    await send(); // learns the leader, and warms the followers up
    return await median(async () => {
      const began = performance.now();
      await send();
      return performance.now() - began;
    });
  } finally {
    await Promise.all([admin.close(), producer.close()]);
  }
}
