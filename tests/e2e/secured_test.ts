/** Servers that demand TLS, logins and rights: all workers with the least of them, and each fault of a job. */
import assert from "node:assert/strict";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer, type Server } from "node:tls";
import type { AddressInfo } from "node:net";
import { CertificateAuthority, type Certified } from "../../compose/native/certificates.ts";
import { freePortOffset } from "../../compose/native/ports.ts";
import { SECURED_JOBS } from "../../compose/native/secured.ts";
import { down, STACK_PORTS, type StackInfo, up } from "../../compose/native/stack.ts";
import type { Account, DatabaseInfo, KafkaInfo } from "../../compose/native/state.ts";
import { giveToServerUser } from "../../compose/native/user.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import { databaseOptions } from "../../shared/database/options.ts";
import { connectPostgres } from "../../shared/database/postgres.ts";
import { filesUnder } from "../files_under.ts";
import type { Finding } from "../../shared/sources/source.ts";
import { readJob } from "../../workers/runtime/environment.ts";
import { allFindings, inspectJob } from "../../workers/runtime/inspect.ts";
import { testStack } from "../stack.ts";
import { DEADLINE_MS, until } from "../until.ts";
import { WorkerProcess } from "../worker_process.ts";

const TOP = fileURLToPath(new URL("../../", import.meta.url));
const NAME = `e2e-${crypto.randomUUID().slice(0, 8)}`;
const RUN = `${SECURED_JOBS}_${crypto.randomUUID().slice(0, 8)}`;
const ROWS = 400;
const DAY_MS = 86_400_000;
/** Jobs, secrets, files and logs of this run. */
const FOLDER = Deno.makeTempDirSync({ prefix: "list-sync-secured-" });

/** An authority that no job trusts unless it says so, and a certificate of it that has expired. */
const STRANGER = new CertificateAuthority("stranger", days(-9), days(9));
const EXPIRED = STRANGER.certify({
  name: "expired",
  hosts: ["127.0.0.1"],
  from: days(-8),
  until: days(-1),
});

/** A job as it stands in its file. */
type Job = { job: string; name: string } & Record<string, unknown>;
type Databases = "pg" | "mysql";

let stack: StackInfo & { kafka: KafkaInfo; pg: DatabaseInfo; mysql: DatabaseInfo };

Deno.test.beforeAll(async () => {
  const port_offset = freePortOffset(STACK_PORTS);
  stack = await up({ name: NAME, port_offset, docker: false, secure: true }) as typeof stack;
  await makeTables();
});

Deno.test.afterAll(async () => {
  await down({ name: NAME, wipe: true });
  Deno.removeSync(FOLDER, { recursive: true });
});

/** A table with rows in each database, and what only its owner may make. */
async function makeTables(): Promise<void> {
  await Promise.all(BOTH.map((of) => done(seedJob(of))));
  const { sql, close } = await admin("pg");
  await sql(`CREATE PUBLICATION list_sync_${RUN}_pg FOR TABLE public.${RUN}`);
  await close();
}

function days(count: number): Date {
  return new Date(Date.now() + count * DAY_MS);
}

// Jobs -----------------------------------------------------------------------------------------------

/** A reference to a file that holds `text`, as a job names its secrets. */
function secret(text: string): string {
  const file = `${FOLDER}/secret-${crypto.randomUUID().slice(0, 8)}`;
  Deno.writeTextFileSync(file, text, { mode: 0o600 });
  return `\${file:${file}}`;
}

const TRUST = () => ({ ca: `\${file:${stack.kafka.ca}}` });

function kafka(role: "capture" | "consume", more: Record<string, unknown> = {}) {
  const { user, password } = stack.kafka.users![role];
  return {
    brokers: stack.kafka.brokers,
    tls: TRUST(),
    sasl: { mechanism: "scram-sha-512", username: user, password: secret(password) },
    ...more,
  };
}

function server(of: Databases, account: Account, more: Record<string, unknown> = {}) {
  const { host, port, database } = stack[of];
  const { user, password } = account;
  return { host, port, database, user, password: secret(password), tls: TRUST(), ...more };
}

