/** A Java trust store with the certificate authorities that this runtime trusts. */

import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import { rootCertificates } from "node:tls";

/** Java's own default; it guards nothing, the certificates are public. */
export const TRUST_STORE_PASSWORD = "changeit";

const MAGIC = 0xfeedfeed;
const VERSION = 2;
const TRUSTED_CERTIFICATE = 2;

/** Files that a machine may hold its certificate authorities in. */
const MACHINE_FILES = ["/etc/ssl/certs/ca-certificates.crt"];
/** Variables that name a file with further ones: of OpenSSL, Node.js and Deno. */
const FILE_VARIABLES = ["SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS", "DENO_CERT"];

/** Certificates in DER form, each once: this runtime's, the machine's and those the environment names. */
export async function trustedCertificates(): Promise<Uint8Array[]> {
  const named = FILE_VARIABLES.map((name) => Deno.env.get(name)).filter((path) => path);
  const texts = [...rootCertificates];
  for (const path of [...MACHINE_FILES, ...named as string[]]) {
    texts.push(await Deno.readTextFile(path).catch(() => ""));
  }
  const bodies = texts.flatMap(certificatesOf);
  return [...new Set(bodies)].map((body) => Buffer.from(body, "base64"));
}

/** The base64 bodies of the certificates of a PEM text. */
function certificatesOf(pem: string): string[] {
  const blocks = pem.matchAll(/-----BEGIN CERTIFICATE-----([\s\S]*?)-----END CERTIFICATE-----/g);
  return [...blocks].map(([, body = ""]) => body.replaceAll(/\s/g, ""));
}

/**
 * Writes certificates as a Java key store of type JKS, which every Java reads and for which no tool
 * is needed: the layout stands in OpenJDK's sun.security.provider.JavaKeyStore.
 */
export function javaTrustStore(certificates: Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [uint32(MAGIC), uint32(VERSION), uint32(certificates.length)];
  certificates.forEach((certificate, index) => {
    parts.push(uint32(TRUSTED_CERTIFICATE), text(`authority-${index}`), uint32(0), uint32(0));
    parts.push(text("X.509"), uint32(certificate.length), certificate);
  });
  const body = Buffer.concat(parts);
  const seal = createHash("sha1")
    .update(Buffer.from(TRUST_STORE_PASSWORD, "utf16le").swap16())
    .update("Mighty Aphrodite")
    .update(body)
    .digest();
  return Buffer.concat([body, seal]);
}

function uint32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** A string as Java's DataOutputStream.writeUTF has it, for plain ASCII. */
function text(value: string): Uint8Array {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(value.length);
  return Buffer.concat([length, Buffer.from(value, "ascii")]);
}
