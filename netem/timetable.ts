/** When links are cut and when they come back. */
import type { LinkName } from "../compose/native/netem.ts";
import { wait } from "../shared/backoff.ts";
import type { Backend } from "./backend.ts";
import { linksOf, type Scenario } from "./scenario.ts";

/** From this moment on just these links are cut. */
export interface Moment {
  readonly at_ms: number;
  readonly cut: ReadonlySet<LinkName>;
}

/** Every moment in which something changes, the beginning first. */
export function timetable(scenario: Scenario): Moment[] {
  const spans = linksOf(scenario).flatMap(([link, { cuts = [] }]) =>
    cuts.map(({ after_ms, for_ms }) => ({ link, from: after_ms, until: after_ms + for_ms }))
  );
  const times = new Set([0, ...spans.flatMap(({ from, until }) => [from, until])]);
  return [...times].sort((a, b) => a - b).map((at_ms) => ({
    at_ms,
    cut: new Set(
      spans.filter(({ from, until }) => from <= at_ms && at_ms < until).map(({ link }) => link),
    ),
  }));
}

/**
 * Applies a scenario, and then cuts and mends as it says; resolves when nothing more will change.
 * When `signal` aborts, the links that are cut come back first.
 */
export async function follow(
  scenario: Scenario,
  backend: Backend,
  { tell, signal }: { tell: (line: string) => void; signal: AbortSignal },
): Promise<void> {
  const began = performance.now();
  for (const { at_ms, cut } of timetable(scenario)) {
    await wait(Math.max(0, at_ms - (performance.now() - began)), signal);
    const now = signal.aborted ? new Set<LinkName>() : cut;
    await backend.apply(scenario, now);
    const seconds = (at_ms / 1000).toFixed(1);
    if (now.size > 0) tell(`${seconds} s: ${[...now].join(", ")} cut`);
    else if (at_ms > 0) tell(`${seconds} s: no link is cut`);
    if (signal.aborted) return;
  }
}
