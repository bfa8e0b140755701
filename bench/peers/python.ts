/** The usual Python way from Kafka to CSV: confluent-kafka, json and csv. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { cacheFolder, exists } from "../../compose/native/paths.ts";
import { run, runOrFail, which } from "../../compose/native/processes.ts";
import { ConfigError } from "../../shared/errors.ts";
import { PeerProcess } from "./process.ts";

export const CONFLUENT_KAFKA_VERSION = "2.11.1";

const PACKAGE = `confluent-kafka==${CONFLUENT_KAFKA_VERSION}`;

const SCRIPT = fileURLToPath(new URL("python_csv.py", import.meta.url));

/** The Python of an environment in the cache that has the package; makes it when it is not there. */
export async function pythonSoftware(): Promise<string> {
  const folder = join(cacheFolder(), "python", PACKAGE.replaceAll(/\W+/g, "-"));
  const python = join(folder, "bin/python3");
  if (await exists(folder)) return python;
  const making = `${folder}.${Deno.pid}`;
  console.error(`Python: downloading ${PACKAGE}`);
  await makeEnvironment(making);
  await runOrFail("Download of confluent-kafka", join(making, "bin/python3"), [
    ...["-m", "pip", "install", "--quiet", "--disable-pip-version-check"],
    ...["--only-binary", ":all:", PACKAGE],
  ], { cure: "see that pip reaches its index (pip config list), and start again" });
  await Deno.rename(making, folder);
  return python;
}

async function makeEnvironment(folder: string): Promise<void> {
  const cure = "on Debian: apt-get install python3 python3-venv; or leave the row out with --only";
  const system = which("python3");
  if (system === undefined) throw new ConfigError("There is no python3 on PATH", { cure });
  const { code, output } = await run(system, ["-m", "venv", folder]);
  if (code !== 0) throw new ConfigError(`python3 -m venv failed: ${output.trim()}`, { cure });
}

/** What the script is asked; it prints what it did. */
export interface PythonRun {
  readonly brokers: readonly string[];
  readonly topic: string;
  /** Folder for `inserts.csv` and `deletes.csv`. */
  readonly output: string;
}

/** Reads the topic to its end; answers seconds from the first connection to closed files. */
export async function pythonCsv(asked: PythonRun, log: string) {
  const command = [await pythonSoftware(), SCRIPT, JSON.stringify(asked)];
  await using process = new PeerProcess(command, log);
  const { seconds, records } = JSON.parse(await process.output()) as Record<string, number>;
  return { seconds: seconds!, records: records!, peak_bytes: process.peak_bytes };
}
