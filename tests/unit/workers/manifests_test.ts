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
  assert.equal((manifests[0] as ConfigMap).data!["shop_pg.yaml"], CAPTURE);
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

Deno.test("the pod has no rights: no root, no capability, no file system of its own, no token", () => {
  const pod = deploymentOf(CAPTURE).spec!.template.spec!;
  assert.equal(pod.automountServiceAccountToken, false);
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

Deno.test("a file that the job names is a key of its Secret, mounted where the job expects it", () => {
  const pod = deploymentOf(CAPTURE).spec!.template.spec!;
  const mount = pod.containers[0]!.volumeMounts!.find(({ name }) => name === "secrets");
  assert.deepEqual(mount, {
    name: "secrets",
    mountPath: "/run/secrets/pg",
    subPath: "pg",
    readOnly: true,
  });
  const volume = pod.volumes!.find(({ name }) => name === "secrets");
  assert.equal(volume!.secret!.secretName, "list-sync-shop-pg-secrets");
  assert.deepEqual(secretKeys(manifestsOf("shop_pg.yaml", CAPTURE, OPTIONS)), ["pg"]);
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
