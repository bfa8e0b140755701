/** A scenario of `deno task netem` that holds while something is measured. */
import type { LinkName } from "../compose/native/netem.ts";
import { type StackInfo, stackWays } from "../compose/native/stack.ts";
import { linksOf, loadScenario, type Scenario } from "../netem/scenario.ts";
import { ToxiproxyBackend } from "../netem/toxiproxy.ts";
import { ConfigError } from "../shared/errors.ts";
import { demandLinks } from "../tests/netem/run/links.ts";
import { testStack } from "../tests/stack.ts";

/**
 * The scenario of this name. Throws ConfigError for one that cuts links, which no rate stands, and for
 * one with other links than `measured`, which nothing that is measured would pass.
 */
export function steadyScenario(name: string, measured: readonly LinkName[]): Scenario {
  const scenario = loadScenario(name);
  for (const [link, { cuts }] of linksOf(scenario)) {
    if (cuts !== undefined) {
      throw new ConfigError(`--scenario: ${scenario.file} cuts ${link} for a while`, {
        cure: "give one without cuts; deno task netem test runs the others",
      });
    }
    if (!measured.includes(link)) {
      throw new ConfigError(
        `--scenario: ${scenario.file} is about ${link}; here only ${
          measured.join(", ")
        } are passed`,
        { cure: "deno task netem test runs workers over all links" },
      );
    }
  }
  return scenario;
}

/** Makes the links of a stack that has proxies what the scenario says. Throws when they are not so then. */
export async function applyScenario(stack: StackInfo, scenario: Scenario): Promise<void> {
  await new ToxiproxyBackend(stack).apply(scenario, new Set());
  const ways = stackWays(stack.port_offset);
  const way = (name: string) => ways.find((way) => way.name === name)!;
  await demandLinks({ stack: testStack(), ways, way }, scenario);
}
