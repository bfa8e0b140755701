/** What makes a stack demand TLS, logins and rights: its certificates, its brokers' users and ACLs. */

import { join } from "node:path";
import {
  type Acl,
  type AclFilter,
  AclOperations,
  AclPermissionTypes,
  Admin,
  ResourcePatternTypes,
  ResourceTypes,
} from "@platformatic/kafka";
import { CertificateAuthority } from "./certificates.ts";
import { exists } from "./paths.ts";
import { waitUntil } from "./processes.ts";
import type { BrokerAccounts, KafkaInfo } from "./state.ts";

/** The certificates of one stack: paths of PEM files that their owner alone reads. */
export interface Certificates {
  /** What clients trust. */
  ca: string;
  /** Private key and certificate of the brokers, in one file: among themselves it is their login. */
  broker: string;
  /** Private key and certificate of the databases. */
  database: string;
}

/** Name that the brokers' own certificate bears. */
const BROKER_NAME = "list-sync-stack-broker";
const HOSTS = ["localhost", "127.0.0.1"];
const DAY_MS = 86_400_000;
/** As long as anyone may keep a stack; the key that signs is not kept at all. */
const VALID_DAYS = 3650;

/** The certificates in `folder`, made when they are not there; the authority's key is then forgotten. */
export async function certificatesIn(folder: string): Promise<Certificates> {
  const files = {
    broker: join(folder, "broker.pem"),
    database: join(folder, "database.pem"),
    // Last: when it is there the others are.
    ca: join(folder, "ca.pem"),
  };
  if (await exists(files.ca)) return files;
  await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
  const from = new Date(Date.now() - DAY_MS);
  const until = new Date(Date.now() + VALID_DAYS * DAY_MS);
  const authority = new CertificateAuthority("list-sync stack", from, until);
  const write = (path: string, text: string) => Deno.writeTextFile(path, text, { mode: 0o600 });
  for (const [path, name] of [[files.broker, BROKER_NAME], [files.database, "list-sync-stack"]]) {
    const { key, certificate } = authority.certify({ name: name!, hosts: HOSTS, from, until });
    await write(path!, key + certificate);
  }
  await write(files.ca, authority.certificate);
  return files;
}

/** PEM files that one server reads. */
export interface ServerPems {
  ca: string;
  /** Private key and certificate. */
  own: string;
}

/** Copies what a server reads into its own folder, whose owner the server's user becomes. */
export async function copyPems(
  folder: string,
  certificates: Certificates,
  kind: "broker" | "database",
): Promise<ServerPems> {
  const pems = { ca: join(folder, "ca.pem"), own: join(folder, "server.pem") };
  await Deno.copyFile(certificates.ca, pems.ca);
  await Deno.copyFile(certificates[kind], pems.own);
  return pems;
}

/** Broker settings that demand TLS, a login and rights (https://kafka.apache.org/39/documentation.html#security). */
export function securedSettings(
  pems: ServerPems,
  users: BrokerAccounts,
): Record<string, string> {
  const { admin } = users;
  const login = `required username="${admin.user}" password="${admin.password}"`;
  const known = Object.values(users).map(({ user, password }) => ` user_${user}="${password}"`);
  const modules = "org.apache.kafka.common.security";
  return {
    // The controllers cannot log in by SCRAM, whose users stand in the log that they first have to
    // agree on: they know each other by their certificate.
    "listener.security.protocol.map": "BROKER:SASL_SSL,CONTROLLER:SSL",
    "listener.name.controller.ssl.client.auth": "required",
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": pems.own,
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": pems.ca,
    "sasl.enabled.mechanisms": "SCRAM-SHA-512,PLAIN",
    "sasl.mechanism.inter.broker.protocol": "SCRAM-SHA-512",
    "listener.name.broker.scram-sha-512.sasl.jaas.config":
      `${modules}.scram.ScramLoginModule ${login};`,
    "listener.name.broker.plain.sasl.jaas.config": `${modules}.plain.PlainLoginModule ${login}${
      known.join("")
    };`,
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "super.users": `User:${admin.user};User:CN=${BROKER_NAME}`,
  };
}

/** Arguments of `kafka-storage format` that make the users. */
export function scramArguments(users: BrokerAccounts): string[] {
  return Object.values(users).flatMap(({ user, password }) => [
    "--add-scram",
    `SCRAM-SHA-512=[name=${user},password=${password}]`,
  ]);
}

/** Jobs whose names begin with this may use the brokers of a secured stack. */
export const SECURED_JOBS = "secured";

const ACL_PATIENCE_MS = 30_000;
const ACL_INTERVAL_MS = 20;

const EVERY_ACL: AclFilter = {
  resourceType: ResourceTypes.ANY,
  resourcePatternType: ResourcePatternTypes.ANY,
  resourceName: null,
  principal: null,
  host: null,
  operation: AclOperations.ANY,
  permissionType: AclPermissionTypes.ANY,
};

