/** How many rounds of a test that draws by chance are run: few in the suite, more on demand. */

/** Seeds, one for each round. `usual`: rounds where LIST_SYNC_SNAPSHOT_ROUNDS does not say otherwise. */
export function seeds(usual: number): number[] {
  const asked = number("LIST_SYNC_SNAPSHOT_ROUNDS") ?? usual;
  const first = number("LIST_SYNC_SNAPSHOT_SEED") ?? 1;
  return Array.from({ length: asked }, (_, round) => first + round);
}

function number(name: string): number | undefined {
  const text = Deno.env.get(name);
  if (text === undefined || text === "") return undefined;
  if (/^[1-9]\d*$/.test(text)) return Number(text);
  throw new Error(`${name}: found ${JSON.stringify(text)}. Allowed: a whole number from 1.`);
}
