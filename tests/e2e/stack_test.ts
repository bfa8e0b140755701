/** The native stack: what it starts, what it leaves alone, and what its accounts may do. */
import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { Admin, ConfigResourceTypes } from "@platformatic/kafka";
import { exists } from "../../compose/native/paths.ts";
import { freePortOffset, listenerOf, listeningSockets } from "../../compose/native/ports.ts";
import { isAlive, run, startDetached, stop } from "../../compose/native/processes.ts";
import { down, STACK_PORTS, type StackInfo, status, up } from "../../compose/native/stack.ts";
import { connectMysql } from "../../shared/database/mysql.ts";
import { connectPostgres, type PgClient } from "../../shared/database/postgres.ts";
import { type DatabaseOptions, databaseOptions } from "../../shared/database/options.ts";
import { filesUnder } from "../files_under.ts";
import { type Accounts, type DatabaseInfo, ownStackName, testStack } from "../stack.ts";

/** Runs with the name and the ports of a stack that nobody else uses, and removes that stack. */
async function withStackName(
  use: (stack: { name: string; port_offset: number; docker: false }) => Promise<void>,
): Promise<void> {
  const name = ownStackName();
  try {
    await use({ name, port_offset: freePortOffset(STACK_PORTS), docker: false });
  } finally {
    await down({ name, wipe: true });
  }
}

function reach(
  kind: DatabaseOptions["kind"],
  { host, port, database, users }: DatabaseInfo,
  role: keyof Accounts,
): DatabaseOptions {
  return databaseOptions.parse({ kind, host, port, database, ...users[role] });
}

async function onPostgres<T>(
  info: DatabaseInfo,
  role: keyof Accounts,
  use: (client: PgClient) => Promise<T>,
): Promise<T> {
  const client = await connectPostgres(reach("postgresql", info, role), "stack-test");
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}

async function onMysql<T>(
  info: DatabaseInfo,
  role: keyof Accounts,
  use: (query: (statement: string) => Promise<unknown>) => Promise<T>,
): Promise<T> {
  const connection = await connectMysql(reach("mysql", info, role));
  try {
    return await use(async (statement) => (await connection.query(statement))[0]);
  } finally {
    await connection.end();
  }
}

const pids = (info: StackInfo) => info.servers.map(({ pid }) => pid);

Deno.test("up is idempotent, and down ends what it started and nothing else", async () => {
  await withStackName(async (stack) => {
    const folder = await Deno.makeTempDir();
    const bystander = await startDetached(["/bin/sleep", "600"], {
      log: join(folder, "log"),
      cwd: folder,
    });
    try {
      const first = await up({ ...stack, only: ["pg"] });
      const second = await up({ ...stack, only: ["pg"] });
      assert.deepEqual(pids(second), pids(first), "the second up starts nothing");
      assert.deepEqual(second.pg, first.pg, "the accounts stay");
      assert.equal(await down({ name: stack.name }), 1);
      assert.equal(first.servers.some(isAlive), false);
      assert.equal(listenerOf(first.pg!.port), undefined);
      assert.ok(isAlive(bystander), "a process of somebody else runs on");
      assert.equal(await down({ name: stack.name }), 0, "a second down finds nothing to end");
    } finally {
      await stop(bystander, "SIGKILL", 0);
      await Deno.remove(folder, { recursive: true });
    }
  });
});

Deno.test("data outlives down and a change of ports; wipe leaves nothing", async () => {
  await withStackName(async (stack) => {
    const before = await up({ ...stack, only: ["pg"] });
    await onPostgres(before.pg!, "writer", async (client) => {
      await client.query({ text: "CREATE TABLE public.kept (id int)" });
      await client.query({ text: "INSERT INTO public.kept VALUES (42)" });
    });
    await down({ name: stack.name });
    const after = await up({ ...stack, port_offset: freePortOffset(STACK_PORTS), only: ["pg"] });
    const { rows } = await onPostgres(
      after.pg!,
      "replicator",
      (client) => client.query({ text: "SELECT id FROM public.kept" }),
    );
    assert.deepEqual(rows, [["42"]]);
    await down({ name: stack.name, wipe: true });
    assert.equal(await exists(after.dir), false);
    assert.equal(await status(stack.name), undefined);
  });
});

