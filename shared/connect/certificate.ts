/** Why TLS with a server failed: where the library has one sentence for many causes, the certificate is looked at. */
import { X509Certificate } from "node:crypto";
import type { Socket } from "node:net";
import { connect, type TLSSocket } from "node:tls";
import { ConfigError } from "../errors.ts";
import type { TlsOptions } from "../jobs/tls.ts";

/** The server whose certificate was refused. */
export interface TlsPeer {
  /** `host:port`. */
  readonly at: string;
  /** Where the job speaks of it: `source`, `kafka`, `database`. */
  readonly part: string;
  readonly tls: TlsOptions;
  /** Longest wait for the second look, in milliseconds. */
  readonly timeout_ms: number;
  /** Connects up to where the server waits for the handshake. */
  readonly open: () => Promise<Socket>;
}

/** Codes with which OpenSSL and its like refuse a certificate. */
const REFUSED = /^(CERT_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|HOSTNAME_MISMATCH)/;

/** The error for a refused certificate, with its cure; undefined: `error` is of another kind. */
export async function certificateFault(
  error: { readonly code?: unknown; readonly message: string },
  peer: TlsPeer,
): Promise<ConfigError | undefined> {
  const { at, part } = peer;
  const code = String(error.code);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return new ConfigError(`The certificate of ${at} is another server's: ${error.message}`, {
      cure: `set ${part}.tls.server_name to the name that it bears, or correct ${part}`,
    });
  }
  if (!REFUSED.test(code)) return undefined;
  const shown = await certificateOf(peer).catch(() => undefined);
  if (shown === undefined) {
    return new ConfigError(`The certificate of ${at} is refused: ${error.message}`, {
      cure: `let ${part}.tls.ca name the authority that signed it`,
    });
  }
  const { validFrom, validTo } = shown;
  const names = `its certificate for ${oneLine(shown.subject)}, signed by ${oneLine(shown.issuer)}`;
  const dates = `from ${isoTime(validFrom)} until ${isoTime(validTo)}`;
  if (isSignedBy(shown, peer.tls)) {
    return new ConfigError(
      `${at} is refused: ${names}, has expired or is not valid yet (${dates})`,
      {
        cure: "give the server a new certificate, or set this machine's clock",
      },
    );
  }
  return new ConfigError(
    `${at} is refused: ${names}, comes from no authority that this job trusts (valid ${dates})`,
    { cure: `let ${part}.tls.ca name that authority: ca: \${file:ca.pem}` },
  );
}

/** The server's certificate, trusted or not; nothing is sent to it but the handshake. */
async function certificateOf({ open, timeout_ms }: TlsPeer): Promise<X509Certificate> {
  const socket = await open();
  try {
    return await new Promise((resolve, reject) => {
      socket.setTimeout(timeout_ms, () => reject(new Error("no answer")));
      const secured: TLSSocket = connect({ socket, rejectUnauthorized: false }, () => {
        resolve(new X509Certificate(secured.getPeerCertificate().raw));
      });
      secured.on("error", reject);
    });
  } finally {
    socket.destroy();
  }
}

/** Rejects when the socket ends, or says nothing for so long: for `open` of a peer, before the handshake. */
export function rejectUnanswered(
  socket: Socket,
  timeout_ms: number,
  reject: (error: Error) => void,
): void {
  socket.setTimeout(timeout_ms, () => socket.destroy(new Error("no answer")));
  socket.once("error", reject);
  socket.once("close", () => reject(new Error("the connection ended")));
}

/** Whether one of the authorities that the job names has signed the certificate. */
function isSignedBy(certificate: X509Certificate, tls: TlsOptions): boolean {
  const text = typeof tls === "object" ? tls.ca ?? "" : "";
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g) ?? [];
  return found.some((pem) => {
    try {
      return certificate.verify(new X509Certificate(pem).publicKey);
    } catch {
      return false; // a key of another kind, or no certificate at all
    }
  });
}

function oneLine(name: string): string {
  return name.replaceAll("\n", ", ");
}

/** `Nov 20 16:31:36 2026 GMT` as ISO 8601. */
function isoTime(text: string): string {
  return new Date(text).toISOString().replace(".000", "");
}