function captureJob(of: Databases, source: object = {}, kafkaPart: object = {}): Job {
  const { users, database } = stack[of];
  return {
    job: `capture-${of}`,
    name: `${RUN}_${of}`,
    mode: "batch",
    source: {
      ...server(of, users.replicator),
      tables: [of === "pg" ? `public.${RUN}` : `${database}.${RUN}`],
      ...source,
    },
    kafka: { ...kafka("capture"), ...kafkaPart },
  };
}

function topicOf(of: Databases): string {
  return `${RUN}_${of}.${of === "pg" ? "public" : stack.mysql.database}.${RUN}`;
}

function consumeJob(of: Databases, kafkaPart: object = {}): Job {
  return {
    job: "consume-csv",
    name: `${RUN}_${of}`,
    mode: "batch",
    topics: [topicOf(of)],
    kafka: { ...kafka("consume"), ...kafkaPart },
    sink: { output: `${FOLDER}/${of}` },
  };
}

const KINDS = { pg: "postgresql", mysql: "mysql" } as const;

function seedJob(of: Databases, database: object = {}, more: object = {}): Job {
  return {
    job: "seed",
    name: `${RUN}_${of}`,
    rows: ROWS,
    table: RUN,
    database: { kind: KINDS[of], ...server(of, stack[of].users.writer), ...database },
    ...more,
  };
}

function verifyJob(of: Databases, database: object = {}, more: object = {}): Job {
  return {
    job: "verify",
    name: `${RUN}_${of}`,
    table: RUN,
    topic: topicOf(of),
    files: { output: `${FOLDER}/${of}` },
    database: { kind: KINDS[of], ...server(of, stack[of].users.replicator), ...database },
    ...more,
  };
}

// Processes ------------------------------------------------------------------------------------------

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Writes a job's file, and answers its path. */
function written(job: Job): string {
  const path = `${FOLDER}/${job.job}-${crypto.randomUUID().slice(0, 8)}.yaml`;
  Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 1));
  return path;
}

/** Runs a program of workers/ on jobs to its end; all that it says is kept for the search for secrets. */
async function run(program: string, jobs: readonly Job[], ...options: string[]): Promise<Ended> {
  const paths = jobs.map(written);
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-prompt", `workers/${program}.ts`, ...options, ...paths],
    cwd: TOP,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  const ended = { code, stdout: text(stdout), stderr: text(stderr) };
  Deno.writeTextFileSync(`${paths[0]}.log`, ended.stdout + ended.stderr);
  return ended;
}

/** What `deno task check` finds. */
async function findings(job: Job): Promise<Finding[]> {
  const { kind, job: read } = readJob(written(job));
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  return allFindings(await inspectJob(kind, read, { log, now: Date.now }));
}

/** The same, through the launcher, which derives the permissions; each job must end well. */
async function task(name: string, jobs: readonly Job[]): Promise<Record<string, unknown>[]> {
  const { code, stdout, stderr } = await run(`commands/${name}`, jobs, "--json");
  assert.equal(code, 0, `deno task ${name}: ${stderr}${stdout}`);
  return stdout.trim().split("\n").map((line) => JSON.parse(line));
}

/** Statements by the database's administrator, on one connection. */
async function admin(of: Databases) {
  const { host, port, database, users, ca } = stack[of];
  const options = databaseOptions.parse({
    kind: KINDS[of],
    host,
    port,
    database,
    ...users.admin,
    tls: { ca: Deno.readTextFileSync(ca!) },
  });
  if (of === "mysql") {
    const connection = await connectMysql(options);
    return {
      sql: async (text: string) => void await connection.query(text),
      close: () => connection.end(),
    };
  }
  const client = await connectPostgres(options, "secured-test");
  return {
    sql: async (text: string) => void await client.query({ text }),
    close: () => client.end(),
  };
}

/** Runs a job's worker to its good end; what it says in JSON. */
async function done(job: Job): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await run(job.job, [job], "--json");
  assert.equal(code, 0, `${job.job}: ${stderr}${stdout}`);
  return JSON.parse(stdout);
}

