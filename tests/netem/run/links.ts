/** Whether the conditions that a scenario asks for are there, by measuring: before anything is timed over them. */
import type { LinkName } from "../../../compose/native/netem.ts";
import { linksOf, type Scenario } from "../../../netem/scenario.ts";
import { databases } from "../../databases.ts";
import { brokerRoundTrip, databaseRoundTrip, rateFrom, rateTo } from "./measure.ts";
import type { TestStack } from "../../stack.ts";
import type { NetemServers } from "./servers.ts";

/** Servers with proxies on their links. */
export type LinkedServers = Pick<NetemServers, "ways" | "way"> & { readonly stack: TestStack };

/** What a busy machine may add to a round trip. */
const SLACK_MS = 250;
/** Links that a scenario leaves alone take less than this, busy or not. */
const UNTOUCHED_MS = 200;
/** A link may be slower than asked for as little, and faster by what its first bytes gain. */
const RATE_BOUNDS = { least: 0.5, most: 1.3 };
/** Two records just below the largest that a topic takes. */
const RATE_BYTES = 1_600_000;
/** Workers have one busy connection to each broker; the rate is that of all of them. */
const BROKERS = 3;

/** The links of the scenario as they are found, a sentence each; the first list has what is not as asked. */
export async function measureLinks(
  servers: LinkedServers,
  scenario: Scenario,
): Promise<{ wrong: string[]; found: string[] }> {
  const wrong: string[] = [];
  const found: string[] = [];
  const judge = (what: string, value: number, least: number, most: number, unit: string) => {
    const sentence = `${what}: ${value.toFixed(1)} ${unit}`;
    found.push(sentence);
    if (!(value >= least && value <= most)) {
      wrong.push(`${sentence}; asked for are ${least.toFixed(1)} to ${most.toFixed(1)}`);
    }
  };
  const conditions = new Map(linksOf(scenario));
  for (const { link, name, roundTrip } of trials(servers)) {
    const { round_trip_ms = 0, jitter_ms = 0 } = conditions.get(link) ?? {};
    const [least, most] = round_trip_ms === 0
      ? [0, UNTOUCHED_MS]
      : [round_trip_ms - jitter_ms, 1.5 * round_trip_ms + jitter_ms + SLACK_MS];
    judge(`${name} round trip`, await roundTrip(), least, most, "ms");
  }
  const consumer = conditions.get("consumer_to_brokers");
  if (consumer?.rate_mbit !== undefined) {
    const [least, most] = [RATE_BOUNDS.least, RATE_BOUNDS.most]
      .map((bound) => bound * consumer.rate_mbit! / BROKERS) as [number, number];
    const port = (node: number) => servers.way(`consumer_to_brokers-${node}`).port;
    const to = await rateTo(port(1), RATE_BYTES, consumer.round_trip_ms ?? 0);
    judge("to a broker", to / 1e6, least, most, "Mbit/s");
    const from = await rateFrom(servers.stack.kafka.brokers, port, RATE_BYTES);
    judge("from a broker", from / 1e6, least, most, "Mbit/s");
  }
  return { wrong, found };
}

/** Throws unless the links are as the scenario asks. @param tell hears how each is found. */
export async function demandLinks(
  servers: LinkedServers,
  scenario: Scenario,
  tell: (sentence: string) => void = () => {},
): Promise<void> {
  const { wrong, found } = await measureLinks(servers, scenario);
  found.forEach((sentence) => tell(sentence));
  if (wrong.length > 0) throw new Error(`${scenario.file} is not in force: ${wrong.join("; ")}`);
}

/** One measurement of each kind of way. */
function trials(
  servers: LinkedServers,
): { link: LinkName; name: string; roundTrip: () => Promise<number> }[] {
  const toBrokers = servers.ways.filter(({ name }) => name.endsWith("-1"))
    .map(({ link, name, port }) => ({ link, name, roundTrip: () => brokerRoundTrip(port) }));
  const toDatabases = databases(servers.stack).map((db) => {
    const { link, name, port } = servers.way(
      `capture_to_database-${db.name === "MySQL" ? "mysql" : "pg"}`,
    );
    return { link, name, roundTrip: () => databaseRoundTrip(db, port) };
  });
  return [...toBrokers, ...toDatabases];
}
