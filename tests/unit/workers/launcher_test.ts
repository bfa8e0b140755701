/** The launcher and the frame of a worker, on a target that takes connections and never answers. */
import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import config from "../../../deno.json" with { type: "json" };
import { advertising } from "../kafka/advertising.ts";

const TOP = fileURLToPath(new URL("../../../", import.meta.url));
const DEADLINE_MS = 60_000;

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A process whose log lines can be waited for while it runs. */
class Running {
  readonly #child: Deno.ChildProcess;
  readonly ended: Promise<Ended>;
  stderr = "";
  #watchers: (() => void)[] = [];

  constructor(args: string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args,
      cwd: TOP,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.ended = this.#collect();
  }

  async #collect(): Promise<Ended> {
    const stdout = new Response(this.#child.stdout).text();
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.stderr += text;
      for (const look of this.#watchers) look();
    }
    const { code } = await this.#child.status;
    return { code, stdout: await stdout, stderr: this.stderr };
  }

  /** Resolves when the log holds `text`; rejects with the whole log at the deadline or the end. */
  async says(text: string): Promise<void> {
    const said = new Promise<void>((resolve) => {
      const look = () => this.stderr.includes(text) && resolve();
      this.#watchers.push(look);
      look();
    });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const fail = () => reject(new Error(`never said ${text}; it said:\n${this.stderr}`));
      timer = setTimeout(fail, DEADLINE_MS);
      this.ended.then(fail);
    });
    await Promise.race([said, late]).finally(() => clearTimeout(timer));
  }

  kill(signal: Deno.Signal): void {
    try {
      this.#child.kill(signal);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // it has ended already
    }
  }
}

const run = (args: string[], env?: Record<string, string>) => new Running(args, env).ended;

/** Both launchers, as `deno.json` starts them. */
const LAUNCHERS = {
  processes: config.tasks.seed,
  threads: `${config.tasks["list-sync"]} seed`,
};

/** A folder for jobs, and a port that takes connections and says nothing. */
async function withSilentServer(
  body: (folder: string, port: number, accepted: () => Promise<void>) => Promise<void>,
): Promise<void> {
  const folder = Deno.makeTempDirSync();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const connections: Deno.Conn[] = [];
  const waiting: (() => void)[] = [];
  let open = 0;
  const accepting = (async () => {
    for await (const connection of listener) {
      connections.push(connection);
      open++;
      waiting.shift()?.();
    }
  })();
  const accepted = () =>
    new Promise<void>((resolve) => open > 0 ? resolve() : waiting.push(resolve));
  try {
    await body(folder, listener.addr.port, accepted);
  } finally {
    listener.close();
    await accepting.catch(() => {});
    for (const connection of connections) connection.close();
    Deno.removeSync(folder, { recursive: true });
  }
}

function writeJob(folder: string, name: string, port: number, more = ""): string {
  const path = `${folder}/${name}.yaml`;
  Deno.writeTextFileSync(
    path,
    `job: seed
name: ${name}
shutdown_timeout_ms: 300
database:
  kind: postgresql
  host: 127.0.0.1
  port: ${port}
  database: shop
  user: writer
  password: hunter2
  connect_timeout_ms: 60000
${more}`,
  );
  return path;
}

