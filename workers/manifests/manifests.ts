/** Kubernetes manifests of a job: what runs it, its file, the folder that it writes. */
import { createHash } from "node:crypto";
import { basename, extname, resolve } from "node:path";
import type { Deployment } from "kubernetes-types/apps/v1";
import type { Job } from "kubernetes-types/batch/v1";
import type {
  ConfigMap,
  Container,
  EnvVar,
  PersistentVolumeClaim,
  PodSpec,
  Probe,
  Volume,
  VolumeMount,
} from "kubernetes-types/core/v1";
import type { ObjectMeta } from "kubernetes-types/meta/v1";
import { ConfigError } from "../../shared/errors.ts";
import { type AnyJob, loadJob } from "../../shared/jobs/reader.ts";
import { jobKind, jobKinds } from "../jobs.ts";

/** One object for `kubectl apply`. */
export type Manifest = ConfigMap | PersistentVolumeClaim | Deployment | Job;

/** What manifests are made with besides the job. */
export interface ManifestOptions {
  readonly image: string;
  /** Size of the volume of a job that writes files, as Kubernetes writes it: `10Gi`. */
  readonly storage: string;
  /** Variables whose values are known already; the others come from the job's secret. */
  readonly env: (name: string) => string | undefined;
}

/** Where the image expects job files. */
const JOBS = "/jobs";
/** Where the image starts its worker. */
const WORKDIR = "/app";
/** The user `deno` of the image. */
const USER = 1993;
/** More than twice what workers were measured to need under load. */
const MEMORY_LIMIT = "384Mi";
const MEMORY_REQUEST = "192Mi";
const CPU_REQUEST = "100m";
/** Beyond `shutdown_timeout_ms`, after which a worker ends by itself. */
const GRACE_SECONDS = 5;
/** Stands for values that only the cluster knows, so that the job can be read here. */
const UNKNOWN = "unknown";

/**
 * The manifests of the job file with this name and text: a ConfigMap with the file, a Deployment or,
 * for a job that ends by itself, a Job, and a claim for the folder that it writes. Passwords are
 * references to the Secret `NAME-secrets`, which is not made here: each variable with a secret name or at
 * the place of a secret and each `${file:...}` is a key of it, the file's by its whole path. Throws
 * ConfigError where the job cannot run so.
 */
export function manifestsOf(name: string, text: string, options: ManifestOptions): Manifest[] {
  const path = `${JOBS}/${basename(name)}`;
  // A pod's own host name changes with each pod, and files that are named by it would be left behind.
  const env = (variable: string) =>
    variable === "HOSTNAME" ? objectName(path) : options.env(variable);
  const secrets = new Set<string>();
  const loaded = loadJob(path, jobKinds, {
    env(variable, secret) {
      if (secret) secrets.add(variable);
      return env(variable) ?? (secret ? UNKNOWN : undefined);
    },
    readTextFile: (file) => file === path ? text : UNKNOWN,
  });
  if (loaded.kind === "verify") {
    throw new ConfigError(
      `${path}: verify reads the files of a consumer, whose volume is its own.`,
      {
        cure: "run it in the consumer's pod, or where its files are",
      },
    );
  }
  const manifests = new JobManifests(path, text, loaded, { ...options, env, secrets }).all();
  refuseSharedKeys(path, secretKeys(manifests));
  return manifests;
}

/** Labels have no more letters (Kubernetes documentation, "Labels and Selectors"). */
const LONGEST_NAME = 63;

/** Names of objects have no underscores; the file's name tells jobs of one name apart. Throws ConfigError. */
function objectName(path: string): string {
  const file = basename(path, extname(path)).toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-").replaceAll(/^-|-$/g, "");
  const name = `list-sync-${file}`;
  if (file !== "" && name.length <= LONGEST_NAME) return name;
  throw new ConfigError(
    `${path}: objects are named after the job file; found ${JSON.stringify(basename(path))}.`,
    { cure: `rename it: 1 to ${LONGEST_NAME - "list-sync-".length} of a to z, 0 to 9 and -` },
  );
}

/** A key that the Secret must have. */
export interface SecretKey {
  readonly key: string;
  /** The file that the job reads, relative to the job file; undefined: a variable named as the key. */
  readonly file?: string;
}

