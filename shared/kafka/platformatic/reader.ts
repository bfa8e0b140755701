/** Fetching record batches from leaders, as bytes. */
import { createAPI, type Reader, Writer } from "@platformatic/kafka";
import {
  decodeFetch,
  encodeFetch,
  FETCH_KEY,
  FETCH_VERSION,
  type Fetched,
  type FetchLimits,
  type Wanted,
} from "../fetch.ts";
import { check, type Cluster } from "./cluster.ts";

const fetchApi = createAPI<
  [wanted: readonly Wanted[], limits: FetchLimits],
  ReturnType<typeof decodeFetch>
>(
  FETCH_KEY,
  FETCH_VERSION,
  (wanted: readonly Wanted[], limits: FetchLimits) => {
    const body = encodeFetch(wanted, limits);
    return Writer.create().append(body);
  },
  (_correlation: number, _key: number, _version: number, reader: Reader) =>
    decodeFetch(reader.buffer.slice(reader.position)),
  false,
  false,
);

/** Fetches from one broker what it leads, and nothing where another leads by now. Throws as `Cluster.call` does, and for a refusal of the whole request. */
export async function fetchFrom(
  cluster: Cluster,
  leader: number,
  wanted: readonly Omit<Wanted, "leader_epoch">[],
  limits: FetchLimits,
): Promise<Fetched[]> {
  const epochs = await Promise.all(wanted.map((at) => cluster.leaderEpoch(at)));
  const led = wanted.map((one, index) => ({ ...one, leader_epoch: epochs[index]! }));
  const { error_code, partitions } = await cluster.call("fetch", leader, fetchApi, led, limits);
  check(error_code, `Fetching from broker ${leader}`);
  return partitions;
}
