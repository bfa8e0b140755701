/** Three Kafka brokers in KRaft mode, each broker and controller in one Java process. */

import { Buffer } from "node:buffer";
import { randomBytes } from "node:crypto";
import { dirname, join } from "node:path";
import { Admin, Consumer, Producer } from "@platformatic/kafka";
import { findJava, type Java } from "./java.ts";
import { downloadJars } from "./maven.ts";
import type { Note } from "./packages.ts";
import { exists } from "./paths.ts";
import {
  type Certificates,
  copyPems,
  kafkaClient,
  scramArguments,
  securedSettings,
} from "./secured.ts";
import type { BrokerAccounts, KafkaInfo } from "./state.ts";
import { runOrFail, type ServerProcess, startDetached } from "./processes.ts";
import { asServerUser, giveToServerUser, makePrivateFolder } from "./user.ts";

const ADDRESS = "127.0.0.1";

/** Version of the brokers: the last of the line that runs with old and new clients alike. */
export const KAFKA_VERSION = "3.9.1";

const JARS = {
  name: `kafka-${KAFKA_VERSION}`,
  artifacts: [
    `org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`,
    `org.apache.kafka:kafka-tools:${KAFKA_VERSION}`,
    // The logging that this version of Kafka is made for.
    "org.slf4j:slf4j-reload4j:1.7.36",
  ],
};

/** What Kafka's own scripts give to every program (`kafka-run-class.sh`). */
export const SCRIPT_OPTIONS: readonly string[] = [
  "-server",
  "-XX:+UseG1GC",
  "-XX:MaxGCPauseMillis=20",
  "-XX:InitiatingHeapOccupancyPercent=35",
  "-XX:+ExplicitGCInvokesConcurrent",
  "-Djava.awt.headless=true",
];

/**
 * In the first minutes the second compiler takes more than it gives. Processor time of three fresh brokers
 * with it and without, taken on a busy machine: 7.1 and 2.8 s for a million records read, 11.7 and 7.5 s
 * for 400,000 written, 22 and 12 ms for a small send to three partitions that a consumer reads. Minutes
 * later large reads and sends take as long with it as without, and a small send 7 and 12 ms.
 */
const SHORT_LIVED_OPTIONS: readonly string[] = ["-XX:TieredStopAtLevel=1"];

export interface BrokerPorts {
  broker: number;
  controller: number;
}

/** Brokers as in the jobs' examples: 9092, 9094, 9095; their controllers take the ports between. */
export const KAFKA_PORTS: BrokerPorts[] = [
  { broker: 9092, controller: 9093 },
  { broker: 9094, controller: 9096 },
  { broker: 9095, controller: 9097 },
];

export interface KafkaSoftware {
  java: Java;
  /** Folder with the jars. */
  libraries: string;
}

/** Kafka's jars in the cache and a Java to run them; downloads what is not there. */
export async function kafkaSoftware(note: Note): Promise<KafkaSoftware> {
  const java = await findJava(note);
  return { java, libraries: await downloadJars(JARS, java, note) };
}

/** Starts broker number `node` (from 1); formats its folder first when that is new. */
export async function startBroker(
  software: KafkaSoftware,
  options: {
    node: number;
    ports: BrokerPorts[];
    cluster: string;
    folder: string;
    /** Demand TLS, a login and rights. */
    secured?: { certificates: Certificates; users: BrokerAccounts };
    /** Settings beside the stack's own. */
    more?: Readonly<Record<string, string>>;
    /** Run it as Kafka's own scripts do. @default false, for a life of minutes */
    long_lived?: boolean;
    log: string;
    note: Note;
  },
): Promise<ServerProcess> {
  const { node, ports, cluster, folder, secured, long_lived, log, note } = options;
  const data = join(folder, "data");
  const settings = join(folder, "server.properties");
  await makePrivateFolder(folder);
  await Deno.writeTextFile(join(folder, "log4j.properties"), LOGGING);
  const security = secured === undefined
    ? {}
    : securedSettings(await copyPems(folder, secured.certificates, "broker"), secured.users);
  const text = brokerSettings(node, ports, data, { ...security, ...options.more });
  await Deno.writeTextFile(settings, text, { mode: 0o600 });
  await giveToServerUser(folder);
  const java = [
    ...await asServerUser([software.libraries, software.java.home, dirname(folder)]),
    software.java.command,
    "-Xmx512m",
    ...long_lived === true ? SCRIPT_OPTIONS : SHORT_LIVED_OPTIONS,
    // Else Java writes a file of counters into /tmp.
    "-XX:-UsePerfData",
    `-Dlog4j.configuration=file:${join(folder, "log4j.properties")}`,
    "-cp",
    join(software.libraries, "*"),
  ];
  if (!await exists(join(data, "meta.properties"))) {
    note("making the data folder");
    const users = secured === undefined ? [] : scramArguments(secured.users);
    // In a file: what stands on a command line can be read by every user of the machine.
    const file = join(folder, "format.arguments");
    const format = ["format", "-t", cluster, "-c", settings, ...users];
    await Deno.writeTextFile(file, format.map((word) => `${word}\n`).join(""), { mode: 0o600 });
    await giveToServerUser(file);
    const [command = "", ...args] = [...java, "kafka.tools.StorageTool", `@${file}`];
    await runOrFail(`Formatting broker ${node}`, command, args);
    await Deno.remove(file);
  }
  note("starting");
  return await startDetached([...java, "kafka.Kafka", settings], { log, cwd: folder });
}

