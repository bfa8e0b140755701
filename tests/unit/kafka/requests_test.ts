/** Our requests beside those of a library that others use, byte by byte. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import * as library from "@platformatic/kafka";
import { errorName } from "../../../shared/kafka/error_names.ts";
import * as requests from "../../../shared/kafka/requests.ts";
import type { Request } from "../../../shared/kafka/requests.ts";

const ID = "12345678-9abc-def0-1234-56789abcdef0";
const NO_ID = "00000000-0000-0000-0000-000000000000";

/** A request of ours, and the same of the library's. */
interface Pair {
  readonly name: string;
  readonly ours: { readonly key: number; readonly version: number; readonly bytes: Buffer };
  readonly theirs: { readonly key?: number; readonly version?: number; readonly bytes: Buffer };
}

interface LibraryApi<Arguments extends unknown[]> {
  readonly api: { readonly key?: number; readonly version?: number };
  readonly createRequest: (...args: Arguments) => library.Writer;
}

function pair<Asked, Arguments extends unknown[]>(
  name: string,
  ours: Request<Asked, unknown>,
  asked: Asked,
  theirs: LibraryApi<Arguments>,
  ...args: Arguments
): Pair {
  const { key, version } = ours;
  return {
    name,
    ours: { key, version, bytes: Buffer.concat(ours.encode(asked)) },
    theirs: {
      key: theirs.api.key,
      version: theirs.api.version,
      bytes: theirs.createRequest(...args).buffer,
    },
  };
}

const long_name = "ü".repeat(100); // its length takes two bytes

/** Of a fetched partition, and not of version 11. */
const FOR_LIBRARY = { lastFetchedEpoch: -1 };

