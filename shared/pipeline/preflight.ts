/** Looks at the brokers before work begins: what would fail or surprise later is said now, with its cure. */
import { connect } from "node:net";
import { endpoint } from "../jobs/permissions.ts";
import type { Admin, TopicInfo } from "../kafka/port.ts";
import type { Finding } from "../sources/source.ts";
import { rightsFindings, type WantedRight } from "./rights.ts";
import { minInsync, POSITIONS_TOPIC } from "./positions.ts";
import { SCHEMAS_TOPIC } from "./schemas.ts";

/** What a job will do with the brokers. */
export interface Preflight {
  readonly admin: Admin;
  /** Longest wait for one broker's port, in milliseconds. */
  readonly connect_timeout_ms: number;
  /** Whether this process may connect to `host:port`; without it every address is tried. */
  readonly mayConnect?: (address: string) => boolean;
  /** The job's topics: a test of names, and how the job writes it down. */
  readonly topics: { readonly match: (name: string) => boolean; readonly text: string };
  /** What the brokers must allow to `user`. */
  readonly rights: readonly WantedRight[];
  /** The login's name. */
  readonly user: string;
  /** For a job that writes: how missing topics are made, and the largest batch. */
  readonly writes?: {
    readonly partitions: number;
    readonly replication_factor: number;
    readonly batch_bytes?: number;
  };
  /** For a job that puts what it cannot apply on a topic: its name. */
  readonly dead_letter_topic?: string | undefined;
}

/** What was found, errors and warnings with a cure to paste. Changes nothing. */
export async function preflight(job: Preflight): Promise<Finding[]> {
  const brokers = await job.admin.brokers();
  const [reached, rights] = await Promise.all([
    Promise.all(brokers.map((address) => brokerFinding(address, job))),
    rightsFindings(job.admin, job.rights, job.user),
  ]);
  // Without rights nothing more can be seen, and would be told as missing.
  const existing = rights.length > 0 ? [] : await topicsOf(job);
  const topics = rights.length > 0
    ? rights
    : [...await topicFindings(existing, job), ...await deadLetterFindings(job)];
  // A broker that went down a moment ago is still advertised: while another answers, work can begin.
  const unreached = reached.some(({ level }) => level === "ok") ? "warning" : "error";
  const judged = reached.map(({ level, ...finding }): Finding => ({
    level: level === "unreached" ? unreached : level,
    ...finding,
  }));
  return [...judged, ...replicationFindings(brokers, existing, job), ...topics];
}

/** `unreached` becomes a warning or an error once all brokers are known. */
type Reached = Omit<Finding, "level"> & { level: Finding["level"] | "unreached" };

async function brokerFinding(address: string, job: Preflight): Promise<Reached> {
  const subject = `broker ${address}`;
  if (job.mayConnect && !job.mayConnect(address)) {
    return {
      level: "error",
      subject,
      found: "the bootstrap brokers advertise it, and this process may not connect to it " +
        "(kafka.brokers is what the permission is derived from)",
      cure: `start the job by \`deno task\`, or add --allow-net=${address} to \`deno run\``,
    };
  }
  const { host, port } = endpoint(address);
  try {
    await reach(host, port, job.connect_timeout_ms);
    return { level: "ok", subject, found: "reachable at its advertised address" };
  } catch (error) {
    return {
      level: "unreached",
      subject,
      found: `advertised, but not reachable from here: ${(error as Error).message}`,
      cure:
        "start that broker, or set its `advertised.listeners` to a name that this host resolves",
    };
  }
}

/** Opens and closes a TCP connection. */
function reach(host: string, port: number, timeout_ms: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port });
    const end = (error?: Error) => {
      socket.destroy();
      if (error) reject(error);
      else resolve();
    };
    socket.setTimeout(timeout_ms, () => end(new Error(`no answer within ${timeout_ms} ms`)));
    socket.once("connect", () => end());
    socket.once("error", end);
  });
}