/** A new cluster id: 16 random bytes in the text form of Kafka's Uuid, which must not begin with a dash. */
export function newClusterId(): string {
  const id = randomBytes(16).toString("base64url");
  return id.startsWith("-") ? newClusterId() : id;
}

const LOGGING = `log4j.rootLogger=INFO, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %m (%c)%n
log4j.logger.org.apache.kafka.clients=WARN
log4j.logger.org.apache.kafka.common.config=WARN
log4j.logger.kafka.server.KafkaConfig=WARN
`;

/**
 * Settings of one broker (https://kafka.apache.org/39/documentation.html#brokerconfigs); `more` go
 * before them.
 */
export function brokerSettings(
  node: number,
  ports: BrokerPorts[],
  data: string,
  more: Readonly<Record<string, string>> = {},
): string {
  const own = ports[node - 1];
  if (own === undefined) throw new Error(`There is no broker ${node}; there are ${ports.length}.`);
  const voters = ports.map(({ controller }, index) => `${index + 1}@${ADDRESS}:${controller}`);
  const settings: Record<string, string | number | boolean> = {
    "node.id": node,
    "process.roles": "broker,controller",
    "listeners": `BROKER://${ADDRESS}:${own.broker},CONTROLLER://${ADDRESS}:${own.controller}`,
    "advertised.listeners": `BROKER://${ADDRESS}:${own.broker}`,
    "listener.security.protocol.map": "BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
    "controller.listener.names": "CONTROLLER",
    "controller.quorum.voters": voters.join(","),
    "log.dirs": data,
    "default.replication.factor": 3,
    "min.insync.replicas": 2,
    "num.partitions": 3,
    "auto.create.topics.enable": false,
    "offsets.topic.replication.factor": 3,
    "transaction.state.log.replication.factor": 3,
    "transaction.state.log.min.isr": 2,
    // The defaults of 50 are for large clusters; each partition costs files and time at the start.
    "offsets.topic.num.partitions": 3,
    "transaction.state.log.num.partitions": 3,
    // A first consumer need not wait for others to join.
    "group.initial.rebalance.delay.ms": 0,
    // A quarter of the default: the heap is small, and so are the compacted topics.
    "log.cleaner.dedupe.buffer.size": 32 * 1024 * 1024,
    // As the system sizes them. Fixed ones (100 KB, 64 KB) hold a far client or follower to that much in
    // each round trip, and sending piece by piece took brokers two thirds more processor time (measured).
    "socket.send.buffer.bytes": -1,
    "socket.receive.buffer.bytes": -1,
    "replica.socket.receive.buffer.bytes": -1,
    ...more,
  };
  return Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join("");
}

/** A record that is there comes at once; more is a fault of the brokers. */
const RECORD_PATIENCE_MS = 10_000;

/**
 * Sends a record through a topic of its own and reads it back in a consumer group. Throws while the
 * brokers do not do this yet.
 */
export async function probeKafka(info: KafkaInfo): Promise<void> {
  const { brokers } = info;
  const topic = `list-sync.probe.${randomBytes(8).toString("hex")}`;
  const client = kafkaClient(info);
  const admin = new Admin({ ...client, retries: 0 });
  try {
    const found = (await admin.metadata({})).brokers.size;
    if (found < brokers.length) throw new Error(`${found} of ${brokers.length} brokers are there.`);
    await admin.createTopics({ topics: [topic], partitions: 1, replicas: brokers.length });
    try {
      await produce(client, topic);
      await consume(client, topic);
    } finally {
      await admin.deleteTopics({ topics: [topic] });
    }
  } finally {
    await admin.close();
  }
}

type Client = ReturnType<typeof kafkaClient>;

/** The leader of a new topic is known a moment after the topic: so a few attempts are made. */
async function produce(client: Client, topic: string): Promise<void> {
  const producer = new Producer({ ...client, retries: 20, retryDelay: 100 });
  try {
    await producer.send({ acks: -1, messages: [{ topic, value: Buffer.from(topic) }] });
  } finally {
    await producer.close();
  }
}

async function consume(client: Client, topic: string): Promise<void> {
  const consumer = new Consumer({ ...client, groupId: topic, retries: 20, retryDelay: 100 });
  try {
    const stream = await consumer.consume({
      topics: [topic],
      mode: "earliest",
      autocommit: false,
      maxWaitTime: 100,
    });
    const timer = setTimeout(
      () => stream.destroy(new Error(`A record sent did not come in ${RECORD_PATIENCE_MS} ms.`)),
      RECORD_PATIENCE_MS,
    );
    try {
      for await (const { value } of stream) if (value.toString() === topic) break;
    } finally {
      clearTimeout(timer);
    }
  } finally {
    await consumer.close(true);
  }
}