type Operation = "READ" | "WRITE" | "CREATE" | "DELETE" | "DESCRIBE_CONFIGS";

/** Operations on the resources of one kind whose name is, or begins with, `name`. */
interface Right {
  resource: "TOPIC" | "GROUP" | "TRANSACTIONAL_ID";
  name: string;
  match: "LITERAL" | "PREFIXED";
  operations: Operation[];
}

const WRITTEN: Operation[] = ["CREATE", "READ", "WRITE", "DESCRIBE_CONFIGS"];

/** The least that each role needs; deleting is for `deno task remove --topics` alone. */
const RIGHTS: Record<"capture" | "consume", Right[]> = {
  capture: [
    {
      resource: "TOPIC",
      name: SECURED_JOBS,
      match: "PREFIXED",
      operations: [...WRITTEN, "DELETE"],
    },
    { resource: "TOPIC", name: "list-sync.positions", match: "LITERAL", operations: WRITTEN },
    { resource: "TOPIC", name: "list-sync.schemas", match: "LITERAL", operations: WRITTEN },
    { resource: "TRANSACTIONAL_ID", name: "list-sync", match: "PREFIXED", operations: ["WRITE"] },
  ],
  consume: [
    { resource: "TOPIC", name: SECURED_JOBS, match: "PREFIXED", operations: ["READ"] },
    { resource: "TOPIC", name: "list-sync.schemas", match: "LITERAL", operations: ["READ"] },
    { resource: "GROUP", name: SECURED_JOBS, match: "PREFIXED", operations: ["READ"] },
  ],
};

/** Gives the brokers' users their rights; what they have already stays. */
export async function grantRights(info: KafkaInfo): Promise<void> {
  await grantAcls(
    info,
    (["capture", "consume"] as const).flatMap((role) =>
      RIGHTS[role].flatMap((right) => aclsOf(info.users![role].user, right))
    ),
  );
}

/** Resolves when every broker knows the rights: each hears of them in its own time. Throws after 30 s. */
export async function grantAcls(info: KafkaInfo, creations: Acl[]): Promise<void> {
  const admin = new Admin({ ...kafkaClient(info), retries: 0 });
  try {
    await admin.createAcls({ creations });
  } finally {
    await admin.close();
  }
  await Promise.all(
    info.brokers.map((broker) => knowsAcls({ ...info, brokers: [broker] }, creations)),
  );
}

/** Waits until the one broker of `info` knows the rights. */
async function knowsAcls(info: KafkaInfo, wanted: Acl[]): Promise<void> {
  const admin = new Admin({ ...kafkaClient(info), retries: 0 });
  let missing = wanted.map(aclText);
  const isKnown = async () => {
    const resources = await admin.describeAcls({ filter: EVERY_ACL });
    const known = resources.flatMap(({ acls, ...target }) =>
      acls.map((acl) => aclText({ ...target, ...acl }))
    );
    missing = missing.filter((acl) => !known.includes(acl));
    return missing.length === 0;
  };
  try {
    if (await waitUntil(isKnown, ACL_PATIENCE_MS, ACL_INTERVAL_MS)) return;
  } finally {
    await admin.close();
  }
  throw new Error(`Broker ${info.brokers} still lacks rights: ${missing.join("; ")}`);
}

function aclText(acl: Acl): string {
  return [
    ...[acl.principal, acl.host, nameIn(AclPermissionTypes, acl.permissionType)],
    ...[nameIn(AclOperations, acl.operation), nameIn(ResourceTypes, acl.resourceType)],
    ...[nameIn(ResourcePatternTypes, acl.resourcePatternType), acl.resourceName],
  ].join(" ");
}

function nameIn(values: Readonly<Record<string, number>>, value: number): string | undefined {
  return Object.keys(values).find((name) => values[name] === value);
}

function aclsOf(user: string, { resource, name, match, operations }: Right): Acl[] {
  return operations.map((operation) => ({
    resourceType: ResourceTypes[resource],
    resourceName: name,
    resourcePatternType: ResourcePatternTypes[match],
    principal: `User:${user}`,
    host: "*",
    operation: AclOperations[operation],
    permissionType: AclPermissionTypes.ALLOW,
  }));
}

/** How `@platformatic/kafka` reaches the brokers, as their admin where they are secured. */
export function kafkaClient({ brokers, ca, users }: KafkaInfo) {
  return {
    clientId: "list-sync-stack",
    bootstrapBrokers: brokers,
    connectTimeout: 2_000,
    ...ca === undefined ? {} : { tls: { ca: Deno.readTextFileSync(ca) } },
    ...users === undefined ? {} : {
      sasl: {
        mechanism: "SCRAM-SHA-512" as const,
        username: users.admin.user,
        password: users.admin.password,
      },
    },
  };
}