Deno.test("a running stack refuses another port offset and says how to go on", async () => {
  await withStackName(async (stack) => {
    await up({ ...stack, only: ["pg"] });
    await assert.rejects(
      up({ ...stack, port_offset: stack.port_offset + 10 }),
      /runs with the port offset \d+, not \d+/,
    );
  });
});

Deno.test("a taken port fails the start, names the holder, and leaves no server behind", async () => {
  await withStackName(async (stack) => {
    using held = Deno.listen({ hostname: "127.0.0.1", port: 3306 + stack.port_offset });
    await assert.rejects(
      up({ ...stack, only: ["pg", "mysql"] }),
      new RegExp(`Port ${held.addr.port}, which mysql needs, is taken by process ${Deno.pid} `),
    );
    const found = await status(stack.name);
    assert.deepEqual(found?.servers, [], "PostgreSQL, which could start, is ended again");
    assert.equal(listenerOf(5432 + stack.port_offset), undefined);
  });
});

Deno.test("a server that ends while starting shows the last lines of its log", async () => {
  await withStackName(async (stack) => {
    const { dir } = await up({ ...stack, only: ["pg"] });
    await down({ name: stack.name });
    const settings = join(dir, "postgres/data/postgresql.conf");
    await Deno.writeTextFile(settings, "\nwal_level = 'purple'\n", { append: true });
    await assert.rejects(
      up({ ...stack, only: ["pg"] }),
      /postgres ended while starting\. The last lines of [^ ]+postgres\.log:\n[\s\S]*"purple"/,
    );
  });
});

Deno.test("the replicator reads and replicates in PostgreSQL, and writes nothing", async () => {
  const { pg } = testStack();
  await onPostgres(pg, "writer", async (client) => {
    await client.query({ text: "CREATE TABLE public.stack_rights (id int PRIMARY KEY)" });
  });
  try {
    await onPostgres(pg, "replicator", async (client) => {
      await client.query({ text: "SELECT * FROM public.stack_rights" });
      for (const plugin of ["pgoutput", "wal2json"]) {
        await client.query({
          text: "SELECT pg_create_logical_replication_slot($1, $2, true)",
          values: [`stack_rights_${plugin}`, plugin],
        });
      }
      for (
        const text of [
          "INSERT INTO public.stack_rights VALUES (1)",
          "DELETE FROM public.stack_rights",
          "CREATE TABLE public.stack_rights_own (id int)",
          "DROP TABLE public.stack_rights",
        ]
      ) await assert.rejects(client.query({ text }), /permission denied|must be owner/, text);
    });
  } finally {
    await onPostgres(
      pg,
      "writer",
      (client) => client.query({ text: "DROP TABLE public.stack_rights" }),
    );
  }
});

Deno.test("the replicator reads and replicates in MySQL, and writes nothing", async () => {
  const { mysql } = testStack();
  await onMysql(
    mysql,
    "writer",
    (query) => query("CREATE TABLE stack_rights (id int PRIMARY KEY)"),
  );
  try {
    await onMysql(mysql, "replicator", async (query) => {
      await query("SELECT * FROM stack_rights");
      await query("SHOW BINARY LOG STATUS");
      for (
        const statement of [
          "INSERT INTO stack_rights VALUES (1)",
          "DELETE FROM stack_rights",
          "CREATE TABLE stack_rights_own (id int)",
          "DROP TABLE stack_rights",
          "SELECT * FROM mysql.user",
        ]
      ) await assert.rejects(query(statement), /command denied/, statement);
    });
  } finally {
    await onMysql(mysql, "writer", (query) => query("DROP TABLE stack_rights"));
  }
});

Deno.test("MySQL logs whole rows with their metadata, under GTIDs", async () => {
  const variables = {
    "@@log_bin": "1",
    "@@gtid_mode": "ON",
    "@@enforce_gtid_consistency": "ON",
    "@@binlog_row_image": "FULL",
    "@@binlog_row_metadata": "FULL",
  };
  const rows = await onMysql(
    testStack().mysql,
    "writer",
    (query) => query(`SELECT ${Object.keys(variables).join(", ")}`),
  ) as unknown[][];
  assert.deepEqual(rows[0]!.map(String), Object.values(variables));
});

