/** What workers may do: no more than a list written here, nothing of it in vain, and nowhere else. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { testStack } from "../stack.ts";

const TOP = fileURLToPath(new URL("../../", import.meta.url));
const STACK = testStack();
const RUN = `perm_${crypto.randomUUID().slice(0, 8)}`;
const METRICS_PORT = freePort();

const PG = `${STACK.pg.host}:${STACK.pg.port}`;
const MYSQL = `${STACK.mysql.host}:${STACK.mysql.port}`;
const METRICS = `127.0.0.1:${METRICS_PORT}`;
const ENV = {
  PERM_PG_PASSWORD: STACK.pg.users.replicator.password,
  PERM_PG_WRITER_PASSWORD: STACK.pg.users.writer.password,
  PERM_MYSQL_PASSWORD: STACK.mysql.users.replicator.password,
};

interface Permissions {
  readonly net: string[];
  readonly read: string[];
  readonly write: string[];
  readonly env: string[];
  readonly command: string[];
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  listener.close();
  return listener.addr.port;
}

async function deno(args: readonly string[], env: Record<string, string> = ENV) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: TOP,
    env,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

async function permissionsOf(path: string, ...options: string[]): Promise<Permissions> {
  const { code, stdout, stderr } = await deno(
    ["run", "-A", "workers/commands/permissions.ts", "--json", ...options, path],
  );
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout) as Permissions;
}

/** The jobs under test, and all that each may be granted. */
function jobs(folder: string) {
  const password = (name: keyof typeof ENV) => `\${env:${name}}`;
  const kafka = { brokers: [STACK.kafka.brokers[0]!] };
  const observe = { metrics_port: METRICS_PORT };
  const output = `${folder}/out`;
  Deno.mkdirSync(output, { recursive: true });
  const seed = {
    job: "seed",
    name: `${RUN}_seed`,
    rows: 20,
    table: `public.${RUN}`,
    database: {
      kind: "postgresql",
      host: STACK.pg.host,
      port: STACK.pg.port,
      database: STACK.pg.database,
      user: STACK.pg.users.writer.user,
      password: password("PERM_PG_WRITER_PASSWORD"),
    },
    observe,
  };
  const capturePg = {
    job: "capture-pg",
    name: RUN,
    mode: "batch",
    source: {
      host: STACK.pg.host,
      port: STACK.pg.port,
      database: STACK.pg.database,
      user: STACK.pg.users.replicator.user,
      password: password("PERM_PG_PASSWORD"),
      tables: [`public.${RUN}`],
    },
    kafka,
    observe,
  };
  const captureMysql = {
    job: "capture-mysql",
    name: `${RUN}_mysql`,
    mode: "batch",
    source: {
      host: STACK.mysql.host,
      port: STACK.mysql.port,
      user: STACK.mysql.users.replicator.user,
      password: password("PERM_MYSQL_PASSWORD"),
      tables: [`${STACK.mysql.database}.*`],
    },
    kafka,
    observe,
  };
  const consume = {
    job: "consume-csv",
    name: `${RUN}_csv`,
    mode: "batch",
    topics: [`${RUN}.public.${RUN}`],
    kafka,
    sink: { output },
    observe,
  };
  const listed = (
    job: { name: string },
    allowed: { net: string[]; env: string[]; read?: string[]; write?: string[] },
  ) => {
    const path = `${folder}/${job.name}.yaml`;
    Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 2));
    return {
      path,
      allowed: {
        net: [...allowed.net, METRICS].sort(),
        read: [path, ...allowed.read ?? []].sort(),
        write: allowed.write ?? [],
        env: allowed.env,
      },
    };
  };
  const brokers = STACK.kafka.brokers;
  return [
    listed(seed, { net: [PG], env: ["PERM_PG_WRITER_PASSWORD"] }),
    listed(capturePg, { net: [PG, ...brokers], env: ["PERM_PG_PASSWORD"] }),
    listed(captureMysql, { net: [MYSQL, ...brokers], env: ["PERM_MYSQL_PASSWORD"] }),
    listed(consume, { net: brokers, env: [], read: [output], write: [output] }),
  ];
}

