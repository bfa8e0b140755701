import assert from "node:assert/strict";
import {
  address,
  denoFlags,
  endpoint,
  NO_NEEDS,
  permissionsOf,
} from "../../../shared/jobs/permissions.ts";

const GRANTING = {
  needs: {
    net: [{ value: "db:5432", path: ["source", "host"] }],
    brokers: [{ value: "b1:9092", path: ["kafka", "brokers", 0] }],
    read: [{ value: "ca.pem", path: ["kafka", "tls", "ca"] }],
    write: [{ value: "out", path: ["sink", "output"] }],
  },
  job_file: "jobs/a.yaml",
  files: ["jobs/pw"],
  environment: ["PG_PASSWORD"],
  metrics: { host: "::1", port: 9100 },
  advertised: ["b1:9092", "b2:9092"],
};

Deno.test("a worker may reach its servers, its brokers as advertised, and its own metrics port", () => {
  assert.deepEqual(permissionsOf(GRANTING), {
    net: ["[::1]:9100", "b1:9092", "b2:9092", "db:5432"],
    read: ["ca.pem", "jobs/a.yaml", "jobs/pw"],
    write: ["out"],
    env: ["PG_PASSWORD"],
  });
});

Deno.test("the flags allow just that, and nothing where the list is empty", () => {
  assert.deepEqual(denoFlags(permissionsOf(GRANTING)), [
    "--no-prompt",
    "--allow-net=[::1]:9100,b1:9092,b2:9092,db:5432",
    "--allow-read=ca.pem,jobs/a.yaml,jobs/pw",
    "--allow-write=out",
    "--allow-env",
  ]);
  const nothing = {
    needs: NO_NEEDS,
    job_file: "a.yaml",
    files: [],
    environment: [],
    advertised: [],
  };
  assert.deepEqual(denoFlags(permissionsOf(nothing)), [
    "--no-prompt",
    "--allow-read=a.yaml",
    "--allow-env",
  ]);
});

Deno.test("a comma in a path does not become a second path", () => {
  const flags = denoFlags({ net: [], read: ["a,b"], write: [], env: [] });
  assert.ok(flags.includes("--allow-read=a,,b"), flags.join(" "));
});

Deno.test("an IPv6 host stands in brackets before its port", () => {
  assert.equal(address("::1", 5432), "[::1]:5432");
  assert.equal(address("db", 5432), "db:5432");
  assert.deepEqual(endpoint("[::1]:5432"), { host: "::1", port: 5432 });
  assert.deepEqual(endpoint("db:5432"), { host: "db", port: 5432 });
});