Deno.test("brokers make topics only when asked, three times replicated, two of them in sync", async () => {
  const { kafka } = testStack();
  const admin = new Admin({ clientId: "stack-test", bootstrapBrokers: kafka.brokers });
  try {
    const nodes = (await admin.metadata({})).brokers;
    assert.equal(nodes.size, 3);
    const resources = [...nodes.keys()].map((id) => ({
      resourceType: ConfigResourceTypes.BROKER,
      resourceName: String(id),
      configurationKeys: SETTINGS.map(([name]) => name!),
    }));
    for (const { resourceName, configs } of await admin.describeConfigs({ resources })) {
      const found = new Map(configs.map(({ name, value }) => [name, value]));
      for (const [name, value] of SETTINGS) {
        assert.equal(found.get(name!), value, `broker ${resourceName}: ${name}`);
      }
    }
  } finally {
    await admin.close();
  }
});

const SETTINGS = [
  ["auto.create.topics.enable", "false"],
  ["default.replication.factor", "3"],
  ["min.insync.replicas", "2"],
  ["num.partitions", "3"],
];

Deno.test("every server listens on the loopback address only", () => {
  const { kafka, pg, mysql } = testStack();
  const brokers = kafka.brokers.map((address) => Number(address.split(":")[1]));
  const loopback = Buffer.from([127, 0, 0, 1]);
  for (const port of [...brokers, pg.port, mysql.port]) {
    const sockets = listeningSockets(port);
    assert.ok(sockets.length > 0, `nobody listens on ${port}`);
    for (const { address } of sockets) {
      // The last 32 bits of an IPv4 or mapped address, in the machine's byte order.
      const bytes = Buffer.from(address.slice(-8), "hex").reverse();
      assert.deepEqual(bytes, loopback, `port ${port} listens on ${address}`);
    }
  }
});

Deno.test("no server runs as root", async () => {
  const { dir } = testStack();
  const { servers } = JSON.parse(await Deno.readTextFile(join(dir, "stack.json"))) as StackInfo;
  assert.equal(servers.length, 5);
  for (const { name, pid } of servers) {
    const uids = /^Uid:\s+(.*)$/m.exec(await Deno.readTextFile(`/proc/${pid}/status`))![1]!;
    assert.ok(!uids.split(/\s+/).includes("0"), `${name} has the user ids ${uids}`);
  }
});

Deno.test("passwords stand in the state file, which only its owner reads, and in no log", async () => {
  const { dir, pg, mysql } = testStack();
  const { mode } = await Deno.stat(join(dir, "stack.json"));
  assert.equal((mode! & 0o777).toString(8), "600");
  const passwords = [pg, mysql].flatMap(({ users }) =>
    Object.values(users).map(({ password }) => password)
  );
  // Of the servers, and of the workers that other tests ran.
  const logs = filesUnder(join(dir, "logs")).filter((path) => path.endsWith(".log"));
  for (const path of logs) {
    const log = await Deno.readTextFile(path);
    for (const password of passwords) assert.ok(!log.includes(password), `in ${path}`);
  }
  assert.equal(await exists(join(dir, "mysql/accounts.sql")), false);
  assert.equal(await exists(join(dir, "postgres/password")), false);
});

Deno.test("a shell reads what `stack env` prints; unknown words are refused with the nearest", async () => {
  const { dir, pg } = testStack();
  const name = dir.slice(dir.lastIndexOf("/") + 1);
  const command = `${Deno.execPath()} task --quiet stack`;
  const script = `eval "$(${command} env --name ${name})" && echo "$PG_PORT $PG_PASSWORD"`;
  const read = await run("/bin/sh", ["-c", script]);
  assert.equal(read.output.trim(), `${pg.port} ${pg.users.replicator.password}`);
  const wrong = await run("/bin/sh", ["-c", `${command} upp --name ${name}`]);
  assert.equal(wrong.code, 2);
  assert.match(wrong.output, /unknown action "upp"; nearest is "up"/);
});
