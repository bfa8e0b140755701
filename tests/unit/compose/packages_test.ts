/** Where Debian's packages come from, and what apt calls them. */
import assert from "node:assert/strict";
import {
  ofRelease,
  parseDeb822,
  parseOneLine,
  versionsOf,
} from "../../../compose/native/packages.ts";

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";

Deno.test("one-line sources are read with and without options, comments and other kinds left out", () => {
  const text = `# deb http://mirror.example/old bookworm main
deb http://mirror.example/debian bookworm main contrib
deb [arch=amd64 signed-by=/etc/keys/other.gpg] http://other.example/debian bookworm main
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/tools bookworm stable
`;
  assert.deepEqual(parseOneLine(text), [
    { uri: "http://mirror.example/debian", suite: "bookworm", keyring: KEYRING },
    { uri: "http://other.example/debian", suite: "bookworm", keyring: "/etc/keys/other.gpg" },
  ]);
});

Deno.test("deb822 stanzas give an entry for each address and suite; disabled ones give none", () => {
  const text = `Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: trixie trixie-updates
Components: main
Signed-By: ${KEYRING}

Types: deb
URIs: http://mirror.example/off
Suites: trixie
Components: main
Enabled: no

Types: deb
URIs: http://inline.example/debian
Suites: trixie
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`;
  assert.deepEqual(parseDeb822(text), [
    { uri: "http://mirror.example/debian", suite: "trixie", keyring: KEYRING },
    { uri: "http://mirror.example/debian", suite: "trixie-updates", keyring: KEYRING },
  ]);
});

Deno.test("only what Debian's own keyring signs for this release is taken", () => {
  const entry = (suite: string, keyring = KEYRING) => ({
    uri: "http://m.example/",
    suite,
    keyring,
  });
  const kept = ofRelease([
    entry("bookworm"),
    entry("bookworm-security"),
    entry("bookworm-backports"),
    entry("trixie"),
    entry("bookworm", "/etc/keys/other.gpg"),
    entry("cloud-sdk-bookworm"),
  ], "bookworm");
  assert.deepEqual(kept.map(({ suite }) => suite), ["bookworm", "bookworm-security"]);
});

Deno.test("versions are read from archive names, the epoch's colon included", () => {
  assert.deepEqual(
    versionsOf(["/x/zlib1g_1%3a1.3.dfsg-1_amd64.deb", "/x/mysql-server-core_9.7.4-2_amd64.deb"]),
    { "mysql-server-core": "9.7.4-2", "zlib1g": "1:1.3.dfsg-1" },
  );
});
