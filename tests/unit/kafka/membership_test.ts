/** A member of a group, on brokers whose answers come when the test says so. */
import assert from "node:assert/strict";
import { RetryableError } from "../../../shared/errors.ts";
import type { Cluster } from "../../../shared/kafka/builtin/cluster.ts";
import { Membership } from "../../../shared/kafka/builtin/membership.ts";
import {
  assignment,
  joinGroup,
  offsetCommit,
  subscription,
  syncGroup,
} from "../../../shared/kafka/requests.ts";

const UNKNOWN_MEMBER_ID = 25;
const NO_PARTITIONS = assignment.encode({ version: 0, topics: [], user_data: null });

/** Brokers that know one topic with three partitions, and tell of it when they are let. */
function brokers() {
  let told = Promise.withResolvers<void>();
  told.resolve();
  const metadata = subscription.encode({ version: 0, topics: ["orders"], user_data: null });
  const answers = new Map<unknown, unknown>([
    [joinGroup, {
      error_code: 0,
      generation_id: 1,
      leader: "me",
      member_id: "me",
      members: [{ member_id: "me", metadata }],
    }],
    [syncGroup, { error_code: 0, assignment: NO_PARTITIONS }],
    [offsetCommit, { topics: [{ partitions: [{ error_code: UNKNOWN_MEMBER_ID }] }] }],
  ]);
  const cluster = {
    settings: { rebalance_timeout_ms: 60_000 },
    coordinator: () => Promise.resolve(1),
    call: (_lane: unknown, _broker: number, request: unknown) =>
      Promise.resolve(answers.get(request)),
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
