import assert from "node:assert/strict";
import { nearest, nearestHint } from "../../../shared/jobs/nearest.ts";

const NAMES = ["port", "host", "password", "publication", "metrics_port", "log_level"];

Deno.test("finds the name despite a swap, a missing and a surplus letter", () => {
  assert.equal(nearest("prot", NAMES), "port");
  assert.equal(nearest("pasword", NAMES), "password");
  assert.equal(nearest("publications", NAMES), "publication");
});

Deno.test("finds the name despite other case and hyphens", () => {
  assert.equal(nearest("Metrics-Port", NAMES), "metrics_port");
});

Deno.test("proposes nothing when nothing is near", () => {
  assert.equal(nearest("zebra", NAMES), undefined);
  assert.equal(nearest("port", []), undefined);
});

Deno.test("proposes the nearest of several", () => {
  assert.equal(nearest("log_levle", ["log_lever", "log_level", "log"]), "log_level");
});

Deno.test("a message names the nearest as one writes it, or says nothing", () => {
  assert.equal(nearestHint("prot", NAMES), '; nearest is "port"');
  assert.equal(nearestHint("prot", NAMES, (name) => `--${name}`), '; nearest is "--port"');
  assert.equal(nearestHint("zebra", NAMES), "");
});