const BOTH = ["pg", "mysql"] as const;

// The work -------------------------------------------------------------------------------------------

Deno.test("all workers do their work on secured servers with the least rights, by both Kafka clients", async () => {
  const clients = { pg: "platformatic", mysql: "kafkajs" };
  const others = { pg: "kafkajs", mysql: "platformatic" };
  const captures = BOTH.map((of) => captureJob(of, {}, { client: clients[of] }));
  for (const { changes } of await Promise.all(captures.map(done))) {
    assert.equal(
      (changes as { r: number }).r,
      ROWS / 4,
      "the snapshot has the rows that are there",
    );
  }
  await task("seed", BOTH.map((of) => seedJob(of)));
  for (const { changes } of await task("capture", captures)) {
    assert.equal((changes as { c: number }).c, ROWS / 2);
  }
  const plain = (of: Databases) => {
    const { sasl } = kafka("consume");
    return { client: others[of], sasl: { ...sasl, mechanism: "plain" } };
  };
  const consumed = await task("consume", BOTH.map((of) => consumeJob(of, plain(of))));
  assert.deepEqual(consumed.map(({ repetitions }) => repetitions), [0, 0]);
  for (const result of await task("verify", BOTH.map((of) => verifyJob(of)))) {
    assert.equal(result["verified"], true, JSON.stringify(result));
  }
  for (const job of [...captures, consumeJob("pg"), seedJob("mysql"), verifyJob("pg")]) {
    const errors = (await findings(job)).filter(({ level }) => level === "error");
    assert.deepEqual(errors, [], `check ${job.job}`);
  }
});

Deno.test("the launcher lets a worker read the authority's certificate and its secrets, and no more files", async () => {
  const job = captureJob("pg");
  const { stdout } = await run("commands/permissions", [job], "--json");
  const { read } = JSON.parse(stdout) as { read: string[] };
  const files = JSON.stringify(job).matchAll(/\$\{file:([^}]+)\}/g);
  const wanted = [...files].map(([, file]) => file!);
  const rest = read.filter((path) => !wanted.includes(path)).map((path) => basename(path));
  assert.deepEqual(wanted.filter((path) => !read.includes(path)), []);
  assert.equal(rest.length, 2, `besides them it reads ${rest.join(", ")}`);
  assert.ok(rest.includes("native.wasm") && rest.some((name) => name.endsWith(".yaml")));
});

// Faults ---------------------------------------------------------------------------------------------

/** A job with one fault, what is said of it, and what is said to do. */
interface Fault {
  readonly what: string;
  readonly job: Job;
  readonly says: RegExp;
  readonly cure: RegExp;
}

/**
 * Each fault gives one error with its cure and nothing else: from `check`, and from the worker, which
 * tries nothing again: so how long it takes is a matter of the machine alone.
 */
async function refused(faults: readonly Fault[]): Promise<void> {
  const works = faults.flatMap((fault) => [() => check(fault), () => worker(fault)]);
  // As many at once as there are processors.
  const next = async () => {
    for (let work = works.shift(); work !== undefined; work = works.shift()) await work();
  };
  await Promise.all(Array.from({ length: navigator.hardwareConcurrency }, next));
}

async function check({ what, job, says, cure }: Fault): Promise<void> {
  const errors = (await findings(job)).filter(({ level }) => level === "error");
  const place = `check ${job.job}, ${what}: ${JSON.stringify(errors)}`;
  assert.equal(errors.length, 1, place);
  const { subject, found, cure: told = "" } = errors[0]!;
  assert.match(`${subject}: ${found}`, says, place);
  assert.match(found + told, cure, place);
}

async function worker({ what, job, says, cure }: Fault): Promise<void> {
  const { code, stdout, stderr } = await run(job.job, [job]);
  const place = `${job.job}, ${what}: ${stderr}${stdout}`;
  assert.equal(code, 2, place);
  const lines = stderr.split("\n").filter((line) => line.startsWith("{")).map((line) =>
    JSON.parse(line)
  );
  const loud = lines.filter(({ level, event }) => level !== "info" && event !== "check");
  assert.deepEqual(loud.map(({ event }) => event), ["failed"], place);
  const { error } = loud[0];
  assert.match(error, says, place);
  assert.match(error.slice(error.indexOf("To mend:")), cure, place);
}

