/** How long a server may be silent before its connection counts as dead. */

/** Interval of heartbeats where a job names none. */
export const DEFAULT_HEARTBEAT_MS = 10_000;
/** How many heartbeats may be missed. */
export const MISSED_HEARTBEATS = 3;
/** Servers count in seconds or are asked once a second, and a loaded one may take as long for an answer. */
const SHORTEST_SILENCE_MS = 3_000;

/** The longest silence of a connection, in milliseconds; an interval of 0, no heartbeats, counts as the default. */
export function silenceMs(
  { heartbeat_interval_ms }: { readonly heartbeat_interval_ms: number },
): number {
  const interval_ms = heartbeat_interval_ms || DEFAULT_HEARTBEAT_MS;
  return Math.max(SHORTEST_SILENCE_MS, MISSED_HEARTBEATS * interval_ms);
}
