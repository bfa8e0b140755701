/** A certificate authority of a stack's own, and the certificates it signs: X.509 in DER, by no other tool. */

import { Buffer } from "node:buffer";
import { createSign, generateKeyPairSync, type KeyObject, randomBytes } from "node:crypto";

/** A certificate and its private key, both as PEM. */
export interface Certified {
  certificate: string;
  /** PKCS #8. */
  key: string;
}

/** What a certificate says. */
export interface Subject {
  /** Common name. */
  name: string;
  /** Host names and IPv4 addresses that the server is called by. */
  hosts: string[];
  /** First and last moment at which it holds. */
  from: Date;
  until: Date;
}

/** Signs certificates; its own key is kept in memory alone. */
export class CertificateAuthority {
  /** What clients are given to trust, as PEM. */
  readonly certificate: string;
  readonly #name: Buffer;
  readonly #key: KeyObject;

  /** Makes an authority that holds for as long as the certificates that it will sign. */
  constructor(name: string, from: Date, until: Date) {
    const { publicKey, privateKey } = newKeys();
    this.#key = privateKey;
    this.#name = nameOf(name);
    this.certificate = this.#sign({ name, from, until }, publicKey, [
      extension(OID.basicConstraints, sequence(BOOLEAN_TRUE), true),
      extension(OID.keyUsage, KEY_CERT_SIGN, true),
    ]);
  }

  /** A new key and its certificate, for servers and clients alike. */
  certify(subject: Subject): Certified {
    const { publicKey, privateKey } = newKeys();
    const names = subject.hosts.map((host) =>
      /^[\d.]+$/.test(host)
        ? tagged(0x87, Buffer.from(host.split(".").map(Number)))
        : tagged(0x82, Buffer.from(host, "ascii"))
    );
    const certificate = this.#sign(subject, publicKey, [
      extension(OID.subjectAltName, sequence(...names)),
    ]);
    return { certificate, key: privateKey.export({ type: "pkcs8", format: "pem" }) as string };
  }

  /** TBSCertificate and its signature (RFC 5280, section 4.1). */
  #sign(
    { name, from, until }: Omit<Subject, "hosts">,
    publicKey: KeyObject,
    extensions: Buffer[],
  ): string {
    const algorithm = sequence(OID.ecdsaWithSha256);
    const body = sequence(
      tagged(0xa0, integer(Buffer.from([2]))), // version 3
      integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
      algorithm,
      this.#name,
      sequence(time(from), time(until)),
      nameOf(name),
      publicKey.export({ type: "spki", format: "der" }),
      tagged(0xa3, sequence(...extensions)),
    );
    const signature = createSign("sha256").update(body).sign(this.#key);
    return pem(sequence(body, algorithm, bits(signature)));
  }
}

/** P-256: a fresh pair takes a millisecond, and every server and client knows it. */
function newKeys(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync("ec", { namedCurve: "P-256" });
}

/** Object identifiers in DER. */
const OID = {
  commonName: Buffer.from("0603550403", "hex"),
  keyUsage: Buffer.from("0603551d0f", "hex"),
  subjectAltName: Buffer.from("0603551d11", "hex"),
  basicConstraints: Buffer.from("0603551d13", "hex"),
  ecdsaWithSha256: Buffer.from("06082a8648ce3d040302", "hex"),
};

const BOOLEAN_TRUE = Buffer.from("0101ff", "hex");
/** The bits keyCertSign and cRLSign. */
const KEY_CERT_SIGN = Buffer.from("03020106", "hex");

function extension(oid: Buffer, value: Buffer, critical = false): Buffer {
  return sequence(oid, ...critical ? [BOOLEAN_TRUE] : [], tagged(0x04, value));
}

function nameOf(name: string): Buffer {
  const text = tagged(0x0c, Buffer.from(name, "utf8"));
  return sequence(tagged(0x31, sequence(OID.commonName, text)));
}

/** UTCTime, which certificates use until 2049. */
function time(moment: Date): Buffer {
  const digits = moment.toISOString().replaceAll(/[-:T]/g, "").slice(2, 14);
  return tagged(0x17, Buffer.from(`${digits}Z`, "ascii"));
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function bits(bytes: Buffer): Buffer {
  return tagged(0x03, Buffer.concat([Buffer.from([0]), bytes]));
}

function sequence(...parts: Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

/** A value in DER: tag, length, bytes (X.690, section 8.1). */
function tagged(tag: number, bytes: Buffer): Buffer {
  const { length } = bytes;
  const head = length < 0x80
    ? [tag, length]
    : length < 0x100
    ? [tag, 0x81, length]
    : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), bytes]);
}

function pem(der: Buffer): string {
  const lines = der.toString("base64").match(/.{1,64}/g)!;
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}
