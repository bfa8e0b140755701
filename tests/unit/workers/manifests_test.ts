/** What `deno task manifests` prints: types hold the form (the published schemas), this holds the meaning. */
import assert from "node:assert/strict";
import type { Deployment } from "kubernetes-types/apps/v1";
import type { Job } from "kubernetes-types/batch/v1";
import type { ConfigMap } from "kubernetes-types/core/v1";
import { ConfigError } from "../../../shared/errors.ts";
import { manifestsOf, secretKeys } from "../../../workers/manifests/manifests.ts";

const OPTIONS = { image: "worker:1", storage: "1Gi", env: () => undefined };
const KAFKA = "kafka: { brokers: [broker1:9092] }";
const OBSERVE = "observe: { metrics_host: 0.0.0.0, metrics_port: 9464 }";
const CAPTURE = `job: capture-pg
name: shop_pg
source:
  host: db
  database: shop
  user: u
  password: \${file:/run/secrets/pg}
  tables: [public.list]
${KAFKA}
${OBSERVE}
shutdown_timeout_ms: 20000
`;
const CAPTURE_TOML = `job = "capture-pg"
name = "shop_pg"
kafka.brokers = ["broker1:9092"]
observe = { metrics_host = "0.0.0.0", metrics_port = 9464 }
[source]
host = "db"
database = "shop"
user = "u"
password = "p"
tables = ["public.list"]
`;
const CONSUMER = `job: consume-csv
name: out
topics: [t]
${KAFKA}
sink: { output: /out }
${OBSERVE}
`;
const SEED = `job: seed
name: seed
database: { kind: mysql, host: "\${env:DB_HOST}", port: 3306, database: shop, user: u, password: "\${env:DB_PASSWORD}" }
`;

function deploymentOf(text: string): Deployment {
  const found = manifestsOf("shop_pg.yaml", text, OPTIONS).find(({ kind }) =>
    kind === "Deployment"
  );
  return found as Deployment;
}

Deno.test("a capture is a Deployment of one worker, with its job file as a ConfigMap", () => {
  const manifests = manifestsOf("shop_pg.yaml", CAPTURE, OPTIONS);
  assert.deepEqual(manifests.map(({ kind }) => kind), ["ConfigMap", "Deployment"]);
  for (const { metadata } of manifests) assert.equal(metadata!.name, "list-sync-shop-pg");
  assert.equal((manifests[0] as ConfigMap).data!["job.yaml"], CAPTURE);
  const { spec } = deploymentOf(CAPTURE);
  assert.equal(spec!.replicas, 1);
  assert.equal(spec!.strategy!.type, "Recreate");
  const [worker] = spec!.template.spec!.containers;
  assert.equal(worker!.image, "worker:1");
  assert.deepEqual(worker!.args, ["/jobs/shop_pg.yaml"]);
  const labels = spec!.template.metadata!.labels!;
  for (const [label, value] of Object.entries(spec!.selector.matchLabels!)) {
    assert.equal(labels[label], value);
  }
});

Deno.test("a changed job file is another template, so that its pod is made anew", () => {
  const template = (text: string) => JSON.stringify(deploymentOf(text).spec!.template);
  assert.equal(template(CAPTURE), template(CAPTURE));
  assert.notEqual(template(CAPTURE), template(CAPTURE.replace("public.list", "public.other")));
});

Deno.test("names of objects, labels and keys are such as Kubernetes takes, or the file's name is refused", () => {
  for (
    const file of ["my job.yaml", "orders_.yaml", "_Orders.v2_.toml", `${"x".repeat(53)}.yaml`]
  ) {
    const text = file.endsWith(".toml") ? CAPTURE_TOML : CAPTURE;
    const manifests = manifestsOf(file, text, OPTIONS);
    for (const { metadata } of manifests) {
      assert.match(metadata!.name!, /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, file);
      assert.equal(metadata!.labels!["app.kubernetes.io/instance"], metadata!.name);
    }
    const [config, deployment] = manifests as [ConfigMap, Deployment];
    const [key] = Object.keys(config.data!);
    assert.match(key!, /^[\w.-]+$/);
    const [worker] = deployment.spec!.template.spec!.containers;
    assert.deepEqual(worker!.args, [`/jobs/${file}`]);
    const { mountPath, subPath } = worker!.volumeMounts!.find(({ name }) => name === "job")!;
    assert.deepEqual([mountPath, subPath], [`/jobs/${file}`, key]);
  }
  for (const file of ["заказы.yaml", "_.yaml", `${"x".repeat(54)}.yaml`]) {
    assert.throws(
      () => manifestsOf(file, CAPTURE, OPTIONS),
      (error) => error instanceof ConfigError && /^rename it: 1 to 53 of a to z/.test(error.cure!),
    );
  }
});