const STRANGE = () => ({ ca: secret(STRANGER.certificate) });
const RENAMED = () => ({ ...TRUST(), server_name: "other.example" });
const NO_AUTHORITY = /signed by CN=list-sync stack, comes from no authority that this job trusts/;
const EXPIRY = /signed by CN=stranger, has expired or is not valid yet \(from .*Z until .*Z\)/;

/** The faults of a job's way to a database. `make`: the job with that part of it changed. */
function databaseFaults(of: Databases, make: (part: object) => Job, part: string): Fault[] {
  const tls = new RegExp(`${part}\\.tls`);
  return [
    { what: "wrong CA", job: make({ tls: STRANGE() }), says: NO_AUTHORITY, cure: tls },
    {
      what: "wrong server name",
      job: make({ tls: RENAMED() }),
      says: /is another server's: .*other\.example.* not in .*DNS:localhost/,
      cure: tls,
    },
    {
      what: "wrong password",
      job: make({ password: secret("wrong-password-of-a-database") }),
      says: /password authentication failed|Access denied for user/,
      cure: new RegExp(`correct ${part}\\.user and ${part}\\.password`),
    },
    {
      what: "no TLS",
      job: make({ tls: false }),
      says: of === "pg" ? /no encryption/ : /insecure transport are prohibited/,
      cure: tls,
    },
  ];
}

Deno.test("databases: wrong authority, name and password, and plain TCP, are refused with the cure", async () => {
  await refused([
    ...BOTH.flatMap((of) => databaseFaults(of, (part) => captureJob(of, part), "source")),
    ...databaseFaults("pg", (part) => seedJob("pg", part), "database"),
    ...databaseFaults("mysql", (part) => verifyJob("mysql", part), "database"),
    {
      what: "TLS to a server that has none",
      job: captureJob("pg", { port: testStack().pg.port }),
      says: /does not support SSL/,
      cure: /turn ssl on at the server; or leave source\.tls out/,
    },
  ]);
});

Deno.test("databases: a missing grant is refused with the statement that gives it", async () => {
  const { pg, mysql } = stack;
  const as = (of: Databases, role: "replicator" | "writer") => server(of, stack[of].users[role]);
  const administrator = await admin("pg");
  await administrator.sql(`REVOKE SELECT ON public.${RUN} FROM ${pg.users.replicator.user}`);
  await refused([
    {
      what: "no REPLICATION",
      job: captureJob("pg", as("pg", "writer")),
      says: /role: writer lacks the attribute REPLICATION/,
      cure: /ALTER ROLE "writer" REPLICATION/,
    },
    {
      what: "no INSERT",
      job: seedJob("pg", as("pg", "replicator")),
      says: new RegExp(`permission denied for table ${RUN}`),
      cure: new RegExp(`GRANT SELECT, INSERT, .* ON TABLE ${RUN} TO "${pg.users.replicator.user}"`),
    },
    {
      what: "no SELECT",
      job: verifyJob("pg"),
      says: new RegExp(`permission denied for table ${RUN}`),
      cure: new RegExp(`GRANT SELECT.* ON TABLE ${RUN} TO`),
    },
    {
      what: "no INSERT",
      job: seedJob("mysql", as("mysql", "replicator")),
      says: /(INSERT|CREATE) command denied/,
      cure: new RegExp(`GRANT (INSERT|CREATE) ON \`${mysql.database}\`\\.\`${RUN}\` TO`),
    },
    {
      what: "no SELECT",
      job: verifyJob("mysql", {}, { table: "mysql.user" }),
      says: /SELECT command denied|may not read it/,
      cure: /GRANT SELECT/,
    },
  ]);
  await administrator.sql(`GRANT SELECT ON public.${RUN} TO ${pg.users.replicator.user}`);
  await administrator.close();
});