/** Keys that the Secret of these manifests must have. */
export function secretKeys(manifests: readonly Manifest[]): SecretKey[] {
  const pods = manifests.flatMap((manifest) =>
    manifest.kind === "Deployment" || manifest.kind === "Job"
      ? [(manifest as Deployment).spec!.template.spec!]
      : []
  );
  return pods.flatMap(({ containers: [worker] }): SecretKey[] => [
    ...worker!.env!.flatMap(({ valueFrom }) => valueFrom?.secretKeyRef ?? [])
      .map(({ key }) => ({ key: key! })),
    ...worker!.volumeMounts!.filter(({ name }) => name === "secrets")
      .map(({ mountPath, subPath }) => ({ key: subPath!, file: besideJob(mountPath) })),
  ]);
}

/** A path below the folder of the job file as the job may name it; any other as it is. */
function besideJob(path: string): string {
  return path.startsWith(`${JOBS}/`) ? path.slice(JOBS.length + 1) : path;
}

/** Keys hold letters, digits, `-`, `_` and `.`, and none begins with `..`. */
function secretKey(path: string): string {
  return besideJob(path).replaceAll("/", ".").replaceAll(/[^\w.-]+/g, "-").replace(/^\.+/, "");
}

function refuseSharedKeys(path: string, keys: readonly SecretKey[]): void {
  const shown = ({ key, file }: SecretKey) =>
    file === undefined ? `\${env:${key}}` : `\${file:${file}}`;
  for (const [at, one] of keys.entries()) {
    const other = keys.slice(0, at).find(({ key }) => key === one.key);
    if (other === undefined) continue;
    throw new ConfigError(
      `${path}: ${shown(other)} and ${shown(one)} give one key of the Secret, ${one.key}.`,
      { cure: "rename one of them" },
    );
  }
}

interface PodOptions extends ManifestOptions {
  /** Variables whose values come from the Secret. */
  readonly secrets: ReadonlySet<string>;
}

class JobManifests {
  readonly #path: string;
  readonly #text: string;
  readonly #loaded: AnyJob<typeof jobKinds>;
  readonly #options: PodOptions;
  readonly #name: string;

  constructor(
    path: string,
    text: string,
    loaded: AnyJob<typeof jobKinds>,
    options: PodOptions,
  ) {
    this.#path = path;
    this.#text = text;
    this.#loaded = loaded;
    this.#options = options;
    this.#name = objectName(path);
  }

  all(): Manifest[] {
    return [
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: this.#metadata(),
        data: { [this.#key]: this.#text },
      },
      ...this.#folders().map((_, at) => this.#claim(at)),
      this.#endsByItself() ? this.#job() : this.#deployment(),
    ];
  }

  #metadata(suffix = ""): ObjectMeta {
    return { name: `${this.#name}${suffix}`, labels: this.#labels() };
  }

  #labels() {
    return {
      "app.kubernetes.io/name": "list-sync",
      "app.kubernetes.io/component": this.#loaded.kind,
      "app.kubernetes.io/instance": this.#name,
    };
  }

  /** A pod is not told of a new text in its ConfigMap; a Deployment's other template makes another pod. */
  #podMetadata(): ObjectMeta {
    const hash = createHash("sha256").update(this.#text).digest("hex");
    return { labels: this.#labels(), annotations: { "checksum/config": hash } };
  }

  /** The job file's key in the ConfigMap, where its name might hold signs that keys do not. */
  get #key(): string {
    return `job${extname(this.#path)}`;
  }

