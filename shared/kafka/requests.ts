/**
 * What is asked of brokers, and how they answer: the versions that brokers from 3.2 to 4.x know, with
 * the names of https://kafka.apache.org/protocol#protocol_messages
 */
import { Buffer } from "node:buffer";
import {
  boolean,
  bytes,
  type Field,
  int16,
  int32,
  int64,
  int8,
  list,
  listOrNull,
  long,
  MalformedMessageError,
  MessageReader,
  MessageWriter,
  plainBytes,
  plainBytesOrNull,
  plainList,
  plainListOrNull,
  plainStruct,
  plainText,
  plainTextOrNull,
  struct,
  text,
  textOrNull,
  uuid,
} from "../wire/kafka_message.ts";
import type { Fetched, FetchLimits, Wanted } from "./fetch.ts";

/** A kind of request. */
export interface Request<Asked, Answer> {
  readonly name: string;
  readonly key: number;
  readonly version: number;
  /** Whether the heads of request and answer have tagged fields. */
  readonly flexible: boolean;
  /** The body, in pieces. */
  encode(asked: Asked): readonly Uint8Array[];
  /** Reads the body of the answer. Throws MalformedMessageError. */
  decode(body: Buffer): Answer;
}

/** What a kind of request is answered with. */
// deno-lint-ignore no-explicit-any -- whatever is asked
export type AnswerTo<Of> = Of extends Request<any, infer Answer> ? Answer : never;

function request<Asked, Answer>(
  name: string,
  key: number,
  version: number,
  asked: Field<Asked>,
  answer: Field<Answer>,
  flexible = true,
): Request<Asked, Answer> {
  return {
    name,
    key,
    version,
    flexible,
    encode: (values) => encodeMessage(asked, values),
    decode: (body) => decodeMessage(answer, body),
  };
}

function encodeMessage<Value>(field: Field<Value>, value: Value): readonly Uint8Array[] {
  const writer = new MessageWriter();
  field.write(writer, value);
  return writer.pieces;
}

/** Nothing may be left: what is there would be of another version. */
function decodeMessage<Value>(field: Field<Value>, body: Buffer): Value {
  const reader = new MessageReader(body);
  const value = field.read(reader);
  if (reader.left === 0) return value;
  throw new MalformedMessageError(`${reader.left} bytes follow the message`);
}

const throttle_time_ms = int32;
const error_code = int16;
const error_message = textOrNull;

/** A member of a group in a generation of it. */
const member = {
  group_id: text,
  generation_id: int32,
  member_id: text,
  group_instance_id: textOrNull,
};

/** What was done with partitions, one by one. */
const partitionErrors = list(struct({
  name: text,
  partitions: list(struct({ partition_index: int32, error_code })),
}));

/** Who asks: nobody that replicates. */
export const CLIENT = -1;
/** Reads past open transactions: all that list-sync writes is outside of them. */
export const READ_UNCOMMITTED = 0;
/** A topic's id where its name is told. */
export const NO_UUID = "00000000-0000-0000-0000-000000000000";
/** Timestamps that stand for an end of a partition. */
export const [FIRST, END] = [-2, -1];

// Cluster and topics --------------------------------------------------------------------------------

export const metadata = request(
  "Metadata",
  3,
  12,
  struct({
    topics: listOrNull(struct({ topic_id: uuid, name: textOrNull })),
    allow_auto_topic_creation: boolean,
    include_topic_authorized_operations: boolean,
  }),
  struct({
    throttle_time_ms,
    brokers: list(struct({ node_id: int32, host: text, port: int32, rack: textOrNull })),
    cluster_id: textOrNull,
    controller_id: int32,
    topics: list(struct({
      error_code,
      name: textOrNull,
      topic_id: uuid,
      is_internal: boolean,
      partitions: list(struct({
        error_code,
        partition_index: int32,
        leader_id: int32,
        leader_epoch: int32,
        replica_nodes: list(int32),
        isr_nodes: list(int32),
        offline_replicas: list(int32),
      })),
      topic_authorized_operations: int32,
    })),
  }),
);

/** A question about topics; null: about all. */
export function aboutTopics(topics: readonly string[] | null) {
  return {
    topics: topics && topics.map((name) => ({ topic_id: NO_UUID, name })),
    allow_auto_topic_creation: false,
    include_topic_authorized_operations: false,
  };
}