Deno.test("databases: an expired certificate is refused with its dates", async () => {
  const tls = STRANGE();
  const folders = { pg: "postgres", mysql: "mysql" };
  const reload = { pg: "SELECT pg_reload_conf()", mysql: "ALTER INSTANCE RELOAD TLS" };
  // MySQL loads no certificate that has expired already, so this one does it afterwards.
  const until_ms = Date.now() + 3_000;
  const soon = { name: "expired", hosts: ["127.0.0.1"], from: days(-8), until: new Date(until_ms) };
  const { key, certificate } = STRANGER.certify(soon);
  const restore: (() => Promise<void>)[] = [];
  try {
    for (const of of BOTH) {
      const { sql, close } = await admin(of);
      const files = { "ca.pem": STRANGER.certificate, "server.pem": key + certificate };
      const before = Object.keys(files).map((name) => {
        const path = join(stack.dir, folders[of], name);
        return [path, Deno.readTextFileSync(path)] as const;
      });
      restore.push(async () => {
        for (const [path, text] of before) await replace(path, text);
        await sql(reload[of]);
        await close();
      });
      for (const [name, text] of Object.entries(files)) {
        await replace(join(stack.dir, folders[of], name), text);
      }
      await sql(reload[of]);
    }
    // Certificates count whole seconds, and hold to the end of the last.
    await until("the certificate has expired", () => Date.now() > until_ms + 1_000);
    const cure = /new certificate/;
    await refused(BOTH.flatMap((of) => [
      { what: `expired, ${of}`, job: captureJob(of, { tls }), says: EXPIRY, cure },
      { what: `expired, ${of}`, job: seedJob(of, { tls }), says: EXPIRY, cure },
    ]));
  } finally {
    for (const step of restore) await step();
  }
});

/** Writes a file that the server's user owns. */
async function replace(path: string, text: string): Promise<void> {
  Deno.writeTextFileSync(path, text, { mode: 0o600 });
  await giveToServerUser(path);
}

/** The faults of a job's way to the brokers. */
function brokerFaults(
  role: "capture" | "consume",
  client: string,
  make: (part: object) => Job,
): Fault[] {
  const { sasl } = kafka(role);
  const withPart = (part: object) => make({ client, ...part });
  const wrong = { ...sasl, password: secret("wrong-password-of-a-broker") };
  return [
    { what: "wrong CA", job: withPart({ tls: STRANGE() }), says: NO_AUTHORITY, cure: /kafka\.tls/ },
    {
      what: "wrong server name",
      job: withPart({ tls: RENAMED() }),
      says: /is another server's: .*other\.example.* not in .*DNS:localhost/,
      cure: /kafka\.tls\.server_name/,
    },
    {
      what: "wrong password",
      job: withPart({ sasl: wrong }),
      says: /refuses the login/,
      cure: /kafka\.sasl/,
    },
    {
      what: "no login",
      job: withPart({ sasl: undefined }),
      says: /demands a login \(SCRAM-SHA-512, PLAIN\), and kafka\.sasl is missing/,
      cure: /set kafka\.sasl/,
    },
    {
      what: "no TLS",
      job: withPart({ tls: false }),
      says: /speaks only TLS, and kafka\.tls is off/,
      cure: /set kafka\.tls/,
    },
    {
      what: "TLS to a plain port",
      job: withPart({ brokers: testStack().kafka.brokers }),
      says: /speaks no TLS on this port/,
      cure: /TLS port/,
    },
  ];
}

Deno.test("brokers: wrong authority, name and login, plain TCP, and TLS to a plain port, are refused with the cure", async () => {
  await refused([
    ...brokerFaults("capture", "platformatic", (part) => captureJob("pg", {}, part)),
    ...brokerFaults("consume", "kafkajs", (part) => consumeJob("pg", part)),
  ]);
});

Deno.test("brokers: an expired certificate is refused with its dates", async () => {
  const listener = await serving(EXPIRED);
  const { port } = listener.address() as AddressInfo;
  const expired = { brokers: [`127.0.0.1:${port}`], tls: STRANGE() };
  const cure = /new certificate/;
  try {
    await refused([
      {
        what: "expired",
        job: captureJob("pg", {}, { ...expired, client: "kafkajs" }),
        says: EXPIRY,
        cure,
      },
      {
        what: "expired",
        job: consumeJob("pg", { ...expired, client: "platformatic" }),
        says: EXPIRY,
        cure,
      },
    ]);
  } finally {
    await new Promise<unknown>((resolve) => listener.close(resolve));
  }
});

