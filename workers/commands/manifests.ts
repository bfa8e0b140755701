/** `deno task manifests JOB...`: Kubernetes manifests of jobs, as YAML. */
import { basename, dirname, isAbsolute, join } from "node:path";
import { stringify } from "yaml";
import { ConfigError } from "../../shared/errors.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { quoted } from "../cli/shell.ts";
import { manifestsOf, secretKeys } from "../manifests/manifests.ts";
import { VERSION } from "../runtime/version.ts";

const SPEC: CommandSpec = {
  name: "manifests",
  summary:
    "Prints Kubernetes manifests that run jobs: Deployments (Jobs for what ends by itself),\n" +
    "ConfigMaps with the job files, claims for the folders that are written. Passwords are\n" +
    "references to a Secret; a comment says how to make it.",
  usage: "deno task manifests [options] JOB...",
  example: "deno task manifests compose/jobs/capture-pg.yaml | kubectl apply --filename -",
  options: {
    image: {
      type: "string",
      value: "IMAGE",
      help: "Image of compose/worker.Dockerfile, as the cluster knows it.",
      default: `list-sync/worker:${VERSION}`,
    },
    storage: {
      type: "string",
      value: "SIZE",
      help: "Size of the volume of a job that writes files.",
      default: "10Gi",
    },
  },
  positionals: { name: "JOB", help: "Job files: .yaml or .toml.", min: 1, max: Infinity },
};

async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, Deno.args);
  if (parsed === "help") return EXIT_DONE;
  const { image, storage } = parsed.options;
  const names = new Set<string>();
  for (const path of parsed.positionals) {
    const manifests = manifestsOf(basename(path), await Deno.readTextFile(path), {
      image: image as string,
      storage: storage as string,
      env: (name) => Deno.env.get(name),
    });
    const name = manifests[0]!.metadata!.name!;
    if (names.has(name)) {
      throw new ConfigError(`Two job files give objects of the name ${name}.`, {
        cure: "rename one of the files",
      });
    }
    names.add(name);
    const keys = secretKeys(manifests);
    if (keys.length > 0) {
      const sources = keys.map(({ key, file }) =>
        file === undefined ? key : `${key}=${isAbsolute(file) ? file : join(dirname(path), file)}`
      );
      const flags = sources.map((source) => quoted(`--from-file=${source}`)).join(" ");
      console.log(`# kubectl create secret generic ${name}-secrets ${flags}`);
    }
    for (const manifest of manifests) console.log(`---\n${stringify(manifest).trimEnd()}`);
  }
  return EXIT_DONE;
}

if (import.meta.main) await run(main);
