/**
 * A worker of the product whose clock is set back while it runs: `other_clock.ts … JOB`. All that asks
 * for the wall time in this process gets the other one.
 */

/** After the worker has begun its work. */
const AFTER_MS = 4_000;
const BACK_MS = 3_600_000;

const real = Date.now;
const began = real();
Date.now = () => real() - began < AFTER_MS ? real() : real() - BACK_MS;

const { job } = JSON.parse(Deno.readTextFileSync(Deno.args.at(-1)!));
await import(`../../../workers/${job}.ts`);