for (const [way, line] of Object.entries(LAUNCHERS)) {
  const [, ...LAUNCHER] = line.split(" ");

  Deno.test(`${way}: a bad job ends with exit code 2 before anything starts, and shows no password`, async () => {
    await withSilentServer(async (folder, port) => {
      const path = writeJob(folder, "bad", port, "roes: 5\n");
      const { code, stderr } = await run([...LAUNCHER, path]);
      assert.equal(code, 2, stderr);
      assert.match(stderr, /bad\.yaml:12:1 roes: unknown key; nearest is "rows"/);
      assert.doesNotMatch(stderr, /worker_started|hunter2/);
    });
  });

  Deno.test(`${way}: a terminal that is closed stops the workers`, async () => {
    await withSilentServer(async (folder, port, accepted) => {
      const launcher = new Running([...LAUNCHER, writeJob(folder, "left", port)]);
      await accepted();
      launcher.kill("SIGHUP");
      const { code, stderr } = await launcher.ended;
      assert.match(stderr, /"event":"stopping","signal":"SIGHUP","shutdown_timeout_ms":300/);
      assert.match(stderr, /"event":"worker_ended","of":"left","exit_code":1/);
      assert.equal(code, 1, stderr);
    });
  });

  Deno.test(`${way}: a target that does not answer delays the end by shutdown_timeout_ms, and the code says so`, async () => {
    await withSilentServer(async (folder, port, accepted) => {
      const launcher = new Running([...LAUNCHER, writeJob(folder, "hung", port)]);
      await accepted();
      launcher.kill("SIGTERM");
      const { code, stderr } = await launcher.ended;
      assert.equal(code, 1, stderr);
      assert.match(stderr, /"event":"stopping","signal":"SIGTERM","shutdown_timeout_ms":300/);
      assert.match(stderr, /"event":"shutdown_timeout"/);
    });
  });

  Deno.test(`${way}: a second signal ends the workers at once`, async () => {
    await withSilentServer(async (folder, port, accepted) => {
      const path = writeJob(folder, "stubborn", port);
      Deno.writeTextFileSync(
        path,
        Deno.readTextFileSync(path).replace(
          "shutdown_timeout_ms: 300",
          "shutdown_timeout_ms: 600000",
        ),
      );
      const launcher = new Running([...LAUNCHER, path]);
      await accepted();
      launcher.kill("SIGINT");
      await launcher.says('"event":"stopping"');
      const again = setInterval(() => launcher.kill("SIGINT"), 100);
      const { code, stderr } = await launcher.ended.finally(() => clearInterval(again));
      assert.notEqual(code, 0);
      assert.match(stderr, /"event":"worker_ended"/);
    });
  });

  Deno.test(`${way}: when one job fails the others are stopped, and its exit code is the launcher's`, async () => {
    await withSilentServer(async (folder, port) => {
      const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const refused = closed.addr.port;
      closed.close();
      const jobs = [writeJob(folder, "hung", port), writeJob(folder, "failing", refused)];
      const { code, stderr } = await run([...LAUNCHER, ...jobs]);
      assert.equal(code, 1, stderr);
      const lines = stderr.trim().split("\n").filter((line) => line.startsWith("{"))
        .map((line) => JSON.parse(line));
      const ended = lines.filter(({ event }) => event === "worker_ended");
      assert.deepEqual(ended.map(({ of }) => of), ["failing", "hung"], stderr);
    });
  });

  Deno.test(`${way}: a worker serves metrics and health on its port while it runs`, async () => {
    await withSilentServer(async (folder, port, accepted) => {
      const path = writeJob(folder, "seen", port, "observe:\n  metrics_port: 0\n");
      const launcher = new Running([...LAUNCHER, path]);
      await accepted();
      await launcher.says('"event":"listening"');
      const metrics_port = /"event":"listening".*?"port":(\d+)/.exec(launcher.stderr)![1];
      const live = await fetch(`http://127.0.0.1:${metrics_port}/health/live`);
      assert.deepEqual([live.status, await live.json()], [200, { live: true }]);
      launcher.kill("SIGTERM");
      await launcher.ended;
    });
  });
}

Deno.test("a worker without a grant that its job needs names the job's line and the flag", async () => {
  await withSilentServer(async (folder, port) => {
    const path = writeJob(folder, "narrow", port);
    const flags = ["--no-prompt", `--allow-read=${path}`, "--allow-env"];
    const { code, stderr } = await run(["run", ...flags, "workers/seed.ts", path]);
    assert.equal(code, 2, stderr);
    const { event, error } = JSON.parse(stderr.trim().split("\n").at(-1)!);
    assert.equal(event, "failed");
    assert.equal(
      error,
      `${path}:6:3 database.host: this process may not connect to 127.0.0.1:${port}. ` +
        `To mend: start it by \`deno task\`, or add --allow-net=127.0.0.1:${port} to \`deno run\``,
    );
  });
});