export const findCoordinator = request(
  "FindCoordinator",
  10,
  3,
  struct({ key: text, key_type: int8 }),
  struct({ throttle_time_ms, error_code, error_message, node_id: int32, host: text, port: int32 }),
);

export const createTopics = request(
  "CreateTopics",
  19,
  7,
  struct({
    topics: list(struct({
      name: text,
      num_partitions: int32,
      replication_factor: int16,
      assignments: list(struct({ partition_index: int32, broker_ids: list(int32) })),
      configs: list(struct({ name: text, value: textOrNull })),
    })),
    timeout_ms: int32,
    validate_only: boolean,
  }),
  struct({
    throttle_time_ms,
    topics: list(struct({
      name: text,
      topic_id: uuid,
      error_code,
      error_message,
      num_partitions: int32,
      replication_factor: int16,
      configs: listOrNull(struct({
        name: text,
        value: textOrNull,
        read_only: boolean,
        config_source: int8,
        is_sensitive: boolean,
      })),
    })),
  }),
);

export const deleteTopics = request(
  "DeleteTopics",
  20,
  6,
  struct({ topics: list(struct({ name: textOrNull, topic_id: uuid })), timeout_ms: int32 }),
  struct({
    throttle_time_ms,
    responses: list(struct({ name: textOrNull, topic_id: uuid, error_code, error_message })),
  }),
);

export const describeConfigs = request(
  "DescribeConfigs",
  32,
  4,
  struct({
    resources: list(struct({
      resource_type: int8,
      resource_name: text,
      configuration_keys: listOrNull(text),
    })),
    include_synonyms: boolean,
    include_documentation: boolean,
  }),
  struct({
    throttle_time_ms,
    results: list(struct({
      error_code,
      error_message,
      resource_type: int8,
      resource_name: text,
      configs: list(struct({
        name: text,
        value: textOrNull,
        read_only: boolean,
        config_source: int8,
        is_sensitive: boolean,
        synonyms: list(struct({ name: text, value: textOrNull, source: int8 })),
        config_type: int8,
        documentation: textOrNull,
      })),
    })),
  }),
);

// Records -------------------------------------------------------------------------------------------

export const produce = request(
  "Produce",
  0,
  9,
  struct({
    transactional_id: textOrNull,
    acks: int16,
    timeout_ms: int32,
    topics: list(struct({
      name: text,
      partitions: list(struct({ index: int32, records: bytes })),
    })),
  }),
  struct({
    responses: list(struct({
      name: text,
      partitions: list(struct({
        index: int32,
        error_code,
        base_offset: long,
        log_append_time_ms: long,
        log_start_offset: long,
        record_errors: list(struct({ batch_index: int32, message: textOrNull })),
        error_message,
      })),
    })),
    throttle_time_ms,
  }),
);

const fetchQuestion = plainStruct({
  replica_id: int32,
  max_wait_ms: int32,
  min_bytes: int32,
  max_bytes: int32,
  isolation_level: int8,
  session_id: int32,
  session_epoch: int32,
  topics: plainList(plainStruct({
    topic: plainText,
    partitions: plainList(plainStruct({
      partition: int32,
      current_leader_epoch: int32,
      fetch_offset: long,
      log_start_offset: long,
      partition_max_bytes: int32,
    })),
  })),
  forgotten_topics: plainList(plainStruct({ topic: plainText, partitions: plainList(int32) })),
  rack_id: plainText,
});

const fetchAnswer = plainStruct({
  throttle_time_ms: int32,
  error_code: int16,
  session_id: int32,
  topics: plainList(plainStruct({
    topic: plainText,
    partitions: plainList(plainStruct({
      partition: int32,
      error_code: int16,
      high_watermark: long,
      last_stable_offset: long,
      log_start_offset: long,
      aborted_transactions: plainListOrNull(
        plainStruct({ producer_id: int64, first_offset: long }),
      ),
      preferred_read_replica: int32,
      records: plainBytesOrNull,
    })),
  })),
});

/** The last version that is not flexible. */
export const fetch: Request<
  { readonly wanted: readonly Wanted[]; readonly limits: FetchLimits },
  { readonly error_code: number; readonly partitions: readonly Fetched[] }