/** Accepts the topics that a template can make for the job `name`. */
export function templateMatcher(template: string, name: string): (topic: string) => boolean {
  const parts = template.split(/(\{\w+\})/).map((part) => {
    if (part === "{name}") return quoted(name);
    return /^\{\w+\}$/.test(part) ? ".+" : quoted(part.replace(/[^a-zA-Z0-9._-]/g, "_"));
  });
  const pattern = new RegExp(`^${parts.join("")}$`);
  return (topic) => pattern.test(topic);
}

function quoted(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
}

function replicationFindings(
  brokers: readonly string[],
  existing: readonly TopicInfo[],
  { writes }: Preflight,
): Finding[] {
  if (!writes) return [];
  const subject = "replication_factor";
  const { replication_factor: wanted } = writes;
  if (wanted > brokers.length) {
    const found = `the job asks for ${wanted}, and the cluster has ${brokers.length} brokers`;
    // Brokers that are down are not told of; topics that need them show that they exist.
    if (existing.some((topic) => topic.replication_factor >= wanted)) {
      return [{
        level: "warning",
        subject,
        found: `${found} that are up; topics with ${wanted} replicas are there`,
        cure: "start the others",
      }];
    }
    return [{
      level: "error",
      subject,
      found,
      cure: `kafka:\n  replication_factor: ${brokers.length}`,
    }];
  }
  if (wanted === 1) {
    return [{
      level: "warning",
      subject,
      found: "1: new topics have a single copy, which is lost with its disk",
      cure: "kafka:\n  replication_factor: 3",
    }];
  }
  return [{ level: "ok", subject, found: `${wanted} of ${brokers.length} brokers` }];
}

/** The topics that the job reads or writes and that are there. */
async function topicsOf(job: Preflight): Promise<TopicInfo[]> {
  const own = [POSITIONS_TOPIC, SCHEMAS_TOPIC];
  return await job.admin.topics((name) =>
    job.topics.match(name) || (job.writes !== undefined && own.includes(name))
  );
}

async function topicFindings(found: readonly TopicInfo[], job: Preflight): Promise<Finding[]> {
  const existing = found.filter((topic) => job.topics.match(topic.name));
  const findings = await Promise.all(found.map((topic) => topicFinding(topic, job)));
  if (existing.length > 0) return findings.flat();
  const subject = `topics ${job.topics.text}`;
  if (!job.writes) {
    findings.push([{
      level: "warning",
      subject,
      found: "none exists yet",
      cure: "check the names, or start the capture that writes them",
    }]);
  } else {
    const { partitions, replication_factor } = job.writes;
    const how = `${partitions} partitions, ${replication_factor} replicas, ` +
      `min.insync.replicas ${minInsync(replication_factor)}`;
    findings.push([{
      level: "ok",
      subject,
      found: `none exists yet: made when first written (${how})`,
    }]);
  }
  return findings.flat();
}

async function deadLetterFindings({ admin, dead_letter_topic }: Preflight): Promise<Finding[]> {
  if (dead_letter_topic === undefined) return [];
  const subject = `dead letter topic ${dead_letter_topic}`;
  const [topic] = await admin.topics((name) => name === dead_letter_topic);
  if (topic === undefined) {
    const found =
      "none exists yet: made for the first dead letter, as safe as the topic it is from";
    return [{ level: "ok", subject, found }];
  }
  const config = await admin.topicConfig(topic.name);
  const retention_ms = Number(config.get("retention.ms") ?? -1);
  const troubles = [
    ...durabilityTroubles(topic, Number(config.get("min.insync.replicas") ?? 1)),
    ...retentionTroubles(topic, config.get("cleanup.policy") ?? "delete", retention_ms),
  ];
  if (troubles.length > 0) return troubles.map((trouble) => ({ ...trouble, subject }));
  return [{ level: "ok", subject, found: `${topic.replication_factor} replicas, kept for ever` }];
}