  #endsByItself(): boolean {
    const { job } = this.#loaded;
    return !("mode" in job) || job.mode === "batch";
  }

  #deployment(): Deployment {
    return {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: this.#metadata(),
      spec: {
        replicas: 1,
        // Two at a time would shut each other out: a capture by its epoch, a consumer by its locks.
        strategy: { type: "Recreate" },
        selector: { matchLabels: { "app.kubernetes.io/instance": this.#name } },
        template: { metadata: this.#podMetadata(), spec: this.#pod(this.#probes()) },
      },
    };
  }

  #job(): Job {
    return {
      apiVersion: "batch/v1",
      kind: "Job",
      metadata: this.#metadata(),
      spec: {
        backoffLimit: 3,
        template: {
          metadata: { labels: this.#labels() },
          spec: { ...this.#pod({}), restartPolicy: "Never" },
        },
      },
    };
  }

  #pod(probes: Pick<Container, "livenessProbe" | "readinessProbe">): PodSpec {
    const { shutdown_timeout_ms } = this.#loaded.job;
    return {
      automountServiceAccountToken: false,
      // Else a Service called `mysql` sets MYSQL_PORT, to a URL.
      enableServiceLinks: false,
      terminationGracePeriodSeconds: Math.ceil(shutdown_timeout_ms / 1000) + GRACE_SECONDS,
      securityContext: {
        runAsNonRoot: true,
        runAsUser: USER,
        runAsGroup: USER,
        fsGroup: USER,
        seccompProfile: { type: "RuntimeDefault" },
      },
      containers: [{
        name: "worker",
        image: this.#options.image,
        args: [this.#path],
        env: this.#environment(),
        ...probes,
        resources: {
          requests: { cpu: CPU_REQUEST, memory: MEMORY_REQUEST },
          limits: { memory: MEMORY_LIMIT },
        },
        securityContext: {
          allowPrivilegeEscalation: false,
          readOnlyRootFilesystem: true,
          capabilities: { drop: ["ALL"] },
        },
        volumeMounts: this.#mounts(),
      }],
      volumes: this.#volumes(),
    };
  }

  #probes(): Pick<Container, "livenessProbe" | "readinessProbe"> {
    const { metrics_host, metrics_port } = this.#loaded.job.observe;
    if (
      metrics_port === undefined || metrics_port === 0 || /^(127\.|::1|local)/.test(metrics_host)
    ) {
      throw new ConfigError(
        `${this.#path} observe: probes come from outside of the container; found metrics_host ` +
          `${metrics_host}, metrics_port ${metrics_port ?? "none"}.`,
        { cure: "observe: { metrics_host: 0.0.0.0, metrics_port: 9464 }" },
      );
    }
    const probe = (path: string): Probe => ({ httpGet: { path, port: metrics_port } });
    return {
      livenessProbe: { ...probe("/health/live"), initialDelaySeconds: 30, failureThreshold: 6 },
      readinessProbe: probe("/health/ready"),
    };
  }

  #environment(): EnvVar[] {
    const { env, secrets } = this.#options;
    return this.#loaded.environment.flatMap((name): EnvVar[] => {
      if (secrets.has(name)) {
        return [{ name, valueFrom: { secretKeyRef: { name: this.#secret(), key: name } } }];
      }
      const value = env(name);
      return value === undefined ? [] : [{ name, value }];
    });
  }

  #secret(): string {
    return `${this.#name}-secrets`;
  }

  /** What the job writes. */
  #folders(): string[] {
    const { write } = jobKind(this.#loaded.kind).needs(this.#loaded.job);
    return write.map(({ value }) => resolve(WORKDIR, value));
  }

  /** What the job reads; one file may be named in two ways. */
  #files(): string[] {
    return [...new Set(this.#loaded.files)];
  }

  #claim(at: number): PersistentVolumeClaim {
    return {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: this.#metadata(`-files-${at}`),
      spec: {
        accessModes: ["ReadWriteOnce"],
        resources: { requests: { storage: this.#options.storage } },
      },
    };
  }

  #mounts(): VolumeMount[] {
    return [
      // Not its folder: in a read-only volume no place can be made for the files beside it.
      { name: "job", mountPath: this.#path, subPath: this.#key, readOnly: true },
      { name: "tmp", mountPath: "/tmp" },
      ...this.#files().map((path) => ({
        name: "secrets",
        mountPath: path,
        subPath: secretKey(path),
        readOnly: true,
      })),
      ...this.#folders().map((path, at) => ({ name: `files-${at}`, mountPath: path })),
    ];
  }

  #volumes(): Volume[] {
    const items = this.#files().map((path) => ({ key: secretKey(path), path: secretKey(path) }));
    return [
      { name: "job", configMap: { name: this.#name } },
      { name: "tmp", emptyDir: {} },
      ...items.length === 0
        ? []
        : [{ name: "secrets", secret: { secretName: this.#secret(), items, defaultMode: 0o440 } }],
      ...this.#folders().map((_, at) => ({
        name: `files-${at}`,
        persistentVolumeClaim: { claimName: `${this.#name}-files-${at}` },
      })),
    ];
  }
}
