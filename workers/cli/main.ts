/** Where a command begins and ends. */
import { ConfigError, describe } from "../../shared/errors.ts";
import { host } from "./host.ts";
import { writeToStderr } from "./stderr.ts";

/** The work is done, and what was asked holds. */
export const EXIT_DONE = 0;
/** It failed, or what was asked does not hold. */
export const EXIT_FAILED = 1;
/** The job or the arguments are wrong. */
export const EXIT_CONFIG = 2;

/**
 * Runs a command and ends its process or thread: with the exit code that `main` answers, with 2 when it throws
 * a ConfigError and with 1 for any other error, which is told on stderr.
 */
export async function run(main: () => Promise<number>): Promise<never> {
  let code: number;
  try {
    code = await main();
  } catch (error) {
    writeToStderr(`${describe(error)}\n`);
    code = error instanceof ConfigError ? EXIT_CONFIG : EXIT_FAILED;
  }
  return host().exit(code);
}