> = {
  name: "Fetch",
  key: 1,
  version: 11,
  flexible: false,
  encode: ({ wanted, limits }) =>
    encodeMessage(fetchQuestion, {
      replica_id: CLIENT,
      max_wait_ms: limits.wait_ms,
      min_bytes: 1,
      max_bytes: limits.max_bytes,
      isolation_level: READ_UNCOMMITTED,
      session_id: 0, // no session
      session_epoch: -1,
      topics: [...Map.groupBy(wanted, ({ topic }) => topic)].map(([topic, all]) => ({
        topic,
        partitions: all.map(({ partition, leader_epoch, offset, max_bytes }) => ({
          partition,
          current_leader_epoch: leader_epoch ?? -1,
          fetch_offset: offset,
          log_start_offset: -1, // followers only
          partition_max_bytes: max_bytes,
        })),
      })),
      forgotten_topics: [],
      rack_id: "",
    }),
  decode(body) {
    const { error_code, topics } = decodeMessage(fetchAnswer, body);
    const partitions = topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, error_code, high_watermark, records }) => ({
        topic,
        partition,
        error_code,
        end_offset: high_watermark,
        bytes: records ?? NO_BYTES,
      }))
    );
    return { error_code, partitions };
  },
};

const NO_BYTES = new Uint8Array();

export const listOffsets = request(
  "ListOffsets",
  2,
  7,
  struct({
    replica_id: int32,
    isolation_level: int8,
    topics: list(struct({
      name: text,
      partitions: list(struct({
        partition_index: int32,
        current_leader_epoch: int32,
        timestamp: long,
      })),
    })),
  }),
  struct({
    throttle_time_ms,
    topics: list(struct({
      name: text,
      partitions: list(struct({
        partition_index: int32,
        error_code,
        timestamp: long,
        offset: long,
        leader_epoch: int32,
      })),
    })),
  }),
);

// Transactions: of a producer's fence ---------------------------------------------------------------

export const initProducerId = request(
  "InitProducerId",
  22,
  4,
  struct({
    transactional_id: textOrNull,
    transaction_timeout_ms: int32,
    producer_id: int64,
    producer_epoch: int16,
  }),
  struct({ throttle_time_ms, error_code, producer_id: int64, producer_epoch: int16 }),
);

export const addPartitionsToTxn = request(
  "AddPartitionsToTxn",
  24,
  3,
  struct({
    transactional_id: text,
    producer_id: int64,
    producer_epoch: int16,
    topics: list(struct({ name: text, partitions: list(int32) })),
  }),
  struct({ throttle_time_ms, results: partitionErrors }),
);

export const endTxn = request(
  "EndTxn",
  26,
  3,
  struct({ transactional_id: text, producer_id: int64, producer_epoch: int16, committed: boolean }),
  struct({ throttle_time_ms, error_code }),
);

export const describeTransactions = request(
  "DescribeTransactions",
  65,
  0,
  struct({ transactional_ids: list(text) }),
  struct({
    throttle_time_ms,
    transaction_states: list(struct({
      error_code,
      transactional_id: text,
      transaction_state: text,
      transaction_timeout_ms: int32,
      transaction_start_time_ms: long,
      producer_id: int64,
      producer_epoch: int16,
      topics: list(struct({ topic: text, partitions: list(int32) })),
    })),
  }),
);

// Groups --------------------------------------------------------------------------------------------

export const joinGroup = request(
  "JoinGroup",
  11,
  7,
  struct({
    group_id: text,
    session_timeout_ms: int32,
    rebalance_timeout_ms: int32,
    member_id: text,
    group_instance_id: textOrNull,
    protocol_type: text,
    protocols: list(struct({ name: text, metadata: bytes })),
  }),
  struct({
    throttle_time_ms,
    error_code,
    generation_id: int32,
    protocol_type: textOrNull,
    protocol_name: textOrNull,
    leader: text,
    member_id: text,
    members: list(struct({ member_id: text, group_instance_id: textOrNull, metadata: bytes })),
  }),
);

export const syncGroup = request(
  "SyncGroup",
  14,
  5,
  struct({
    ...member,
    protocol_type: textOrNull,
    protocol_name: textOrNull,
    assignments: list(struct({ member_id: text, assignment: bytes })),
  }),
  struct({
    throttle_time_ms,
    error_code,
    protocol_type: textOrNull,
    protocol_name: textOrNull,
    assignment: bytes,
  }),
);

