/** Scenario files: what they may say, and how a wrong one is told. */
import assert from "node:assert/strict";
import { ConfigError } from "../../../shared/errors.ts";
import { loadScenario, type Scenario, scenarioNames } from "../../../netem/scenario.ts";
import { timetable } from "../../../netem/timetable.ts";

/** Loads a scenario from a text. */
export async function scenarioOf(text: string): Promise<Scenario> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, text);
    return { ...loadScenario(file), file: "netem/test.yaml" };
  } finally {
    await Deno.remove(file);
  }
}

/** The problems that loading reports, a line each, without the path. */
async function refused(text: string): Promise<string[]> {
  const file = await Deno.makeTempFile({ suffix: ".yaml" });
  try {
    await Deno.writeTextFile(file, text);
    loadScenario(file);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.replaceAll(`${file}:`, "").split("\n")
      .filter((line) => !/\d+ problems$/.test(line));
  } finally {
    await Deno.remove(file);
  }
  assert.fail(`accepted:\n${text}`);
}

Deno.test("every scenario that comes with the project is valid, and says what it is", () => {
  const names = scenarioNames();
  for (const name of ["brokers-20ms", "consumer-20mbit-800ms", "lossy", "partition"]) {
    assert.ok(names.includes(name), `${name} is not among ${names}`);
  }
  for (const name of names) assert.match(loadScenario(name).description, /\.$/);
  assert.deepEqual(loadScenario("consumer-20mbit-800ms").links, {
    consumer_to_brokers: { round_trip_ms: 800, jitter_ms: 80, rate_mbit: 20 },
  });
});

Deno.test("every problem of a scenario comes at once, with place, value and what is allowed", async () => {
  const text = `description: wrong
links:
  consumer_to_broker: { rate_mbit: 20 }
  between_brokers:
    round_trip: 20
    loss_percent: 80
  capture_to_database:
    round_trip_ms: 20ms
`;
  assert.deepEqual(await refused(text), [
    '3:3 links.consumer_to_broker: unknown key; nearest is "consumer_to_brokers". Allowed: ' +
    "between_brokers, capture_to_brokers, consumer_to_brokers, capture_to_database.",
    '5:5 links.between_brokers.round_trip: unknown key; nearest is "round_trip_ms". Allowed: ' +
    "round_trip_ms, jitter_ms, rate_mbit, loss_percent, cuts.",
    "6:19 links.between_brokers.loss_percent: expected a number from 0.01 to 50; found 80.",
    "8:20 links.capture_to_database.round_trip_ms: expected a whole number from 1 to 60000; " +
    'found "20ms".',
  ]);
});

Deno.test("conditions that contradict each other are refused at their place", async () => {
  const link = (text: string) =>
    refused(`description: wrong\nlinks:\n  between_brokers: ${text}\n`);
  assert.deepEqual(await link("{ round_trip_ms: 10, jitter_ms: 20 }"), [
    "3:41 links.between_brokers.jitter_ms: is 20, more than round_trip_ms (10).",
  ]);
  assert.deepEqual(await link("{ jitter_ms: 20 }"), [
    "3:22 links.between_brokers.jitter_ms: is 20, more than round_trip_ms (none).",
  ]);
  assert.deepEqual(await link("{}"), [
    "3:3 links.between_brokers: says nothing. Give at least one of: round_trip_ms, jitter_ms, " +
    "rate_mbit, loss_percent, cuts.",
  ]);
  assert.deepEqual(
    await link("{ cuts: [{ after_ms: 0, for_ms: 500 }, { after_ms: 500, for_ms: 1 }] }"),
    ["3:61 links.between_brokers.cuts[1].after_ms: is 500; the cut before it lasts until 500."],
  );
  assert.deepEqual(await refused("description: wrong\nlinks: {}\n"), [
    "2:1 links: names no link. Allowed: between_brokers, capture_to_brokers, " +
    "consumer_to_brokers, capture_to_database.",
  ]);
});

Deno.test("a scenario that is not there is told with the nearest name and all others", () => {
  assert.throws(() => loadScenario("lossi"), (error: ConfigError) => {
    assert.equal(error.message, 'There is no scenario lossi; nearest is "lossy".');
    assert.match(error.cure!, /^choose among brokers-10ms, .*partition, or name a file$/);
    return true;
  });
  assert.throws(() => loadScenario("./gone.yaml"), /Cannot read the scenario file \.\/gone\.yaml/);
});

Deno.test("the timetable has each moment in which a link is cut or comes back", async () => {
  const scenario = await scenarioOf(`description: cuts
links:
  capture_to_brokers: { cuts: [{ after_ms: 100, for_ms: 50 }, { after_ms: 200, for_ms: 10 }] }
  between_brokers: { round_trip_ms: 5, cuts: [{ after_ms: 120, for_ms: 30 }] }
`);
  assert.deepEqual(timetable(scenario).map(({ at_ms, cut }) => [at_ms, ...[...cut].sort()]), [
    [0],
    [100, "capture_to_brokers"],
    [120, "between_brokers", "capture_to_brokers"],
    [150],
    [200, "capture_to_brokers"],
    [210],
  ]);
  assert.deepEqual(timetable(loadScenario("lossy")), [{ at_ms: 0, cut: new Set() }]);
});
