/** Many consumers of one topic beside each other: time, rate, processor time and memory against their number. */
import { linkBrokers } from "../compose/native/netem.ts";
import { type StackInfo, stackWays } from "../compose/native/stack.ts";
import { readState } from "../compose/native/state.ts";
import type { Scenario } from "../netem/scenario.ts";
import { ConfigError } from "../shared/errors.ts";
import type { ConsumeSummary } from "../shared/pipeline/consume.ts";
import { testStack } from "../tests/stack.ts";
import { type CommandSpec, parseCommand } from "../workers/cli/arguments.ts";
import { EXIT_DONE } from "../workers/cli/main.ts";
import { count } from "../workers/cli/figures.ts";
import { table } from "../workers/cli/table.ts";
import { Backlog, type Made } from "./consumers/backlog.ts";
import { type FleetResult, runFleet, type Way } from "./consumers/fleet.ts";
import { cpuSeconds } from "./consumers/processes.ts";
import { onOwnStack } from "./own_stack.ts";
import { applyScenario, steadyScenario } from "./scenario.ts";

/** What a consumer's records pass. */
const LINKS = ["between_brokers", "consumer_to_brokers"] as const;

const WAYS: readonly Way[] = ["processes", "threads"];
const SINKS = ["none", "csv"] as const;
type SinkName = typeof SINKS[number];

/** As captures make topics that nobody says more about. */
const PARTITIONS = 3;
/** One for each member of a group, and no fewer than this. */
const SHARED_PARTITIONS = 12;
/**
 * Kafka's own default, which the test stack sets to 0: so long a new group waits for more members
 * before it deals. Without, the first member has read all before the others have started.
 */
const GATHERING_MS = 3_000;

const SPEC: CommandSpec = {
  name: "bench consumers",
  summary:
    "Measures many consumers of one topic at once, each started as users start it: wall time, rates,\n" +
    "processor time and memory of each. All counts are compared with the topic, all lines counted, and\n" +
    "one consumer's files verified. On the stack that LIST_SYNC_STACK names, else on one of its own.",
  usage: "deno task bench consumers [options]",
  example: "deno task bench consumers --count 1,10 --changes 100000",
  options: {
    count: {
      type: "string",
      value: "N,N…",
      help: "How many consumers, run after run; with --shared 12 is the default.",
    },
    changes: { type: "number", value: "N", help: "Changes in the topic.", default: 1_000_000 },
    as: {
      type: "string",
      value: "WAY",
      help: "processes: each in its own; threads: all in one process.",
      default: WAYS.join(","),
    },
    sink: {
      type: "string",
      value: "SINK",
      help: "none: they count; csv: they write files.",
      default: SINKS.join(","),
    },
    shared: {
      type: "boolean",
      help: "They are one group that shares the partitions, instead of each taking all.",
    },
    scenario: {
      type: "string",
      value: "NAME",
      help: "Every consumer behind links of this scenario: deno task netem list.",
    },
    json: { type: "boolean", help: "Print one JSON object on stdout." },
  },
};

/** What is run. */
interface Plan {
  readonly counts: readonly number[];
  readonly ways: readonly Way[];
  readonly sinks: readonly SinkName[];
  readonly changes: number;
  readonly shared: boolean;
  /** Undefined: nothing slows the links. */
  readonly scenario: Scenario | undefined;
}

/** A run of some consumers. */
interface Run {
  readonly as: Way;
  readonly sink: SinkName;
  readonly group: "own" | "shared";
  readonly consumers: number;
  readonly changes: number;
  readonly seconds: number;
  /** Records read by all together. */
  readonly records_per_second: number;
  /** See `FleetResult`. */
  readonly added_megabytes_each: number;
  readonly rss_megabytes_each: number;
  readonly cpu_seconds: number;
  readonly brokers_cpu_seconds: number;
}

/** Runs the command with the words after `consumers`. */
export async function main(args: readonly string[]): Promise<number> {
  const parsed = parseCommand(SPEC, args);
  if (parsed === "help") return EXIT_DONE;
  const { options } = parsed;
  const shared = options.shared === true;
  const plan: Plan = {
    counts: numbers(String(options.count ?? (shared ? "12" : "1,10,30,50,80,100"))),
    ways: names("as", String(options.as), WAYS),
    sinks: names("sink", String(options.sink), SINKS),
    changes: Number(options.changes),
    shared,
    scenario: options.scenario === undefined
      ? undefined
      : steadyScenario(String(options.scenario), LINKS),
  };
  const brokers = { "group.initial.rebalance.delay.ms": String(GATHERING_MS) };
  const netem = plan.scenario !== undefined;
  if (netem && Deno.env.has("LIST_SYNC_STACK")) {
    throw new ConfigError("--scenario needs servers behind proxies, which the bench brings up.", {
      cure: "unset LIST_SYNC_STACK",
    });
  }
  const runs = Deno.env.has("LIST_SYNC_STACK")
    ? await measure(plan, testStack().kafka.brokers)
    : await onOwnStack({ ...shared ? { brokers } : {}, netem, long_lived: true }, async (stack) => {
      return await measure(plan, await reached(stack, plan));
    });
  console.log(options.json === true ? JSON.stringify({ bench: "consumers", runs }) : text(runs));
  return EXIT_DONE;
}

/** Makes the links of the plan; answers where consumers find the brokers. */
async function reached(stack: StackInfo, { scenario }: Plan): Promise<readonly string[]> {
  if (scenario === undefined) return stack.kafka!.brokers;
  await applyScenario(stack, scenario);
  return linkBrokers(stackWays(stack.port_offset), "consumer_to_brokers");
}