Deno.test("a worker sees of the environment only what its job names, and what Deno trusts by", async () => {
  await withSilentServer(async (folder, port) => {
    const path = writeJob(folder, "private", port);
    const text = Deno.readTextFileSync(path).replace("writer", "${env:SEED_USER}");
    Deno.writeTextFileSync(path, text);
    const probe = `
      import { readJob } from "${TOP}workers/runtime/environment.ts";
      import { grantsOf } from "${TOP}workers/launcher/grants.ts";
      import { workerEnvironment } from "${TOP}workers/launcher/processes.ts";
      const path = ${JSON.stringify(path)};
      console.log(JSON.stringify(workerEnvironment(grantsOf({ path, loaded: readJob(path) }, []))));
    `;
    const script = `${folder}/probe.ts`;
    Deno.writeTextFileSync(script, probe);
    const trust = { DENO_TLS_CA_STORE: "system", NODE_EXTRA_CA_CERTS: "/etc/company.pem" };
    const env = { SEED_USER: "someone", OTHER_SECRET: "not for the worker", ...trust };
    const { stdout, stderr } = await run(["run", "-A", "--config=deno.json", script], env);
    const seen = JSON.parse(stdout || "{}");
    assert.equal(seen.SEED_USER, "someone", stderr);
    for (const name of ["DENO_DIR", "HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE", "SSL_CERT_DIR"]) {
      delete seen[name]; // as this machine has them
    }
    delete seen.DENO_CERT;
    assert.deepEqual(seen, { DENO_NO_UPDATE_CHECK: "1", SEED_USER: "someone", ...trust });
  });
});

/** A process that works on the workers of the job at `path`, which its text knows as `path` and `file`. */
function scriptOn(path: string, text: string, env?: Record<string, string>): Running {
  const script = `${path}.ts`;
  Deno.writeTextFileSync(
    script,
    `
      import { readJob } from "${TOP}workers/runtime/environment.ts";
      import { askingCommand, processes } from "${TOP}workers/launcher/processes.ts";
      import { threads } from "${TOP}workers/launcher/threads.ts";
      const path = ${JSON.stringify(path)};
      const file = { path, loaded: readJob(path) };
      ${text}`,
  );
  const flags = ["-A", "--unstable-worker-options", "--config=deno.json"];
  return new Running(["run", ...flags, script], env);
}

Deno.test("a thread may do what it is granted, whatever its maker may, and sees no other's environment", async () => {
  await withSilentServer(async (folder, port) => {
    const { stdout, stderr } = await scriptOn(
      writeJob(folder, "narrow", port),
      `
      const grants = { net: [], read: [path], write: [], env: [] };
      const refused = await threads.start(file, grants, []).ended;
      Deno.writeTextFileSync(path, Deno.readTextFileSync(path).replace("writer", "\${env:HOME}"));
      const unnamed = await threads.start(file, { ...grants, net: ["127.0.0.1"] }, []).ended;
      console.log(JSON.stringify([refused, unnamed]));
    `,
    ).ended;
    assert.equal(stdout.trim(), "[2,2]", stderr);
    assert.match(stderr, /database\.host: this process may not connect to 127\.0\.0\.1:\d+/);
    assert.match(stderr, /the environment variable HOME is not set/);
  });
});

