/**
 * The images that the compose files name, for machines that cannot pull them: built on a base of
 * Debian's packages, with the same users, folders, ports and variables, so that the wiring is the same.
 */

import { join } from "node:path";
import type { Engine } from "../native/engine.ts";
import { kafkaSoftware } from "../native/kafka.ts";
import { machineMirror, type Note } from "../native/packages.ts";
import { CHECKOUT } from "../native/paths.ts";
import { demand, run, runOrFail } from "../native/processes.ts";

/** What the compose files ask for, by the variable that replaces it. */
export const OFFICIAL_IMAGES = {
  KAFKA_IMAGE: "apache/kafka:3.9.1",
  MYSQL_IMAGE: "mysql:8.4",
  POSTGRES_IMAGE: "postgres:15-bookworm",
  DENO_IMAGE: "denoland/deno:2.9.6",
} as const;

const BASE = "list-sync-debian/base";
const SOURCES = join(CHECKOUT, "compose/debian");
/** The machine's trusted authorities: what is downloaded in a build comes the way of the machine. */
const AUTHORITIES = "etc/ssl/certs/ca-certificates.crt";

/** Fetches the official images; false where that fails. */
export async function pullImages({ env }: Engine): Promise<boolean> {
  for (const image of Object.values(OFFICIAL_IMAGES)) {
    if ((await run("docker", ["pull", "--quiet", image], { env })).code !== 0) return false;
  }
  return true;
}

/** Builds the images that compose/debian.env names. Takes root and debootstrap. */
export async function buildDebianImages(engine: Engine, note: Note): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "list-sync-images-" });
  try {
    await importBase(join(folder, "base"), engine, note);
    const context = join(folder, "context");
    await gatherContext(context, note);
    note("building images from Debian's packages");
    await Promise.all(
      ["deno", "kafka", "mysql", "postgres"].map((name) =>
        runOrFail(`Build of list-sync-debian/${name}`, "docker", [
          "build",
          `--file=${join(context, `${name}.Dockerfile`)}`,
          `--tag=list-sync-debian/${name}`,
          context,
        ], { env: engine.env })
      ),
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The smallest Debian of the machine's release, with the machine's way to its mirror. */
async function importBase(root: string, { env }: Engine, note: Note): Promise<void> {
  demand("debootstrap", "debootstrap");
  const { codename, uri, settings } = await machineMirror();
  note(`making a base of Debian ${codename}`);
  await runOrFail("Making a base", "debootstrap", ["--variant=minbase", codename, root, uri]);
  await Deno.writeTextFile(join(root, "etc/apt/sources.list"), `deb ${uri} ${codename} main\n`);
  await Deno.writeTextFile(join(root, "etc/apt/apt.conf.d/90machine"), settings);
  await Deno.mkdir(join(root, "etc/ssl/certs"), { recursive: true });
  await Deno.copyFile(`/${AUTHORITIES}`, join(root, AUTHORITIES));
  const script = 'tar -C "$1" -c . | docker import - "$2"';
  await runOrFail("Import of the base", "/bin/sh", ["-c", script, "sh", root, BASE], { env });
}

/** All that the Dockerfiles copy, in one folder: their scripts, Kafka's jars, this very Deno. */
async function gatherContext(folder: string, note: Note): Promise<void> {
  const { libraries } = await kafkaSoftware(note);
  await Deno.mkdir(folder);
  await runOrFail("Copying the Dockerfiles", "cp", ["-r", `${SOURCES}/.`, folder]);
  await runOrFail("Copying Kafka", "cp", ["-r", libraries, join(folder, "libs")]);
  await Deno.copyFile(Deno.execPath(), join(folder, "deno"));
}
