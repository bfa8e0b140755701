/** The client libraries beside each other: the figures behind `defaultClients` in shared/kafka/mod.ts. */
import { clients } from "../shared/kafka/mod.ts";
import { testStack } from "../tests/stack.ts";
import type { BenchOptions } from "./bench.ts";
import type { ClientRun, ClientWork, Measured } from "./client_run.ts";

const WORKS: readonly ClientWork[] = ["produce", "consume + JSON.parse", "consume"];

/** Odd, so that the median is one of them. */
const ROUNDS = 3;

/** Records a second and peak memory of each library at producing and at consuming, medians of rounds. */
export async function bench({ changes: records, tell }: BenchOptions): Promise<void> {
  const names = Object.keys(clients) as ClientRun["client"][];
  const { brokers } = testStack().kafka;
  const taken = new Map<string, Measured[]>();
  // The round before the first warms the brokers up.
  for (let round = 0; round <= ROUNDS; round++) {
    for (const client of names) {
      const topic = `bench_${crypto.randomUUID()}`;
      for (const work of WORKS) {
        const measured = await alone({ client, work, topic, records, brokers });
        if (round > 0) (taken.getOrInsert(`${work}\n${client}`, [])).push(measured);
      }
    }
  }
  for (const [key, runs] of taken) {
    const [work, client] = key.split("\n") as [string, string];
    tell({
      work,
      client,
      records_per_second: records / median(runs.map(({ seconds }) => seconds)),
      peak_megabytes: median(runs.map(({ peak_bytes }) => peak_bytes)) / 1e6,
    });
  }
}

/** One run in a process of its own, so that its peak memory is its own. */
async function alone(run: ClientRun): Promise<Measured> {
  const { code, stdout } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", new URL("client_run.ts", import.meta.url).href, JSON.stringify(run)],
    stderr: "inherit",
  }).output();
  if (code !== 0) throw new Error(`${run.client}, ${run.work}: ended with exit code ${code}`);
  return JSON.parse(new TextDecoder().decode(stdout));
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