/** @param brokers where consumers find them. */
async function measure(plan: Plan, brokers: readonly string[]): Promise<Run[]> {
  const { counts, ways, sinks, changes, shared } = plan;
  const partitions = shared ? Math.max(SHARED_PARTITIONS, ...counts) : PARTITIONS;
  const backlog = await Backlog.make(changes, partitions);
  const runs: Run[] = [];
  for (const sink of sinks) {
    for (const as of ways) {
      for (const consumers of counts) {
        const run = await measured(backlog, { as, sink, shared, consumers, brokers });
        runs.push(run);
        console.error(cells(run).join("  "));
      }
    }
  }
  return runs;
}

/** One row of the table, all counts compared. */
async function measured(
  backlog: Backlog,
  { as, sink, shared, consumers, brokers }: {
    readonly as: Way;
    readonly sink: SinkName;
    readonly shared: boolean;
    readonly consumers: number;
    readonly brokers: readonly string[];
  },
): Promise<Run> {
  const ids = Array.from({ length: consumers }, (_, index) => index + 1);
  const run = `${backlog.name}-${crypto.randomUUID().slice(0, 8)}`;
  const output = (id: number) => backlog.output(shared ? 0 : id);
  const files = ids.map((id) => {
    const path = `${backlog.folder}/${run}-${id}.yaml`;
    const job = {
      job: "consume-csv",
      name: `${run}-${id}`,
      group_id: shared ? run : `${run}-${id}`,
      consumer_id: String(id),
      kafka: { brokers },
      topics: [backlog.topic],
      mode: "batch",
      sink: sink === "none" ? sink : { output: output(id) },
    };
    Deno.writeTextFileSync(path, JSON.stringify(job));
    return path;
  });
  const before = await brokersCpuSeconds();
  const fleet = await runFleet(as, files, `${backlog.folder}/${run}.log`);
  const brokers_cpu_seconds = await brokersCpuSeconds() - before;
  const records = checkCounts(backlog.made, fleet, { consumers, shared });
  if (sink === "csv") {
    for (const id of shared ? [0] : ids) backlog.checkLines(backlog.output(id));
    await backlog.verify(output(consumers));
    await backlog.clear();
  }
  return {
    as,
    sink,
    group: shared ? "shared" : "own",
    consumers,
    changes: backlog.changes,
    seconds: fleet.seconds,
    records_per_second: records / fleet.seconds,
    added_megabytes_each: fleet.added_bytes / 1e6,
    rss_megabytes_each: fleet.rss_bytes / 1e6,
    cpu_seconds: fleet.cpu_seconds,
    brokers_cpu_seconds,
  };
}

/** Throws unless all was read, once by each consumer or once by the group; answers the records read. */
function checkCounts(
  made: Made,
  { summaries }: FleetResult,
  { consumers, shared }: { readonly consumers: number; readonly shared: boolean },
): number {
  if (summaries.size !== consumers) {
    throw new Error(`${summaries.size} of ${consumers} consumers told what they did`);
  }
  const all = [...summaries.values()];
  for (const counted of shared ? [all] : all.map((summary) => [summary])) {
    const found = JSON.stringify(total(counted));
    const { c, u, d } = made;
    const expected = JSON.stringify({ records: c + u + d, c, u, d, repetitions: 0 });
    if (found !== expected) throw new Error(`Counted ${found}; the topic holds ${expected}`);
  }
  const idle = [...summaries].find(([, { records }]) => records === 0);
  if (idle !== undefined) throw new Error(`${idle[0]} read nothing: the group did not share`);
  return all.reduce((sum, { records }) => sum + records, 0);
}

function total(summaries: readonly ConsumeSummary[]) {
  const sum = (of: (summary: ConsumeSummary) => number) =>
    summaries.reduce((counted, summary) => counted + of(summary), 0);
  return {
    records: sum(({ records }) => records),
    c: sum(({ changes }) => changes.c),
    u: sum(({ changes }) => changes.u),
    d: sum(({ changes }) => changes.d),
    repetitions: sum(({ repetitions }) => repetitions),
  };
}

/** Processor time of the stack's brokers so far. */
async function brokersCpuSeconds(): Promise<number> {
  const { dir } = testStack();
  const state = await readState(dir.slice(dir.lastIndexOf("/") + 1));
  const brokers = state!.servers.filter(({ part }) => part === "kafka");
  return brokers.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

const HEADER = [
  "as",
  "sink",
  "group",
  "consumers",
  "seconds",
  "records/s",
  "added MB each",
  "RSS MB each",
  "CPU s",
  "brokers' CPU s",
];

function text(runs: readonly Run[]): string {
  return table(HEADER, runs.map(cells));
}

function cells(run: Run): string[] {
  return [
    ...[run.as, run.sink, run.group, String(run.consumers), run.seconds.toFixed(1)],
    count(run.records_per_second),
    ...[run.added_megabytes_each, run.rss_megabytes_each, run.cpu_seconds, run.brokers_cpu_seconds]
      .map((value) => value.toFixed(1)),
  ];
}

function numbers(list: string): number[] {
  return list.split(",").map((word) => {
    const value = Number(word);
    if (Number.isInteger(value) && value > 0) return value;
    throw new ConfigError(`--count: found ${JSON.stringify(word)}`, {
      cure: "give whole numbers with commas: 1,10,100",
    });
  });
}

function names<Name extends string>(option: string, list: string, all: readonly Name[]): Name[] {
  return list.split(",").map((word) => {
    const name = all.find((known) => known === word);
    if (name !== undefined) return name;
    throw new ConfigError(`--${option}: found ${JSON.stringify(word)}`, {
      cure: `give one or more of ${all.join(", ")}, with commas`,
    });
  });
}
