/** Debezium on Kafka Connect, one worker with one connector, as `connect-standalone.sh` starts it. */
import { findJava } from "../../compose/native/java.ts";
import { KAFKA_VERSION } from "../../compose/native/kafka.ts";
import { downloadJars } from "../../compose/native/maven.ts";
import { listRow } from "../../shared/seed/values.ts";
import { Random } from "../../shared/seed/random.ts";
import { writers } from "../../shared/seed/mod.ts";
import { seedOptions } from "../../shared/seed/options.ts";
import type { TestDatabase } from "../../tests/databases.ts";
import { testFolder, testStack } from "../../tests/stack.ts";
import type { Measured } from "../bench.ts";
import { BenchTopic } from "../topic.ts";
import { properties, startJava } from "./java.ts";
import type { PeerProcess } from "./process.ts";

export const DEBEZIUM_VERSION = "3.2.3.Final";

const JARS = {
  name: `debezium-${DEBEZIUM_VERSION}-connect-${KAFKA_VERSION}`,
  artifacts: [
    `org.apache.kafka:connect-runtime:${KAFKA_VERSION}`,
    `org.apache.kafka:connect-json:${KAFKA_VERSION}`,
    `io.debezium:debezium-connector-mysql:${DEBEZIUM_VERSION}`,
    `io.debezium:debezium-connector-postgres:${DEBEZIUM_VERSION}`,
    "org.slf4j:slf4j-reload4j:1.7.36",
  ],
};

/** What the connector is set for. */
export type Purpose = "backlog" | "snapshot" | "latency";

/** Of `connect-standalone.sh`, but with half the heap: the rate is the same, and the memory less. */
const HEAP = ["-Xms256M", "-Xmx1G"];

/** Markers are written so far apart until one arrives. */
const MARKER_MS = 250;

/** Settings that differ from Connect's and Debezium's own; the README says why. */
const TUNED: Readonly<Record<Purpose, { producer: Settings; connector: Settings }>> = {
  backlog: throughput({ "snapshot.mode": "no_data" }),
  snapshot: throughput({ "snapshot.mode": "initial_only" }),
  latency: {
    producer: { "linger.ms": 0, "batch.size": 65_536 },
    connector: { "snapshot.mode": "no_data", "max.batch.size": 2_048, "poll.interval.ms": 1 },
  },
};

type Settings = Readonly<Record<string, string | number | boolean>>;

function throughput(more: Settings) {
  return {
    producer: { "linger.ms": 20, "batch.size": 262_144, "buffer.memory": 67_108_864 },
    connector: { "max.batch.size": 8_192, "max.queue.size": 32_768, ...more },
  };
}

/** Its jars in the cache; downloads them when they are not there. */
export async function debeziumSoftware() {
  const note = (phase: string) => console.error(`Debezium: ${phase}`);
  const java = await findJava(note);
  return { java, libraries: await downloadJars(JARS, java, note) };
}

/** Debezium on one table. Its topic is there from the beginning. */
export class Debezium implements AsyncDisposable {
  readonly topic: BenchTopic;
  readonly #db: TestDatabase;
  readonly #table: string;
  readonly #purpose: Purpose;
  readonly #folder: string;

  private constructor(db: TestDatabase, table: string, purpose: Purpose, topic: BenchTopic) {
    this.#db = db;
    this.#table = table;
    this.#purpose = purpose;
    this.topic = topic;
    this.#folder = testFolder(nameOf(table));
  }

  /** For `table`, which is there and, on PostgreSQL, published as a scenario publishes it. */
  static async make(db: TestDatabase, table: string, purpose: Purpose): Promise<Debezium> {
    const schema = db.database.kind === "mysql" ? db.database.database : "public";
    const topic = await BenchTopic.make(`${nameOf(table)}.${schema}.${table}`);
    return new Debezium(db, table, purpose, topic);
  }

