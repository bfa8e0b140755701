/** `deno task capture JOB...`. */
import { launch } from "../launcher/launcher.ts";
import { processes } from "../launcher/processes.ts";

if (import.meta.main) await launch("capture", processes);