/** A listener of whose certificate no client gets further: no broker starts with an expired one. */
function serving({ key, certificate }: Certified): Promise<Server> {
  return new Promise((resolve) => {
    const listener = createServer({ key, cert: certificate });
    listener.on("tlsClientError", () => {});
    listener.listen(0, "127.0.0.1", () => resolve(listener));
  });
}

Deno.test("brokers: a missing ACL is refused with the command that gives it", async () => {
  const elsewhere = `other_${RUN}`; // the stack's ACLs are for names that begin otherwise
  const topic = `${elsewhere}.public.${RUN}`;
  await refused([
    ...["platformatic", "kafkajs"].map((client): Fault => ({
      what: `no right to write, ${client}`,
      job: {
        ...captureJob("pg", { publication: `list_sync_${RUN}_pg` }, { client }),
        name: elsewhere,
        include_schema_changes: false, // its topic is one more of these
      },
      says: new RegExp(`topic ${topic.replaceAll(".", "\\.")}: capture has no right to it`),
      cure: new RegExp(
        `User:capture --operation Create .*--operation Write .*--topic ${elsewhere}`,
      ),
    })),
    ...["platformatic", "kafkajs"].map((client): Fault => ({
      what: `no right to read, ${client}`,
      job: { ...consumeJob("pg", { client }), topics: [topic] },
      says: /consume has no right to it/,
      cure: /User:consume --operation Read --topic/,
    })),
    {
      what: "no right to the group",
      job: { ...consumeJob("pg"), group_id: elsewhere },
      says: new RegExp(`group ${elsewhere}: consume has no right to it`),
      cure: new RegExp(`User:consume --operation Read --group ${elsewhere}`),
    },
  ]);
});