const PAIRS: readonly Pair[] = [
  pair(
    "findCoordinator",
    requests.findCoordinator,
    { key: "g", key_type: 1 },
    library.findCoordinatorV3,
    1,
    ["g"],
  ),
  pair(
    "fetch",
    requests.fetch,
    {
      wanted: [
        { topic: "a", partition: 0, offset: 2 ** 33, max_bytes: 100, leader_epoch: 4 },
        { topic: "b", partition: 0, offset: 0, max_bytes: 200 },
        { topic: "a", partition: 5, offset: 1, max_bytes: 300, leader_epoch: 6 },
      ],
      limits: { wait_ms: 500, max_bytes: 1_000 },
    },
    library.fetchV11,
    500,
    1,
    1_000,
    0,
    0,
    -1,
    [
      {
        topicId: "a",
        partitions: [
          {
            ...FOR_LIBRARY,
            partition: 0,
            currentLeaderEpoch: 4,
            fetchOffset: 2n ** 33n,
            partitionMaxBytes: 100,
          },
          {
            ...FOR_LIBRARY,
            partition: 5,
            currentLeaderEpoch: 6,
            fetchOffset: 1n,
            partitionMaxBytes: 300,
          },
        ],
      },
      {
        topicId: "b",
        partitions: [{
          ...FOR_LIBRARY,
          partition: 0,
          currentLeaderEpoch: -1,
          fetchOffset: 0n,
          partitionMaxBytes: 200,
        }],
      },
    ],
    [],
    "",
  ),
  pair(
    "metadata",
    requests.metadata,
    {
      topics: [{ topic_id: NO_ID, name: long_name }],
      allow_auto_topic_creation: false,
      include_topic_authorized_operations: true,
    },
    library.metadataV12,
    [long_name],
    false,
    true,
  ),
  pair(
    "createTopics",
    requests.createTopics,
    {
      topics: [{
        name: "t",
        num_partitions: 3,
        replication_factor: 2,
        assignments: [],
        configs: [{ name: "min.insync.replicas", value: "2" }],
      }],
      timeout_ms: 30_000,
      validate_only: true,
    },
    library.createTopicsV7,
    [{
      name: "t",
      numPartitions: 3,
      replicationFactor: 2,
      assignments: [],
      configs: [{ name: "min.insync.replicas", value: "2" }],
    }],
    30_000,
    true,
  ),
  pair(
    "deleteTopics",
    requests.deleteTopics,
    { topics: [{ name: "t", topic_id: NO_ID }], timeout_ms: 5 },
    library.deleteTopicsV6,
    [{ name: "t" }],
    5,
  ),
  pair(
    "describeConfigs",
    requests.describeConfigs,
    {
      resources: [{ resource_type: 2, resource_name: "t", configuration_keys: null }],
      include_synonyms: false,
      include_documentation: false,
    },
    library.describeConfigsV4,
    [{ resourceType: 2, resourceName: "t", configurationKeys: null }],
    false,
    false,
  ),
  pair(
    "listOffsets",
    requests.listOffsets,
    {
      replica_id: -1,
      isolation_level: 0,
      topics: [{
        name: "t",
        partitions: [{ partition_index: 1, current_leader_epoch: 7, timestamp: -2 }],
      }],
    },
    library.listOffsetsV7,
    -1,
    0,
    [{
      name: "t",
      partitions: [{ partitionIndex: 1, currentLeaderEpoch: 7, timestamp: -2n }],
    }],
  ),
  pair(
    "initProducerId",
    requests.initProducerId,
    {
      transactional_id: "id",
      transaction_timeout_ms: 60_000,
      producer_id: -1n,
      producer_epoch: -1,
    },
    library.initProducerIdV4,
    "id",
    60_000,
    -1n,
    -1,
  ),
  pair(
    "addPartitionsToTxn",
    requests.addPartitionsToTxn,
    {
      transactional_id: "id",
      producer_id: 5n,
      producer_epoch: 3,
      topics: [{ name: "t", partitions: [0, 2] }],
    },
    library.addPartitionsToTxnV3,
    [{
      transactionalId: "id",
      producerId: 5n,
      producerEpoch: 3,
      verifyOnly: false,
      topics: [{ name: "t", partitions: [0, 2] }],
    }],
  ),
  pair(
    "endTxn",
    requests.endTxn,
    { transactional_id: "id", producer_id: 5n, producer_epoch: 3, committed: false },
    library.endTxnV3,
    "id",
    5n,
    3,
    false,
  ),
  pair(
    "describeTransactions",
    requests.describeTransactions,
    { transactional_ids: ["a", "b"] },
    library.describeTransactionsV0,
    ["a", "b"],
  ),
  pair(
    "joinGroup",
    requests.joinGroup,
    {
      group_id: "g",
      session_timeout_ms: 45_000,
      rebalance_timeout_ms: 60_000,
      member_id: "",
      group_instance_id: null,
      protocol_type: "consumer",
      protocols: [{ name: "roundrobin", metadata: Buffer.from([1, 2, 3]) }],
    },
    library.joinGroupV7,
    "g",
    45_000,
    60_000,
    "",
    null,
    "consumer",
    [
      { name: "roundrobin", metadata: Buffer.from([1, 2, 3]) },
    ],
  ),
  pair(
    "syncGroup",
    requests.syncGroup,
    {
      group_id: "g",
      generation_id: 4,
      member_id: "m",
      group_instance_id: null,
      protocol_type: "consumer",
      protocol_name: "roundrobin",
      assignments: [{ member_id: "m", assignment: Buffer.from([9]) }],
    },
    library.syncGroupV5,
    "g",
    4,
    "m",
    null,
    "consumer",
    "roundrobin",
    [{ memberId: "m", assignment: Buffer.from([9]) }],
  ),
  pair(
    "heartbeat",
    requests.heartbeat,
    { group_id: "g", generation_id: 4, member_id: "m", group_instance_id: null },
    library.heartbeatV4,
    "g",
    4,
    "m",
    null,
  ),
  pair(
    "leaveGroup",
    requests.leaveGroup,
    {
      group_id: "g",
      members: [{ member_id: "m", group_instance_id: null, reason: "closed" }],
    },
    library.leaveGroupV5,
    "g",
    [{ memberId: "m", groupInstanceId: null, reason: "closed" }],
  ),
  pair(
    "offsetCommit",
    requests.offsetCommit,
    {
      group_id: "g",
      generation_id: 4,
      member_id: "m",
      group_instance_id: null,
      topics: [{
        name: "t",
        partitions: [{
          partition_index: 2,
          committed_offset: 2 ** 40,
          committed_leader_epoch: -1,
          committed_metadata: null,
        }],
      }],
    },
    library.offsetCommitV8,
    "g",
    4,
    "m",
    null,
    [{
      name: "t",
      partitions: [{
        partitionIndex: 2,
        committedOffset: 2n ** 40n,
        committedLeaderEpoch: -1,
        committedMetadata: null,
      }],
    }],
  ),
  pair(
    "offsetFetch",
    requests.offsetFetch,
    {
      groups: [{ group_id: "g", topics: [{ name: "t", partition_indexes: [0, 1] }] }],
      require_stable: true,
    },
    library.offsetFetchV8,
    [{
      groupId: "g",
      memberId: null,
      memberEpoch: -1,
      topics: [{ name: "t", partitionIndexes: [0, 1] }],
    }],
    true,
  ),
  pair(
    "describeGroups",
    requests.describeGroups,
    { groups: ["g"], include_authorized_operations: true },
    library.describeGroupsV5,
    ["g"],
    true,
  ),
  pair(
    "deleteGroups",
    requests.deleteGroups,
    { groups_names: ["g"] },
    library.deleteGroupsV2,
    ["g"],
  ),
  pair(
    "saslHandshake",
    requests.saslHandshake,
    { mechanism: "PLAIN" },
    library.saslHandshakeV1,
    "PLAIN",
  ),
  pair(
    "saslAuthenticate",
    requests.saslAuthenticate,
    { auth_bytes: Buffer.from([1, 2]) },
    library.saslAuthenticateV1,
    Buffer.from([1, 2]),
  ),
];