export const heartbeat = request(
  "Heartbeat",
  12,
  4,
  struct(member),
  struct({ throttle_time_ms, error_code }),
);

export const leaveGroup = request(
  "LeaveGroup",
  13,
  5,
  struct({
    group_id: text,
    members: list(struct({ member_id: text, group_instance_id: textOrNull, reason: textOrNull })),
  }),
  struct({
    throttle_time_ms,
    error_code,
    members: list(struct({ member_id: text, group_instance_id: textOrNull, error_code })),
  }),
);

export const offsetCommit = request(
  "OffsetCommit",
  8,
  8,
  struct({
    ...member,
    topics: list(struct({
      name: text,
      partitions: list(struct({
        partition_index: int32,
        committed_offset: long,
        committed_leader_epoch: int32,
        committed_metadata: textOrNull,
      })),
    })),
  }),
  struct({ throttle_time_ms, topics: partitionErrors }),
);

export const offsetFetch = request(
  "OffsetFetch",
  9,
  8,
  struct({
    groups: list(struct({
      group_id: text,
      topics: listOrNull(struct({ name: text, partition_indexes: list(int32) })),
    })),
    require_stable: boolean,
  }),
  struct({
    throttle_time_ms,
    groups: list(struct({
      group_id: text,
      topics: list(struct({
        name: text,
        partitions: list(struct({
          partition_index: int32,
          committed_offset: long,
          committed_leader_epoch: int32,
          metadata: textOrNull,
          error_code,
        })),
      })),
      error_code,
    })),
  }),
);

export const describeGroups = request(
  "DescribeGroups",
  15,
  5,
  struct({ groups: list(text), include_authorized_operations: boolean }),
  struct({
    throttle_time_ms,
    groups: list(struct({
      error_code,
      group_id: text,
      group_state: text,
      protocol_type: text,
      protocol_data: text,
      members: list(struct({
        member_id: text,
        group_instance_id: textOrNull,
        client_id: text,
        client_host: text,
        member_metadata: bytes,
        member_assignment: bytes,
      })),
      authorized_operations: int32,
    })),
  }),
);

export const deleteGroups = request(
  "DeleteGroups",
  42,
  2,
  struct({ groups_names: list(text) }),
  struct({ throttle_time_ms, results: list(struct({ group_id: text, error_code })) }),
);

// What members of a group tell each other through the coordinator -----------------------------------

const subscriptionFields = plainStruct({
  version: int16,
  topics: plainList(plainText),
  user_data: plainBytesOrNull,
});

const assignmentFields = plainStruct({
  version: int16,
  topics: plainList(plainStruct({ topic: plainText, partitions: plainList(int32) })),
  user_data: plainBytesOrNull,
});

/** A message within a message: its bytes, and back. */
function message<Value>(field: Field<Value>) {
  return {
    encode: (value: Value): Uint8Array => Buffer.concat(encodeMessage(field, value)),
    decode: (body: Uint8Array): Value =>
      field.read(new MessageReader(Buffer.from(body.buffer, body.byteOffset, body.byteLength))),
  };
}

/** Which topics a member wants to read. */
export const subscription = message(subscriptionFields);

/** Which partitions a member gets. */
export const assignment = message(assignmentFields);

/** Which versions of which requests a broker knows. */
export const apiVersions = request(
  "ApiVersions",
  18,
  0,
  plainStruct({}),
  plainStruct({
    error_code,
    api_keys: plainList(plainStruct({ key: int16, min_version: int16, max_version: int16 })),
  }),
  false,
);

// Login ---------------------------------------------------------------------------------------------

export const saslHandshake = request(
  "SaslHandshake",
  17,
  1,
  plainStruct({ mechanism: plainText }),
  plainStruct({ error_code, mechanisms: plainList(plainText) }),
  false,
);

export const saslAuthenticate = request(
  "SaslAuthenticate",
  36,
  1,
  plainStruct({ auth_bytes: plainBytes }),
  plainStruct({
    error_code,
    error_message: plainTextOrNull,
    auth_bytes: plainBytes,
    session_lifetime_ms: long,
  }),
  false,
);
