/** How a worker that the product starts in the same way ends itself at a point of its work. */

/** Points of a capture's work, in order. */
export const CAPTURE_POINTS = ["read", "sent", "acknowledged", "stored", "confirmed"] as const;

/** Points of a consumer's work, in order. */
export const CONSUMER_POINTS = [
  "read",
  "written",
  "synced",
  "journal written",
  "committed",
] as const;

/** The longest time between a request and SIGKILL at the point `sent`. */
const LATEST_MS = 20;

/** The environment of a worker that is to die when it comes to `point` for the `count`th time. */
export function death(point: string, count: number): Record<string, string> {
  return { DIE_AT: point, DIE_ON: String(count) };
}

const at = Deno.env.get("DIE_AT");
let left = Number(Deno.env.get("DIE_ON"));

/** Ends this process as a power cut would, if this is the point and the time. */
export function dieAt(point: string): void {
  if (isDue(point)) die();
}

/** The same a moment later, while what was begun goes on. */
export function dieSoonAfter(point: string): void {
  if (isDue(point)) setTimeout(die, Math.random() * LATEST_MS);
}

function isDue(point: string): boolean {
  return point === at && --left === 0;
}

function die(): void {
  Deno.kill(Deno.pid, "SIGKILL");
  // Nothing more is done while the signal is on its way.
  for (;;);
}
