/** Commands as a person runs them. */
import { fileURLToPath } from "node:url";

const TOP = fileURLToPath(new URL("../", import.meta.url));

/** How a command ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `deno` at the top of the checkout, to its end. `env`: added to the environment. */
export async function runDeno(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: [...args],
    cwd: TOP,
    env,
    stdin: "null",
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

/**
 * Runs `deno task <name>` with `options` and the file of a job, which is written into `folder`. It has
 * the permissions that deno.json gives the task.
 */
export function commandRunner(folder: string) {
  const { tasks } = JSON.parse(Deno.readTextFileSync(`${TOP}deno.json`)) as {
    tasks: Record<string, string>;
  };
  return (name: string, job: { name: string }, ...options: string[]): Promise<Ended> => {
    const path = `${folder}/${job.name}-${crypto.randomUUID().slice(0, 8)}.yaml`;
    Deno.writeTextFileSync(path, JSON.stringify(job, undefined, 2));
    const [, ...task] = tasks[name]!.split(" ");
    return runDeno([...task, ...options, path]);
  };
}
