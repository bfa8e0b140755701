/** TLS as a job says it. */
import assert from "node:assert/strict";
import type { PeerCertificate } from "node:tls";
import { identityFault, tlsOptions } from "../../../shared/jobs/tls.ts";

const CERTIFICATE = {
  subject: { CN: "db" },
  subjectaltname: "DNS:db.example.org, IP Address:10.0.0.7",
} as unknown as PeerCertificate;

Deno.test("a certificate must bear the host, be it a name or an address", () => {
  assert.equal(identityFault(true, "db.example.org", CERTIFICATE), undefined);
  assert.equal(identityFault(true, "10.0.0.7", CERTIFICATE), undefined);
  for (const host of ["other.example.org", "10.0.0.8", "localhost"]) {
    assert.match(String(identityFault(true, host, CERTIFICATE)), /does not match/, host);
  }
});

Deno.test("server_name stands in for the host, and only for it", () => {
  const tls = { server_name: "db.example.org" };
  assert.equal(identityFault(tls, "10.9.9.9", CERTIFICATE), undefined);
  assert.match(String(identityFault({ server_name: "x" }, "db.example.org", CERTIFICATE)), /match/);
});

Deno.test("server_name is a name: TLS cannot ask for an address", () => {
  assert.ok(tlsOptions.safeParse({ server_name: "db" }).success);
  const refused = tlsOptions.safeParse({ server_name: "10.0.0.7" });
  assert.match(JSON.stringify(refused.error), /a name, no address/);
});