for (const client of ["builtin", "kafkajs"]) {
  Deno.test(`${client}: what brokers advertise is asked of the listed ones alone, with the job's variables alone`, async () => {
    await withSilentServer(async (folder, port) => {
      await using broker = advertising("elsewhere", 9092);
      const at = await broker.address();
      const path = `${folder}/asking.yaml`;
      const job = {
        job: "capture-mysql",
        name: "asking",
        kafka: { brokers: [at], client },
        source: {
          host: "127.0.0.1",
          port,
          user: "${env:MYSQL_USER}",
          password: "p",
          tables: ["s.t"],
        },
      };
      Deno.writeTextFileSync(path, JSON.stringify(job));
      const { stdout, stderr } = await scriptOn(
        path,
        `
        const { args, env, clearEnv } = askingCommand(file);
        console.log(JSON.stringify({ args, env, clearEnv }));
        for (const workers of [processes, threads]) {
          console.log(JSON.stringify(await workers.askBrokers(file)));
        }
      `,
        { MYSQL_USER: "someone", OTHER_SECRET: "not for who asks" },
      ).ended;
      const [command, ...answers] = stdout.trim().split("\n").map((line) => JSON.parse(line));
      assert.deepEqual(answers, Array(2).fill({ addresses: ["elsewhere:9092"] }), stderr);
      const net = command.args.filter((word: string) => word.startsWith("--allow-net"));
      assert.deepEqual(net, [`--allow-net=${at}`]);
      assert.equal(command.clearEnv, true);
      assert.equal(command.env.MYSQL_USER, "someone");
      assert.ok(!("OTHER_SECRET" in command.env), "another's variable");
    });
  });
}

Deno.test("a worker that is told to stop before it is there stops, in a thread and as a process", async () => {
  await withSilentServer(async (folder, port) => {
    const early = scriptOn(
      writeJob(folder, "early", port),
      `
      const grants = { net: ["127.0.0.1"], read: [path], write: [], env: [] };
      for (const workers of [threads, processes]) {
        const worker = workers.start(file, grants, []);
        worker.stop("SIGTERM");
        console.log(await worker.ended);
        if (workers === processes) worker.stop("SIGTERM"); // it has ended: nothing is left to do
      }
    `,
    );
    const timer = setTimeout(() => early.kill("SIGKILL"), DEADLINE_MS);
    const { code, stdout, stderr } = await early.ended.finally(() => clearTimeout(timer));
    assert.deepEqual([code, stdout.trim().split("\n")], [0, ["143", "143"]], stderr);
  });
});

Deno.test("two captures of one name are refused before either starts", async () => {
  await withSilentServer(async (folder, port) => {
    const job = JSON.stringify({
      job: "capture-mysql",
      name: "orders",
      kafka: { brokers: [`127.0.0.1:${port}`] },
      source: { host: "127.0.0.1", port, user: "u", password: "p", tables: ["shop.list"] },
    });
    for (const name of ["a", "b"]) Deno.writeTextFileSync(`${folder}/${name}.yaml`, job);
    const jobs = ["a", "b"].map((name) => `${folder}/${name}.yaml`);
    const flags = ["--no-prompt", "--allow-read", "--allow-env", "--allow-run"];
    const { code, stderr } = await run(["run", ...flags, "workers/commands/capture.ts", ...jobs]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /b\.yaml:1:\d+ name: "orders" is the name of .*a\.yaml, too\. To mend:/);
  });
});

Deno.test("a worker that still waits for the first answer of its servers is stopped at once", async () => {
  await withSilentServer(async (folder, port, accepted) => {
    const path = `${folder}/waiting.yaml`;
    const job = {
      job: "capture-mysql",
      name: "waiting",
      kafka: { brokers: [`127.0.0.1:${port}`] },
      source: { host: "127.0.0.1", port, user: "u", password: "p", tables: ["shop.list"] },
    };
    Deno.writeTextFileSync(path, JSON.stringify(job));
    for (const [signal, exit_code] of [["SIGTERM", 143], ["SIGHUP", 129]] as const) {
      const worker = new Running(["run", "--no-prompt", "-A", "workers/capture-mysql.ts", path]);
      await worker.says('"event":"started"');
      await accepted();
      worker.kill(signal);
      const { code, stderr } = await worker.ended;
      assert.equal(code, exit_code, stderr);
      assert.match(stderr, new RegExp(`"event":"ended","exit_code":${exit_code}`));
      assert.doesNotMatch(stderr, /shutdown_timeout"/);
    }
  });
});
