/** Java and Maven: the machine's own when it has both, else Debian's, unpacked into the cache. */

import { join } from "node:path";
import { exists } from "./paths.ts";
import { type Note, type Unpacked, unpackPackages } from "./packages.ts";
import { run, which } from "./processes.ts";
import { javaTrustStore, TRUST_STORE_PASSWORD, trustedCertificates } from "./truststore.ts";

/** A Java that runs Kafka, and a Maven that runs on it. */
export interface Java {
  /** Path of `java`. */
  command: string;
  /** Folder that must be readable to run it. */
  home: string;
  /** Version as Java says it, such as 17.0.15. */
  version: string;
  /** Path of `mvn`. */
  maven: string;
  /** What `mvn` needs in its environment. */
  mavenEnv: Record<string, string>;
  /** Arguments that every call of `mvn` begins with. */
  mavenArguments: string[];
}

/** Kafka 4 wants this one, and it is what is tested. */
const OLDEST_JAVA = 17;

/** Finds Java and Maven; downloads them when the machine does not have both. */
export async function findJava(note: Note): Promise<Java> {
  return await machineJava() ?? await debianJava(note);
}

async function machineJava(): Promise<Java | undefined> {
  const [command, maven] = [which("java"), which("mvn")];
  if (command === undefined || maven === undefined) return undefined;
  const version = await versionOf(command);
  if (!(parseInt(version) >= OLDEST_JAVA)) return undefined;
  return { command, home: "/usr", version, maven, mavenEnv: {}, mavenArguments: [] };
}

async function debianJava(note: Note): Promise<Java> {
  const choose = () => ["default-jre-headless", "maven"];
  const tree = await unpackPackages({ name: "java", suite: "machine", choose }, note);
  const home = await javaHome(tree);
  const command = join(home, "bin/java");
  const settings = "/etc/maven/settings.xml";
  return {
    command,
    home,
    version: await versionOf(command),
    maven: join(tree.root, "usr/share/maven/bin/mvn"),
    mavenEnv: {
      JAVA_HOME: home,
      MAVEN_OPTS: ["-XX:-UsePerfData", ...await trustOptions(tree)].join(" "),
    },
    mavenArguments: await exists(settings) ? ["--global-settings", settings] : [],
  };
}

/**
 * The package's own tree. Its programs are run by the machine's loader, because Java finds its files
 * through /proc/self/exe, which would name the tree's loader; the two libraries it needs beside libc
 * are on every Debian, since apt needs them.
 */
async function javaHome(tree: Unpacked): Promise<string> {
  const machines = join(tree.root, "usr/lib/jvm");
  for await (const entry of Deno.readDir(machines)) {
    const home = join(machines, entry.name);
    if (entry.isDirectory && await exists(join(home, "bin/java"))) return home;
  }
  throw new Error(`No Java below ${machines}. To mend: remove ${tree.root} and start again.`);
}

/** The package makes its trust store when it is installed, which it is not here. */
async function trustOptions(tree: Unpacked): Promise<string[]> {
  const path = join(tree.root, "trust.jks");
  await Deno.writeFile(path, javaTrustStore(await trustedCertificates()));
  return [
    `-Djavax.net.ssl.trustStore=${path}`,
    `-Djavax.net.ssl.trustStorePassword=${TRUST_STORE_PASSWORD}`,
    "-Djavax.net.ssl.trustStoreType=JKS",
  ];
}

async function versionOf(command: string): Promise<string> {
  const { output } = await run(command, ["-version"]);
  const version = /version "([^"]+)"/.exec(output)?.[1];
  if (version !== undefined) return version;
  throw new Error(`${command} -version does not say a version, but: ${output.slice(0, 500)}`);
}