for (const { name, ours, theirs } of PAIRS) {
  Deno.test(`the request ${name} is the library's`, () => {
    const hex = ({ key, version, bytes }: Pair["ours"] | Pair["theirs"]) => ({
      key,
      version,
      body: bytes.toString("hex"),
    });
    assert.deepEqual(hex(ours), hex(theirs));
  });
}

Deno.test("what members tell each other is read by the library, and what it tells by us", () => {
  const topics = ["orders", long_name];
  const asked = { version: 0, topics, user_data: null };
  const read = library.decodeConsumerProtocolSubscription(
    Buffer.from(requests.subscription.encode(asked)),
  );
  assert.deepEqual(read.topics, topics);
  const theirs = library.encodeConsumerProtocolSubscription({ version: 1, topics });
  assert.deepEqual(requests.subscription.decode(theirs).topics, topics);

  const assigned = {
    version: 0,
    topics: [{ topic: "orders", partitions: [0, 2] }],
    user_data: null,
  };
  const { assignedPartitions } = library.decodeConsumerProtocolAssignment(
    Buffer.from(requests.assignment.encode(assigned)),
  );
  assert.deepEqual(assignedPartitions, assigned.topics);
  const given = library.encodeConsumerProtocolAssignment({ version: 0, assignedPartitions });
  assert.deepEqual(requests.assignment.decode(given).topics, assigned.topics);
});

Deno.test("an answer is read with nulls, ids, negative numbers and tagged fields that nobody knows", () => {
  const { Writer } = library;
  const body = Writer.create()
    .appendInt32(0)
    .appendArray(
      [1],
      (writer) => writer.appendInt32(1).appendString("host").appendInt32(9092).appendString(null),
    )
    .appendString(null)
    .appendInt32(-1)
    .appendArray(
      [1],
      (writer) =>
        writer.appendInt16(0).appendString("t").appendUUID(ID).appendBoolean(false)
          .appendArray([1], (writer) =>
            writer.appendInt16(9).appendInt32(2).appendInt32(-1).appendInt32(7)
              .appendArray(
                [1, 2],
                (writer, node) =>
                  writer.appendInt32(node),
                true,
                false,
              )
              .appendArray([], () => {}, true, false)
              .appendArray([2], (writer, node) => writer.appendInt32(node), true, false))
          .appendInt32(-(2 ** 31)),
    )
    .appendUnsignedVarInt(1).appendUnsignedVarInt(300).appendUnsignedVarInt(2).append(
      Buffer.from([1, 2]),
    )
    .buffer;
  assert.deepEqual(requests.metadata.decode(body), {
    throttle_time_ms: 0,
    brokers: [{ node_id: 1, host: "host", port: 9092, rack: null }],
    cluster_id: null,
    controller_id: -1,
    topics: [{
      error_code: 0,
      name: "t",
      topic_id: ID,
      is_internal: false,
      partitions: [{
        error_code: 9,
        partition_index: 2,
        leader_id: -1,
        leader_epoch: 7,
        replica_nodes: [1, 2],
        isr_nodes: [],
        offline_replicas: [2],
      }],
      topic_authorized_operations: -(2 ** 31),
    }],
  });
});

Deno.test("bytes after an answer are told: it would be one of another version", () => {
  const answer = Buffer.alloc(7); // throttle time, error code, tagged fields
  assert.equal(requests.heartbeat.decode(answer).error_code, 0);
  const longer = Buffer.concat([answer, Buffer.alloc(1)]);
  assert.throws(() => requests.heartbeat.decode(longer), /1 bytes follow the message/);
});

Deno.test("error codes have the names that the library gives them", () => {
  for (const [code, name] of Object.entries(library.protocolErrorsCodesById)) {
    assert.equal(errorName(Number(code)), name);
  }
  assert.equal(errorName(999), "error 999");
});