Deno.test("the pod has no rights: no root, no capability, no file system of its own, no token", () => {
  const pod = deploymentOf(CAPTURE).spec!.template.spec!;
  assert.equal(pod.automountServiceAccountToken, false);
  assert.equal(pod.enableServiceLinks, false, "variables of services may be called as the job's");
  assert.equal(pod.securityContext!.runAsNonRoot, true);
  const [{ securityContext, resources }] = pod.containers as [typeof pod.containers[0]];
  assert.deepEqual(securityContext, {
    allowPrivilegeEscalation: false,
    readOnlyRootFilesystem: true,
    capabilities: { drop: ["ALL"] },
  });
  assert.ok(resources!.limits!["memory"]);
});

Deno.test("probes ask the metrics port, and the grace period is longer than the worker's", () => {
  const pod = deploymentOf(CAPTURE).spec!.template.spec!;
  const [worker] = pod.containers;
  assert.deepEqual(worker!.readinessProbe!.httpGet, { path: "/health/ready", port: 9464 });
  assert.deepEqual(worker!.livenessProbe!.httpGet, { path: "/health/live", port: 9464 });
  assert.equal(pod.terminationGracePeriodSeconds, 25);
});

/** A consumer whose job file names these files. */
function withFiles(password: string, ca: string): string {
  const kafka = `kafka:
  brokers: [broker1:9092]
  sasl: { mechanism: plain, username: u, password: "\${file:${password}}" }
  tls: { ca: "\${file:${ca}}" }`;
  return CONSUMER.replace(KAFKA, kafka);
}

function mountsOf(text: string) {
  return deploymentOf(text).spec!.template.spec!.containers[0]!.volumeMounts!;
}

Deno.test("a file that the job names is a key of its Secret, mounted where the job expects it", () => {
  const pod = deploymentOf(CAPTURE).spec!.template.spec!;
  const mount = pod.containers[0]!.volumeMounts!.find(({ name }) => name === "secrets");
  assert.deepEqual(mount, {
    name: "secrets",
    mountPath: "/run/secrets/pg",
    subPath: "run.secrets.pg",
    readOnly: true,
  });
  const volume = pod.volumes!.find(({ name }) => name === "secrets");
  assert.equal(volume!.secret!.secretName, "list-sync-shop-pg-secrets");
  assert.deepEqual(volume!.secret!.items, [{ key: "run.secrets.pg", path: "run.secrets.pg" }]);
  assert.deepEqual(secretKeys(manifestsOf("shop_pg.yaml", CAPTURE, OPTIONS)), [
    { key: "run.secrets.pg", file: "/run/secrets/pg" },
  ]);
});

Deno.test("files beside the job file are mounted beside it, one by one, none below another", () => {
  const mounts = mountsOf(withFiles("secrets/kafka", "ca.pem"));
  const below = mounts.filter(({ mountPath }) => /^\/jobs(\/|$)/.test(mountPath));
  assert.deepEqual(below, [
    { name: "job", mountPath: "/jobs/shop_pg.yaml", subPath: "job.yaml", readOnly: true },
    {
      name: "secrets",
      mountPath: "/jobs/secrets/kafka",
      subPath: "secrets.kafka",
      readOnly: true,
    },
    { name: "secrets", mountPath: "/jobs/ca.pem", subPath: "ca.pem", readOnly: true },
  ]);
});

Deno.test("files of one name in two folders are two keys of the Secret", () => {
  const text = withFiles("secrets/kafka/password", "../secrets/ca é/password");
  assert.deepEqual(secretKeys(manifestsOf("c.yaml", text, OPTIONS)), [
    { key: "secrets.kafka.password", file: "secrets/kafka/password" },
    { key: "secrets.ca-.password", file: "/secrets/ca é/password" },
  ]);
});

Deno.test("a file that is named in two ways is mounted once", () => {
  const text = withFiles("./secrets/../kafka", "kafka");
  assert.deepEqual(secretKeys(manifestsOf("c.yaml", text, OPTIONS)), [
    { key: "kafka", file: "kafka" },
  ]);
});

