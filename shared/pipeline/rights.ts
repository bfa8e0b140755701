/** Whether the brokers' ACLs let a job do its work: asked before it begins, each lack with the command that mends it. */
import type { Admin, Operation, Resource } from "../kafka/port.ts";
import type { Finding } from "../sources/source.ts";
import { deadLetterIds } from "./poison.ts";
import { POSITIONS_TOPIC } from "./positions.ts";
import { SCHEMAS_TOPIC } from "./schemas.ts";

/** What a job needs to be allowed. */
export interface WantedRight {
  readonly resource: Resource;
  readonly name: string;
  readonly operations: readonly Operation[];
  /** The right is to all names that begin so. */
  readonly is_prefix?: true;
}

const WRITING: readonly Operation[] = ["Create", "Read", "Write", "DescribeConfigs"];

/** What a capture needs. `topics`: those that it is known to write. */
export function captureRights(
  transactional_id: string,
  topics: readonly string[],
): WantedRight[] {
  return [
    { resource: "transactional-id", name: transactional_id, operations: ["Write"] },
    ...[POSITIONS_TOPIC, SCHEMAS_TOPIC, ...topics].map((name): WantedRight => ({
      resource: "topic",
      name,
      operations: WRITING,
    })),
  ];
}

/** What a consumer needs. `topics`: those that it names. */
export function consumeRights(
  group_id: string,
  topics: readonly string[],
  dead_letter_topic?: string,
): WantedRight[] {
  const name = deadLetterIds(group_id);
  const dead_letters: readonly WantedRight[] = dead_letter_topic === undefined ? [] : [
    { resource: "topic", name: dead_letter_topic, operations: WRITING },
    { resource: "transactional-id", name, operations: ["Write"], is_prefix: true },
  ];
  return [
    ...dead_letters,
    { resource: "group", name: group_id, operations: ["Read"] },
    ...[SCHEMAS_TOPIC, ...topics].map((name): WantedRight => ({
      resource: "topic",
      name,
      operations: ["Read"],
    })),
  ];
}

/** What looking at a group's dead letters needs. */
export function letterRights(dead_letter_topic: string): WantedRight[] {
  return [{ resource: "topic", name: dead_letter_topic, operations: ["Read"] }];
}

/** What replaying them needs. `topics`: those that they came from. */
export function replayRights(
  group_id: string,
  dead_letter_topic: string,
  topics: readonly string[],
): WantedRight[] {
  return [
    { resource: "topic", name: dead_letter_topic, operations: ["Read", "Write"] },
    { resource: "topic", name: SCHEMAS_TOPIC, operations: ["Read"] },
    ...topics.map((name): WantedRight => ({ resource: "topic", name, operations: ["Write"] })),
    {
      resource: "transactional-id",
      name: deadLetterIds(group_id),
      operations: ["Write"],
      is_prefix: true,
    },
  ];
}

/** One error for each resource that the user may not use as the job does. */
export async function rightsFindings(
  admin: Admin,
  wanted: readonly WantedRight[],
  user: string,
): Promise<Finding[]> {
  const findings = await Promise.all(wanted.map((right) => rightFinding(admin, right, user)));
  return findings.flat();
}

async function rightFinding(
  admin: Admin,
  right: WantedRight,
  user: string,
): Promise<Finding[]> {
  const { resource, name, operations } = right;
  const subject = `${resource} ${name}`;
  const held = await admin.rights(resource, name);
  if (held === undefined) {
    if (!operations.includes("Create") || await admin.mayCreate(name)) return [];
    const found = `it is not there, and ${user} may not create it`;
    return [{ level: "error", subject, found, cure: cureOf(right, user) }];
  }
  // Of a transactional id no more can be asked; a topic that is there need not be made.
  const asked = resource === "transactional-id"
    ? ["Describe" as const]
    : operations.filter((operation) => operation !== "Create");
  const missing = asked.filter((operation) => !held.has(operation));
  if (missing.length === 0) return [];
  const found = held.size === 0
    ? `${user} has no right to it`
    : `${user} lacks ${missing.join(" and ")}`;
  return [{ level: "error", subject, found, cure: cureOf(right, user) }];
}

function cureOf({ resource, name, operations, is_prefix }: WantedRight, user: string): string {
  const list = operations.map((operation) => `--operation ${operation}`).join(" ");
  return `kafka-acls.sh --bootstrap-server BROKER --add --allow-principal User:${user}` +
    ` ${list} --${resource} ${name}${is_prefix ? " --resource-pattern-type prefixed" : ""}`;
}
