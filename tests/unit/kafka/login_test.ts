import assert from "node:assert/strict";
import { logIn, LoginError, scram } from "../../../shared/kafka/login.ts";

/** A server that says these, and what it was told. */
function server(...says: string[]) {
  const told: string[] = [];
  const exchange = (message: Uint8Array) => {
    told.push(new TextDecoder().decode(message));
    return Promise.resolve(new TextEncoder().encode(says[told.length - 1]));
  };
  return { told, exchange };
}

/** The example of RFC 7677, section 3. */
const EXAMPLE = {
  start: {
    username: "user",
    password: "pencil",
    digest: "sha256",
    nonce: "rOprNGfwEbeRWgbNEkqO",
  },
  server_first:
    "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
  server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
} as const;

Deno.test("a SCRAM login says what RFC 7677 shows", async () => {
  const { told, exchange } = server(EXAMPLE.server_first, EXAMPLE.server_final);
  await scram(EXAMPLE.start, exchange);
  assert.deepEqual(told, [
    "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
    "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0," +
    "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
  ]);
});

const first = EXAMPLE.server_first;
for (
  const [what, says, message] of [
    ["another nonce", [first.replace("r=rOpr", "r=xOpr")], /another nonce/],
    [
      "a nonce without anything of its own",
      [first.replace("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0", "")],
      /another nonce/,
    ],
    ["no salt", [first.replace(/s=[^,]+,/, "")], /no salt/],
    ["few iterations", [first.replace("4096", "4095")], /asks for 4095 SCRAM iterations/],
    ["iterations without end", [first.replace("4096", "99999999")], /asks for 99999999/],
    ["iterations in another base", [first.replace("4096", "0x2000")], /asks for 0x2000/],
    ["a part of an iteration", [first.replace("4096", "4096.5")], /asks for 4096\.5/],
    ["a salt that is none", [first.replace(/s=[^,]+,/, "s=!!!!,")], /no salt/],
    ["an extension", [`m=more,${first}`], /demands an extension of SCRAM: more/],
    ["iterations that are no number", [first.replace("4096", "many")], /asks for many/],
    ["a refusal", [first, "e=invalid-proof"], /says invalid-proof/],
    ["an early refusal", ["e=unknown-user"], /says unknown-user/],
    ["no proof of its own", [first, "v=AAAA"], /does not prove/],
    ["nothing", ["", ""], /another nonce/],
  ] as const
) {
  Deno.test(`a server that answers a SCRAM login with ${what} is refused, and no password told`, async () => {
    const { told, exchange } = server(...says);
    await assert.rejects(scram(EXAMPLE.start, exchange), (error) => {
      assert.ok(error instanceof LoginError);
      assert.match(error.message, message);
      assert.doesNotMatch(error.message + told.join(), /pencil/);
      return true;
    });
  });
}

Deno.test("signs that SCRAM keeps for itself are escaped in a name", async () => {
  const { told, exchange } = server("");
  await assert.rejects(scram({ ...EXAMPLE.start, username: "a=b,c" }, exchange));
  assert.equal(told[0], "n,,n=a=3Db=2Cc,r=rOprNGfwEbeRWgbNEkqO");
});

Deno.test("PLAIN tells name and password; each SCRAM login has a nonce of its own", async () => {
  const plain = server("");
  await logIn({ mechanism: "plain", username: "u", password: "p" }, plain.exchange);
  assert.deepEqual(plain.told, ["\0u\0p"]);
  const nonces = new Set<string>();
  for (const mechanism of ["scram-sha-256", "scram-sha-512"] as const) {
    const { told, exchange } = server("");
    await assert.rejects(logIn({ mechanism, username: "u", password: "p" }, exchange), LoginError);
    nonces.add(told[0]!);
  }
  assert.equal(nonces.size, 2);
});
