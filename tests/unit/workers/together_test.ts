/** Workers that one launcher runs, as things in memory. */
import assert from "node:assert/strict";
import { type Host, host, setHost } from "../../../workers/cli/host.ts";
import { type Prepared, runTogether } from "../../../workers/launcher/launcher.ts";
import { SILENT } from "../../silent.ts";

/** A worker that ends with this code when it is asked to. */
function patient(name: string, stops: string[]): Prepared {
  const ended = Promise.withResolvers<number>();
  const stop = (signal: string) => {
    stops.push(`${name} ${signal}`);
    ended.resolve(143);
  };
  return {
    path: `${name}.yaml`,
    name,
    start: () => ({ pid: 1, ended: ended.promise, stop, kill: () => stop("SIGKILL") }),
  };
}

Deno.test("where a worker cannot be started the others are stopped and waited for", async () => {
  const before = host();
  setHost({ ...before, onStop() {} } satisfies Host);
  try {
    const stops: string[] = [];
    const broken: Prepared = {
      path: "broken.yaml",
      name: "broken",
      start() {
        throw new Error("Resource temporarily unavailable (os error 11)");
      },
    };
    const workers = [patient("first", stops), broken, patient("last", stops)];
    assert.equal(await runTogether(workers, SILENT), 1);
    assert.deepEqual(stops, ["first SIGTERM", "last SIGTERM"]);
  } finally {
    setHost(before);
  }
});