/** Dead letters wait for a person. */
function retentionTroubles(topic: TopicInfo, policy: string, retention_ms: number): Trouble[] {
  if (policy !== "delete") {
    const found = `cleanup.policy ${policy}: of records with one key all but the last are deleted`;
    return [{ level: "error", found, cure: alter(topic, "cleanup.policy", "delete") }];
  }
  if (retention_ms === -1) return [];
  const found = `retention.ms ${retention_ms}: letters that are not replayed by then are deleted`;
  return [{ level: "warning", found, cure: alter(topic, "retention.ms", -1) }];
}

async function topicFinding(topic: TopicInfo, job: Preflight): Promise<Finding[]> {
  const subject = `topic ${topic.name}`;
  if (!job.writes) {
    const found = `${topic.partitions} partitions, ${topic.replication_factor} replicas`;
    return [{ level: "ok", subject, found }];
  }
  const config = await job.admin.topicConfig(topic.name);
  const troubles = [
    ...durabilityTroubles(topic, Number(config.get("min.insync.replicas") ?? 1)),
    ...policyTroubles(topic, config.get("cleanup.policy") ?? "delete"),
    ...sizeTroubles(config.get("max.message.bytes"), job.writes.batch_bytes),
  ];
  if (troubles.length > 0) return troubles.map((trouble) => ({ ...trouble, subject }));
  const found = `${topic.partitions} partitions, ${topic.replication_factor} replicas, ` +
    `min.insync.replicas ${config.get("min.insync.replicas")}`;
  return [{ level: "ok", subject, found }];
}

type Trouble = Omit<Finding, "subject">;

function durabilityTroubles(topic: TopicInfo, minimum: number): Trouble[] {
  const replicas = topic.replication_factor;
  if (replicas === 1) {
    return [{
      level: "warning",
      found: "1 replica: a single copy, which is lost with its disk",
      cure: "kafka-reassign-partitions.sh, or delete the topic, which is then made again",
    }];
  }
  if (minimum > replicas) {
    const found = `min.insync.replicas ${minimum} exceeds its ${replicas} replicas: ` +
      "every write is refused";
    return [{ level: "error", found, cure: alter(topic, "min.insync.replicas", replicas - 1) }];
  }
  if (minimum < 2) {
    const found = `min.insync.replicas ${minimum}: a write may be acknowledged by one broker alone`;
    return [{ level: "warning", found, cure: alter(topic, "min.insync.replicas", 2) }];
  }
  if (minimum === replicas) {
    const found = `min.insync.replicas ${minimum} of ${replicas} replicas: ` +
      "writing stops while any broker is down";
    return [{ level: "warning", found, cure: alter(topic, "min.insync.replicas", replicas - 1) }];
  }
  return [];
}

function policyTroubles(topic: TopicInfo, policy: string): Trouble[] {
  const isOurs = topic.name === POSITIONS_TOPIC || topic.name === SCHEMAS_TOPIC;
  if (!isOurs || policy === "compact") return [];
  const found = `cleanup.policy ${policy}: retention will delete what a restart needs`;
  return [{ level: "error", found, cure: alter(topic, "cleanup.policy", "compact") }];
}

function sizeTroubles(
  limit: string | undefined,
  batch_bytes: number | undefined,
): Trouble[] {
  if (limit === undefined || batch_bytes === undefined || batch_bytes <= Number(limit)) return [];
  const found = `max.message.bytes ${limit} is below the job's batch_bytes ${batch_bytes}: ` +
    "a batch that does not compress is refused";
  return [{ level: "warning", found, cure: `kafka:\n  batch_bytes: ${limit}` }];
}

function alter(topic: TopicInfo, name: string, value: string | number): string {
  return `kafka-configs.sh --bootstrap-server BROKER --alter --entity-type topics ` +
    `--entity-name ${topic.name} --add-config ${name}=${value}`;
}
