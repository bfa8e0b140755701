/** A test in steps, each of which needs what those before it have made: the first that fails ends it. */
export async function inTurn(
  t: Deno.TestContext,
  steps: Readonly<Record<string, () => Promise<void>>>,
): Promise<void> {
  for (const [name, step] of Object.entries(steps)) if (!await t.step(name, step)) return;
}
