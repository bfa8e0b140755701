/** A member of a group, on brokers whose answers come when the test says so. */
import assert from "node:assert/strict";
import {
  encodeConsumerProtocolSubscription,
  joinGroupV7,
  offsetCommitV8,
  syncGroupV5,
} from "@platformatic/kafka";
import { RetryableError } from "../../../shared/errors.ts";
import type { Cluster } from "../../../shared/kafka/platformatic/cluster.ts";
import { Membership } from "../../../shared/kafka/platformatic/membership.ts";

const UNKNOWN_MEMBER_ID = 25;
const NO_PARTITIONS = new Uint8Array([0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);

/** Brokers that know one topic with three partitions, and tell of it when they are let. */
function brokers() {
  let told = Promise.withResolvers<void>();
  told.resolve();
  const metadata = encodeConsumerProtocolSubscription({ version: 0, topics: ["orders"] });
  const answers = new Map<unknown, unknown>([
    [joinGroupV7.api, {
      errorCode: 0,
      generationId: 1,
      leader: "me",
      memberId: "me",
      members: [{ memberId: "me", metadata }],
    }],
    [syncGroupV5.api, { errorCode: 0, assignment: Buffer.from(NO_PARTITIONS) }],
    [offsetCommitV8.api, { topics: [{ partitions: [{ errorCode: UNKNOWN_MEMBER_ID }] }] }],
  ]);
  const cluster = {
    settings: { rebalance_timeout_ms: 60_000 },
    coordinator: () => Promise.resolve(1),
    call: (_lane: unknown, _broker: number, api: unknown) => Promise.resolve(answers.get(api)),
    refresh: async () => {
      await told.promise;
      return { topics: [{ name: "orders", partitions: [0, 1, 2] }] };
    },
  };
  const silence = () => (told = Promise.withResolvers<void>()).resolve;
  return { cluster: cluster as unknown as Cluster, silence };
}

Deno.test("a commit that is refused while the leader counts partitions ends its assignment, and no more", async () => {
  const { cluster, silence } = brokers();
  const options = { group_id: "group", topics: ["orders"], session_timeout_ms: 45_000 };
  const membership = new Membership(cluster, options);
  await membership.join();
  assert.equal(await membership.outdated(), false);
  const tell = silence();
  const outdated = membership.outdated();
  const commit = membership.commit([{ topic: "orders", partition: 0, next_offset: 1 }]);
  await assert.rejects(commit, RetryableError);
  tell();
  assert.equal(await outdated, false);
});