Deno.test("a password that is changed under a running capture ends it, and with the new one nothing is lost", async () => {
  const { user, password } = stack.pg.users.replicator;
  const administrator = await admin("pg");
  const job: Job = { ...captureJob("pg"), mode: "stream" };
  await using running = new WorkerProcess(FOLDER, "capture-pg", job);
  await running.event("capture_started");
  await administrator.sql(`ALTER ROLE ${user} PASSWORD 'changed-while-it-ran'`);
  await administrator.sql(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '${user}'`,
  );
  await running.ended(2);
  const { error } = await running.event("failed");
  assert.match(String(error), /password authentication failed.*To mend: correct source\.user/);
  await done(seedJob("pg"));
  const { changes } = await done(captureJob("pg", { password: secret("changed-while-it-ran") }));
  assert.equal((changes as { c: number }).c, ROWS / 2);
  await administrator.sql(`ALTER ROLE ${user} PASSWORD '${password}'`);
  await administrator.close();
});

Deno.test("remove takes away what the captures made, their topics as well", async () => {
  for (const of of BOTH) {
    const { code, stdout, stderr } = await run(
      "commands/remove",
      [captureJob(of)],
      "--topics",
      "--yes",
    );
    assert.equal(code, 0, stderr);
    assert.match(stdout, /Forgot the position of/);
    assert.ok(stdout.includes(`Deleted topic ${topicOf(of)}.`), stdout);
  }
});

Deno.test("the launcher starts no worker for a login that the brokers refuse", async () => {
  const { sasl } = kafka("capture");
  const job = captureJob("pg", {}, {
    sasl: { ...sasl, password: secret("wrong-password-of-a-broker") },
  });
  const { code, stderr } = await run("commands/capture", [job]);
  assert.equal(code, 2, stderr);
  assert.match(stderr, /^[^\n]*refuses the login[^\n]*To mend: correct kafka\.sasl[^\n]*\n$/);
});

Deno.test("stack env tells what jobs need, and stack status no password", async () => {
  const path = `${FOLDER}/stack.log`;
  const stackCommand = async (action: string) => {
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", "workers/commands/stack.ts", action, "--name", NAME, "--json"],
      cwd: TOP,
    }).output();
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    return new TextDecoder().decode(stdout);
  };
  const env = JSON.parse(await stackCommand("env"));
  assert.equal(env["CA_FILE"], stack.kafka.ca);
  const { capture, consume } = stack.kafka.users!;
  assert.deepEqual(
    [env["KAFKA_CAPTURE_USER"], env["KAFKA_CAPTURE_PASSWORD"]],
    [capture.user, capture.password],
  );
  assert.equal(env["KAFKA_CONSUME_PASSWORD"], consume.password);
  Deno.writeTextFileSync(path, await stackCommand("status")); // searched below, with the logs
});

Deno.test("a broker that is killed under running workers is waited for, and not taken for a refused login", async () => {
  const name = `${RUN}_killed`;
  const topics = [topicOf("mysql").replace(`${RUN}_mysql`, name)];
  const sink = { output: `${FOLDER}/killed` };
  const mode = "stream";
  const source = { snapshot: "never" };
  const capture: Job = { ...captureJob("mysql", source, { client: "kafkajs" }), name, mode };
  const consume: Job = { ...consumeJob("mysql"), name, mode, topics, topic_refresh_ms: 100, sink };
  await using capturing = new WorkerProcess(FOLDER, capture.job, capture);
  await using consuming = new WorkerProcess(FOLDER, consume.job, consume);
  await capturing.event("capture_started");
  const made = done(seedJob("mysql", {}, { rate: 200 }));
  await consuming.event("partitions_assigned");
  Deno.kill(stack.servers.find(({ name }) => name === "kafka-2")!.pid, "SIGKILL");
  const { inserted, updated, deleted } = await made as Record<string, number>;
  const expected = inserted! + 2 * updated! + deleted!;
  const said = () => `${countRows(sink.output)} of ${expected} rows; logs in ${FOLDER}`;
  await until(said, () => {
    for (const worker of [capturing, consuming]) worker.refuseEnded();
    return countRows(sink.output) >= expected;
  }, 2 * DEADLINE_MS);
  await Promise.all([capturing.stop(), consuming.stop()]);
  assert.equal(countRows(sink.output), expected);
});

/** Data rows of all CSV files below a folder. */
function countRows(folder: string): number {
  const lines = filesUnder(folder).filter((path) => /\.csv(\.part)?$/.test(path))
    .flatMap((path) => Deno.readTextFileSync(path).split("\n"));
  return lines.filter((line) => /^[cud],/.test(line)).length;
}

Deno.test("keys and passwords are readable by their owner alone, and stand in no log", async () => {
  const secrets = [
    "wrong-password-of-a-database",
    "wrong-password-of-a-broker",
    "changed-while-it-ran",
    ...Object.values(stack.kafka.users!).map(({ password }) => password),
    ...BOTH.flatMap((of) => Object.values(stack[of].users).map(({ password }) => password)),
  ];
  const files = [...filesUnder(stack.dir), ...filesUnder(FOLDER)];
  const keys = files.filter((path) => /\.(pem|properties|json)$|stack\.json/.test(path));
  const holding = keys.filter((path) => {
    const text = Deno.readTextFileSync(path);
    return text.includes("PRIVATE KEY") || secrets.some((secret) => text.includes(secret));
  });
  const closed = holding.map((path) => (Deno.statSync(path).mode! & 0o777).toString(8));
  assert.deepEqual([...new Set(closed)], ["600"], holding.join(", "));
  assert.ok(holding.length >= 9, `keys of three brokers and two databases: ${holding.join(", ")}`);
  const logs = files.filter((path) => path.endsWith(".log"));
  assert.ok(logs.length > 20, `${logs.length} logs of servers and workers`);
  for (const path of logs) {
    const text = Deno.readTextFileSync(path);
    for (const secret of secrets) assert.ok(!text.includes(secret), `${secret} in ${path}`);
    assert.ok(!text.includes("PRIVATE KEY"), path);
  }
});
