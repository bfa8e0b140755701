/** Folders of downloads that were broken off. */
import assert from "node:assert/strict";
import { workFolder } from "../../../compose/native/paths.ts";

Deno.test("what a killed process had begun to download is removed, what a living one downloads stays", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const gone = new Deno.Command("true").spawn();
    await gone.status;
    const names = [`.new-${gone.pid}-a`, `.new-${Deno.pid}-b`, "mysql-trixie"];
    for (const name of names) Deno.mkdirSync(`${folder}/${name}/root`, { recursive: true });
    const made = await workFolder(folder);
    assert.ok(made.startsWith(`${folder}/.new-${Deno.pid}-`), made);
    const left = [...Deno.readDirSync(folder)].map(({ name }) => name);
    assert.deepEqual(left.sort(), [...names.slice(1), made.slice(folder.length + 1)].sort());
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
