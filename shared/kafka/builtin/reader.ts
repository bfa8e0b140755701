/** Fetching record batches from leaders, as bytes. */
import type { Fetched, FetchLimits, Wanted } from "../fetch.ts";
import { fetch } from "../requests.ts";
import { check, type Cluster } from "./cluster.ts";

/**
 * Fetches from one broker what it leads, and nothing where another leads by now. Throws as
 * `Cluster.call` does, and for a refusal of the whole request.
 */
export async function fetchFrom(
  cluster: Cluster,
  leader: number,
  wanted: readonly Omit<Wanted, "leader_epoch">[],
  limits: FetchLimits,
): Promise<readonly Fetched[]> {
  const epochs = await Promise.all(wanted.map((at) => cluster.leaderEpoch(at)));
  const led = wanted.map((one, index) => ({ ...one, leader_epoch: epochs[index]! }));
  const answer = await cluster.call("fetch", leader, fetch, { wanted: led, limits });
  check(answer.error_code, `Fetching from broker ${leader}`);
  return answer.partitions;
}
