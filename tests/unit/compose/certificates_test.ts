/** The certificates of a secured stack, read by another implementation than the one that wrote them. */
import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { CertificateAuthority } from "../../../compose/native/certificates.ts";
import { certificatesIn } from "../../../compose/native/secured.ts";

const FROM = new Date("2026-01-02T03:04:05Z");
const UNTIL = new Date("2036-01-02T03:04:05Z");

Deno.test("a certificate bears its names and dates, belongs to its key, and is signed by its authority alone", () => {
  const authority = new CertificateAuthority("one", FROM, UNTIL);
  const other = new CertificateAuthority("two", FROM, UNTIL);
  const { key, certificate } = authority.certify({
    name:
      "a server whose name is longer than the 127 bytes that one byte of length can tell, in UTF-8: äöü äöü äöü äöü äöü äöü äöü",
    hosts: ["db.example.org", "127.0.0.1"],
    from: FROM,
    until: UNTIL,
  });
  const read = new X509Certificate(certificate);
  const ca = new X509Certificate(authority.certificate);
  assert.equal(read.subjectAltName, "DNS:db.example.org, IP Address:127.0.0.1");
  assert.match(read.subject, /^CN=a server whose name .* äöü$/);
  assert.equal(read.issuer, "CN=one");
  assert.equal(new Date(read.validFrom).toISOString(), FROM.toISOString());
  assert.equal(new Date(read.validTo).toISOString(), UNTIL.toISOString());
  assert.ok(read.checkPrivateKey(createPrivateKey(key)));
  assert.ok(read.verify(ca.publicKey) && ca.verify(ca.publicKey));
  assert.ok(!read.verify(new X509Certificate(other.certificate).publicKey));
});

Deno.test("a stack's certificates are made once, and only their owner reads them", async () => {
  const folder = `${await Deno.makeTempDir()}/tls`;
  try {
    const first = await certificatesIn(folder);
    const before = Object.values(first).map((path) => Deno.readTextFileSync(path));
    const again = await certificatesIn(folder);
    assert.deepEqual(Object.values(again).map((path) => Deno.readTextFileSync(path)), before);
    for (const path of Object.values(first)) {
      assert.equal((Deno.statSync(path).mode! & 0o777).toString(8), "600", path);
    }
    assert.ok(!Deno.readTextFileSync(first.ca).includes("PRIVATE KEY"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
