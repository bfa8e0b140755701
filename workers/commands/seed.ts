/** `deno task seed JOB...`. */
import { launch } from "../launcher/launcher.ts";
import { processes } from "../launcher/processes.ts";

if (import.meta.main) await launch("seed", processes);
