/** Producing alone and consuming alone: Java's measuring programs are the limit, the other library the choice. */
import { fileURLToPath } from "node:url";
import { testFolder, testStack } from "../../tests/stack.ts";
import type { Measured, Round, RoundOptions, Row } from "../bench.ts";
import type { ClientRun } from "../client_run.ts";
import { envelope } from "../envelope.ts";
import { consumerPerf, type PerfRun, producerPerf } from "../peers/java_perf.ts";
import { PeerProcess } from "../peers/process.ts";
import { BenchTopic, PARTITIONS } from "../topic.ts";
import { kept } from "./kept.ts";

const SCRIPT = fileURLToPath(new URL("../client_run.ts", import.meta.url));

/** More than a processor's cache holds. */
const PAYLOADS = 10_000;

/** Records of one send: of the usual size they are what a capture sends. */
const SEND_RECORDS = 4_000;
/**
 * The same where producing is measured: batches of half a megabyte compressed, as Java's. A capture would
 * take 25 MB more for it and be no faster, for it has more to do than to write (measured).
 */
const LARGE_SEND_RECORDS = 16_000;

/** Beside the program of the Kafka project. */
const JAVA = { aim: "1.0 times", produce: producerPerf, consume: consumerPerf };

/** Beside the library that is not the default. */
const KAFKAJS = {
  aim: "above 1: it is why the other is the default",
  produce: (run: PayloadRun) => clientProduce("kafkajs", run),
  consume: (run: PayloadRun) => clientConsume("kafkajs", run),
};

const PEERS = { "Java": JAVA, "kafkajs": KAFKAJS } as const;

/** Producing beside a peer. */
export function produceRow(peer: keyof typeof PEERS): Row {
  const { aim, produce } = PEERS[peer];
  return {
    work: "produce only",
    peer,
    aim,
    figures: ["per_second", "wall_seconds"],
    prepare: ({ changes }) => prepareProduce(changes, produce),
  };
}

/** Consuming beside a peer. */
export function consumeRow(peer: keyof typeof PEERS): Row {
  const { aim, consume } = PEERS[peer];
  return {
    work: "consume only",
    peer,
    aim,
    figures: ["per_second"],
    prepare: (options) => prepareConsume(options, consume),
  };
}

type PayloadRun = PerfRun & Pick<ClientRun, "payloads" | "send_records">;
type Produce = (run: PayloadRun) => Promise<PeerProcess>;
type Consume = (run: PayloadRun) => Promise<Measured>;

async function prepareProduce(records: number, theirs: Produce): Promise<Round> {
  const topics: BenchTopic[] = [];
  const into = async (produce: Produce) => {
    const topic = await BenchTopic.make(`produce_${crypto.randomUUID()}`);
    topics.push(topic);
    return await produced(topic, { records, send_records: LARGE_SEND_RECORDS }, produce);
  };
  return {
    ours: () => into((run) => clientProduce("builtin", run)),
    theirs: () => into(theirs),
    async [Symbol.asyncDispose]() {
      for (const topic of topics) await topic[Symbol.asyncDispose]();
    },
  };
}

type Size = Pick<ClientRun, "records" | "send_records">;

async function produced(topic: BenchTopic, size: Size, produce: Produce): Promise<Measured> {
  const { records } = size;
  const from = await topic.ends();
  await using process = await produce(runOn(topic.name, size));
  await process.output();
  const { started_ms, peak_bytes } = process;
  return await topic.measure(from, { records, started_ms, peak_bytes });
}

/** A topic to read, written once. */
const written = kept(async (records) => {
  const topic = await BenchTopic.make(`consume_${crypto.randomUUID()}`);
  const size = { records, send_records: SEND_RECORDS };
  await produced(topic, size, (run) => clientProduce("builtin", run));
  return topic.name;
});

async function prepareConsume({ changes }: RoundOptions, theirs: Consume): Promise<Round> {
  const run = runOn(await written(changes), { records: changes, send_records: SEND_RECORDS });
  return {
    ours: () => clientConsume("builtin", run),
    theirs: () => theirs(run),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** A run with its folder and the values to write. */
function runOn(topic: string, size: Size) {
  const folder = testFolder("clients");
  const payloads = `${folder}/payloads`;
  const values = Array.from({ length: PAYLOADS }, (_, id) => `${JSON.stringify(envelope(id))}\n`);
  Deno.writeTextFileSync(payloads, values.join(""));
  return { topic, ...size, folder, payloads };
}

type Client = ClientRun["client"];

function clientProduce(client: Client, run: PayloadRun): Promise<PeerProcess> {
  return Promise.resolve(startClient(client, "produce", run));
}

async function clientConsume(
  client: Client,
  run: PayloadRun,
): Promise<Measured> {
  await using process = startClient(client, "consume", run);
  const { seconds } = JSON.parse(await process.output()) as { seconds: number };
  return { figures: { per_second: run.records / seconds }, peak_bytes: process.peak_bytes };
}

/** One run in a process of its own, so that its peak memory is its own. */
function startClient(
  client: Client,
  work: ClientRun["work"],
  { folder, ...asked }: PayloadRun,
): PeerProcess {
  const { brokers } = testStack().kafka;
  const partitions = PARTITIONS;
  const run: ClientRun = { client, work, partitions, brokers, ...asked };
  const command = [Deno.execPath(), "run", "--no-prompt", "-A", SCRIPT, JSON.stringify(run)];
  return new PeerProcess(command, `${folder}/client.log`);
}