Deno.test("files and variables that would share a key of the Secret are refused", () => {
  const jobs = [
    [withFiles("a/b.c", "a.b/c"), /\{file:a\/b\.c\} and \$\{file:a\.b\/c\} .* a\.b\.c\./],
    [withFiles("run/pg", "/run/pg"), /\{file:run\/pg\} and \$\{file:\/run\/pg\} .* run\.pg\./],
    [
      withFiles("TOKEN", "ca.pem").replace("username: u", 'username: "${env:TOKEN}"'),
      /\{env:TOKEN\} and \$\{file:TOKEN\} .* TOKEN\./,
    ],
  ] as const;
  for (const [text, message] of jobs) {
    assert.throws(() => manifestsOf("c.yaml", text, OPTIONS), (error: unknown) => {
      assert.ok(error instanceof ConfigError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

Deno.test("a consumer has a claim for the folder that it writes", () => {
  const manifests = manifestsOf("shop_pg.yaml", CONSUMER, OPTIONS);
  assert.deepEqual(manifests.map(({ kind }) => kind), [
    "ConfigMap",
    "PersistentVolumeClaim",
    "Deployment",
  ]);
  const pod = deploymentOf(CONSUMER).spec!.template.spec!;
  const mount = pod.containers[0]!.volumeMounts!.find(({ mountPath }) => mountPath === "/out")!;
  const volume = pod.volumes!.find(({ name }) => name === mount.name)!;
  assert.equal(volume.persistentVolumeClaim!.claimName, manifests[1]!.metadata!.name);
});

Deno.test("a folder is mounted where the worker writes, also when it is named from its working folder", () => {
  const dockerfile = Deno.readTextFileSync(
    new URL("../../../compose/worker.Dockerfile", import.meta.url),
  );
  const [, home] = /^WORKDIR (.+)$/m.exec(dockerfile)!;
  for (
    const [output, mountPath] of [
      ["out", `${home}/out`],
      ["./a/../out/", `${home}/out`],
      ["/data/out", "/data/out"],
    ]
  ) {
    const mounts = mountsOf(CONSUMER.replace("/out", output!));
    assert.ok(mounts.some((mount) => mount.name === "files-0" && mount.mountPath === mountPath));
  }
});

Deno.test("a job that ends by itself is a Job; its password comes from the Secret, never from here", () => {
  const env = (name: string) => ({ DB_HOST: "db", DB_PASSWORD: "hush" })[name];
  const manifests = manifestsOf("seed.yaml", SEED, { ...OPTIONS, env });
  const job = manifests.at(-1) as Job;
  assert.equal(job.kind, "Job");
  assert.equal(job.spec!.template.spec!.restartPolicy, "Never");
  assert.deepEqual(job.spec!.template.spec!.containers[0]!.env, [
    { name: "DB_HOST", value: "db" },
    {
      name: "DB_PASSWORD",
      valueFrom: { secretKeyRef: { name: "list-sync-seed-secrets", key: "DB_PASSWORD" } },
    },
  ]);
  assert.ok(!JSON.stringify(manifests).includes("hush"));
});

Deno.test("a variable that stands where a secret does comes from the Secret, whatever its name", () => {
  const kafka = `kafka:
  brokers: [broker1:9092]
  sasl: { mechanism: plain, username: "\${env:KAFKA_USER}", password: "p-\${env:PHRASE}" }
  tls: { cert: "\${env:TLS_CERT}", key: "\${env:TLS_KEY}" }`;
  const env: Record<string, string> = {
    KAFKA_USER: "u",
    PHRASE: "hush",
    TLS_CERT: "public",
    TLS_KEY: "private",
  };
  const made = (env: (name: string) => string | undefined) =>
    manifestsOf("shop_pg.yaml", CONSUMER.replace(KAFKA, kafka), { ...OPTIONS, env });
  const manifests = made((name) => env[name]);
  const { spec } = manifests.find(({ kind }) => kind === "Deployment") as Deployment;
  const fromSecret = (name: string) => ({
    name,
    valueFrom: { secretKeyRef: { name: "list-sync-shop-pg-secrets", key: name } },
  });
  assert.deepEqual(spec!.template.spec!.containers[0]!.env, [
    { name: "KAFKA_USER", value: "u" },
    fromSecret("PHRASE"),
    { name: "TLS_CERT", value: "public" },
    fromSecret("TLS_KEY"),
  ]);
  assert.doesNotMatch(JSON.stringify(manifests), /hush|private/);
  const withoutSecrets = made((name) => /KEY|PHRASE/.test(name) ? undefined : env[name]);
  assert.deepEqual(withoutSecrets, manifests, "nobody needs to know them here");
});

Deno.test("the host name in a job is the Deployment's, which outlives its pods", () => {
  const text = CONSUMER.replace("/out", '"/out/${env:HOSTNAME}"');
  const { spec } = deploymentOf(text);
  const [worker] = spec!.template.spec!.containers;
  assert.deepEqual(worker!.env, [{ name: "HOSTNAME", value: "list-sync-shop-pg" }]);
  assert.ok(worker!.volumeMounts!.some(({ mountPath }) => mountPath === "/out/list-sync-shop-pg"));
});

Deno.test("every worker of compose/jobs has manifests, but the testers, which read others' files", () => {
  const folder = new URL("../../../compose/jobs/", import.meta.url);
  const env = (name: string) => name === "CONSUMER" ? "x" : undefined;
  for (const { name } of Deno.readDirSync(folder)) {
    const make = () =>
      manifestsOf(name, Deno.readTextFileSync(new URL(name, folder)), { ...OPTIONS, env });
    if (name.includes("tester")) assert.throws(make, ConfigError, name);
    else assert.ok(make().length >= 2, name);
  }
});

Deno.test("a worker that nobody outside can ask for its health is refused, with the lines to add", () => {
  for (const observe of ["", "observe: { metrics_port: 9464 }\n"]) {
    const text = CONSUMER.replace(`${OBSERVE}\n`, observe);
    assert.throws(() => manifestsOf("c.yaml", text, OPTIONS), (error: unknown) => {
      assert.ok(error instanceof ConfigError);
      assert.match(String(error.message), /probes come from outside/);
      return true;
    });
  }
});