  /** Starts the worker, which goes on where the one before it has ended. */
  async start(): Promise<PeerProcess> {
    const worker = `${this.#folder}/worker.properties`;
    const connector = `${this.#folder}/connector.properties`;
    Deno.writeTextFileSync(worker, properties(this.#workerSettings()));
    Deno.writeTextFileSync(connector, properties(this.#connectorSettings()), { mode: 0o600 });
    return startJava({
      ...await debeziumSoftware(),
      heap: HEAP,
      main: "org.apache.kafka.connect.cli.ConnectStandalone",
      args: [worker, connector],
      folder: this.#folder,
      name: "debezium",
    });
  }

  /** Starts the worker and waits until what is written to the table arrives. */
  async streaming(): Promise<PeerProcess> {
    const process = await this.start();
    const options = { database: this.#db.database, table: this.#db.qualified(this.#table) };
    const writer = await writers[this.#db.database.kind](seedOptions.parse(options));
    const random = new Random(1);
    while ((await this.topic.ends()).every((end) => end === 0)) {
      process.refuseEnded();
      await writer.insert([listRow(random)]);
      await new Promise((resolve) => setTimeout(resolve, MARKER_MS));
    }
    await writer.close();
    return process;
  }

  /** Lets it write `records`, from its start to the last one's arrival. */
  async write(records: number): Promise<Measured> {
    const from = await this.topic.ends();
    const process = await this.start();
    try {
      await this.topic.until(records, from, process.refuseEnded);
    } finally {
      await process[Symbol.asyncDispose]();
    }
    const { started_ms, peak_bytes } = process;
    return await this.topic.measure(from, { records, started_ms, peak_bytes });
  }

  #workerSettings(): Settings {
    const { producer } = TUNED[this.#purpose];
    const tuned = Object.entries(producer).map(([name, value]) => [`producer.${name}`, value]);
    const { hostname, port } = freeAddress();
    return {
      "bootstrap.servers": testStack().kafka.brokers.join(","),
      "listeners": `http://${hostname}:${port}`,
      // What stands on the class path needs no search.
      "plugin.discovery": "service_load",
      "key.converter": "org.apache.kafka.connect.json.JsonConverter",
      "key.converter.schemas.enable": false,
      "value.converter": "org.apache.kafka.connect.json.JsonConverter",
      "value.converter.schemas.enable": false,
      "offset.storage.file.filename": `${this.#folder}/offsets`,
      "producer.acks": "all",
      "producer.enable.idempotence": true,
      "producer.max.in.flight.requests.per.connection": 5,
      "producer.compression.type": "lz4",
      ...Object.fromEntries(tuned),
    };
  }

  #connectorSettings(): Settings {
    const { kind, host, port, database } = this.#db.reader;
    const { user, password } = this.#db.reader;
    const name = nameOf(this.#table);
    return {
      "name": name,
      "tasks.max": 1,
      "topic.prefix": name,
      "database.hostname": host,
      "database.port": port,
      "database.user": user,
      "database.password": String(password),
      "tombstones.on.delete": false,
      ...kind === "mysql"
        ? this.#mysqlSettings(database)
        : postgresSettings(database, this.#table, name),
      ...TUNED[this.#purpose].connector,
    };
  }

  #mysqlSettings(database: string): Settings {
    return {
      "connector.class": "io.debezium.connector.mysql.MySqlConnector",
      "database.server.id": 100_000 + crypto.getRandomValues(new Uint16Array(1))[0]!,
      "database.ssl.mode": "disabled",
      "driver.allowPublicKeyRetrieval": true,
      "database.include.list": database,
      "table.include.list": `${database}.${this.#table}`,
      "include.schema.changes": false,
      // Nothing else writes to the table meanwhile, and the user has no right to lock.
      "snapshot.locking.mode": "none",
      "schema.history.internal": "io.debezium.storage.file.history.FileSchemaHistory",
      "schema.history.internal.file.filename": `${this.#folder}/schema-history`,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.topic[Symbol.asyncDispose]();
  }
}

function postgresSettings(database: string, table: string, name: string): Settings {
  return {
    "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
    "database.dbname": database,
    "database.sslmode": "disable",
    "table.include.list": `public.${table}`,
    "plugin.name": "pgoutput",
    "slot.name": name,
    "publication.name": `list_sync_${table}`,
    "publication.autocreate.mode": "disabled",
    // Those of our capture: it would wait a minute for a topic to put them in.
    "message.prefix.exclude.list": ".*",
  };
}

/** The prefix of its topics and the name of its slot. */
function nameOf(table: string): string {
  return `debezium_${table}`;
}

function freeAddress(): Deno.NetAddr {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr as Deno.NetAddr;
}
