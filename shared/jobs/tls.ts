/** TLS in the words of every part of a job that opens a connection. */
import { isIP } from "node:net";
import { checkServerIdentity, type PeerCertificate } from "node:tls";
import { z } from "zod";

/** Schema of `tls`. There is no option against checking certificates. */
export const tlsOptions = z.union([
  z.boolean(),
  z.strictObject({
    ca: z.string().min(1).optional().describe(
      "Certificates (PEM) of the authorities that may sign the server's: `${file:ca.pem}`; left out: those that Deno trusts, which are Mozilla's unless `DENO_TLS_CA_STORE` or `DENO_CERT` says otherwise.",
    ),
    cert: z.string().min(1).optional()
      .describe("The client's certificate (PEM), for servers that ask for one; needs `key`."),
    key: z.string().min(1).optional().describe("The client certificate's private key (PEM)."),
    server_name: z.string().min(1).optional()
      // TLS itself has no way to ask a server for an address.
      .refine((name) => name === undefined || isIP(name) === 0, { error: "a name, no address" })
      .describe("Name that the server's certificate must bear; left out: the host."),
  }).refine((tls) => (tls.cert === undefined) === (tls.key === undefined), {
    error: "`cert` and `key` belong together: give both or neither",
  }),
])
  // Off: servers beside the worker are the common case, and one without TLS would refuse.
  .default(false)
  .describe("TLS: `true`, `false`, or the certificates to use. Certificates are always verified.");

/** `tls` as validated. */
export type TlsOptions = z.infer<typeof tlsOptions>;

/** TLS as `node:tls` and the client libraries take it. */
export interface TlsSettings {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
  readonly rejectUnauthorized: true;
}

/** The settings of a connection; undefined: no TLS. */
export function tlsSettings(tls: TlsOptions): TlsSettings | undefined {
  if (tls === false) return undefined;
  if (tls === true) return { rejectUnauthorized: true };
  const { server_name, ...certificates } = tls;
  return {
    ...certificates,
    ...server_name === undefined ? {} : { servername: server_name },
    rejectUnauthorized: true,
  };
}

/**
 * Why a certificate is not that of the server: `server_name`, else the host, is not among its names.
 * For libraries that check another name, or none; to be asked before anything secret is sent.
 */
export function identityFault(
  tls: TlsOptions,
  host: string,
  certificate: PeerCertificate,
): Error | undefined {
  const name = typeof tls === "object" ? tls.server_name : undefined;
  return checkServerIdentity(name ?? host, certificate);
}