/** The command with one value taken out of one list; the whole flag when it was the only one. */
function without(command: readonly string[], kind: string, value: string): string[] {
  return command.flatMap((word) => {
    if (!word.startsWith(`--allow-${kind}=`)) return [word];
    const rest = word.slice(`--allow-${kind}=`.length).split(",").filter((one) => one !== value);
    return rest.length === 0 ? [] : [`--allow-${kind}=${rest.join(",")}`];
  });
}

const folder = Deno.makeTempDirSync({ prefix: "list-sync-permissions-" });
const LISTED = jobs(folder);

for (const { path, allowed } of LISTED) {
  const name = path.slice(folder.length + 1).replace(RUN, "NAME");

  Deno.test(`${name}: grants are just those listed here`, async () => {
    const { command, ...granted } = await permissionsOf(path);
    assert.deepEqual(granted, allowed);
    const flags = command.filter((word) => word.startsWith("--allow"));
    const kinds = flags.map((flag) => flag.split("=")[0]);
    const wanted = allowed.write.length > 0
      ? ["--allow-net", "--allow-read", "--allow-write", "--allow-env"]
      : ["--allow-net", "--allow-read", "--allow-env"];
    assert.deepEqual(kinds, wanted);
  });

  Deno.test(`${name}: the worker does its work with them`, async () => {
    const { command } = await permissionsOf(path);
    const { code, stderr } = await deno(command.slice(1));
    assert.equal(code, 0, stderr);
  });

  Deno.test(`${name}: without any one of them it refuses to start and names it`, async () => {
    const { command } = await permissionsOf(path);
    for (const kind of ["net", "read", "write"] as const) {
      for (const value of allowed[kind]) {
        const { code, stderr } = await deno(without(command.slice(1), kind, value));
        assert.equal(code, 2, `--allow-${kind} without ${value}: ${stderr}`);
        assert.ok(stderr.includes(value), `--allow-${kind} without ${value}: ${stderr}`);
      }
    }
    for (const variable of allowed.env) {
      const { code, stderr } = await deno(command.slice(1), { ...ENV, [variable]: "" });
      assert.equal(code, 2, `${variable} empty: ${stderr}`);
      assert.match(stderr, new RegExp(`the environment variable ${variable} is empty`));
    }
  });

  Deno.test(`${name}: a connection elsewhere is refused`, async () => {
    const { command } = await permissionsOf(path);
    const elsewhere = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const probe = `${folder}/probe.ts`;
    Deno.writeTextFileSync(
      probe,
      `await Deno.connect({ hostname: "127.0.0.1", port: ${elsewhere.addr.port} });`,
    );
    try {
      const flags = command.slice(1).filter((word) => word === "run" || word.startsWith("--"));
      const { code, stderr } = await deno([...flags, probe]);
      assert.equal(code, 1);
      assert.match(stderr, /NotCapable: Requires net access/);
    } finally {
      elsewhere.close();
    }
  });
}

Deno.test("offline, only the job's own list of brokers is granted", async () => {
  const capture = LISTED[1]!;
  const { net } = await permissionsOf(capture.path, "--offline");
  assert.deepEqual(net, [PG, STACK.kafka.brokers[0]!, METRICS].sort());
});

Deno.test("a refused connection names the line of the job that would allow it", async () => {
  const capture = LISTED[1]!;
  const { command } = await permissionsOf(capture.path);
  const { stderr } = await deno(without(command.slice(1), "net", PG));
  const line = Deno.readTextFileSync(capture.path).split("\n")
    .findIndex((text) => text.includes('"host"')) + 1;
  assert.ok(stderr.includes(`${capture.path}:${line}:5 source.host`), stderr);
  assert.ok(stderr.includes(`--allow-net=${PG}`), stderr);
});

addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
