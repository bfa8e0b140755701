/** `deno task verify JOB...`. */
import { launch } from "../launcher/launcher.ts";
import { processes } from "../launcher/processes.ts";

if (import.meta.main) await launch("verify", processes);
