/** Jars and all that they depend on, from the Maven repository that the machine's Maven is set to. */

import { dirname, join } from "node:path";
import type { Java } from "./java.ts";
import { cacheFolder, exists, workFolder } from "./paths.ts";
import type { Note } from "./packages.ts";
import { runOrFail } from "./processes.ts";

const REPOSITORY_CURE =
  "see that Maven reaches its repository (mirrors and proxies stand in ~/.m2/settings.xml), and start again";

/** What to download: coordinates of the form `group:artifact:version`. */
export interface JarSet {
  /** Folder in the cache, such as `kafka-3.9.1`. */
  name: string;
  artifacts: string[];
}

/** Returns the folder with the jars, from the cache when it is there. */
export async function downloadJars(set: JarSet, java: Java, note: Note): Promise<string> {
  const folder = join(cacheFolder(), "maven", set.name);
  if (await exists(folder)) return folder;
  const work = await workFolder(dirname(folder));
  try {
    note(`downloading ${set.artifacts.join(", ")}`);
    await Deno.writeTextFile(join(work, "pom.xml"), projectOf(set));
    await runOrFail(`Download of ${set.name}`, java.maven, [
      ...java.mavenArguments,
      "--batch-mode",
      "--quiet",
      `-Dmaven.repo.local=${join(dirname(folder), "repository")}`,
      "dependency:copy-dependencies",
      `-DoutputDirectory=${join(work, "jars")}`,
    ], { cwd: work, env: java.mavenEnv, cure: REPOSITORY_CURE });
    await Deno.chmod(join(work, "jars"), 0o755);
    await Deno.rename(join(work, "jars"), folder).catch(async (error) => {
      // Another process was first; its jars are as good.
      if (!await exists(folder)) throw error;
    });
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  return folder;
}

/** The smallest project that depends on the artifacts. */
export function projectOf(set: JarSet): string {
  const dependencies = set.artifacts.map((coordinates) => {
    const [group, artifact, version] = coordinates.split(":");
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId>` +
      `<version>${version}</version></dependency>`;
  });
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>list-sync</groupId>
  <artifactId>${set.name}</artifactId>
  <version>1</version>
  <dependencies>
    ${dependencies.join("\n    ")}
  </dependencies>
</project>
`;
}
