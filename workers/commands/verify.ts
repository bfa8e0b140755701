/** `deno task verify JOB…`. */
import { launch } from "../launcher/launcher.ts";

if (import.meta.main) await launch("verify");
