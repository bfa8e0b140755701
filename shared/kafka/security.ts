/** TLS and login of a connection, with the files that the options name read in. */
import { readFile } from "node:fs/promises";
import { ConfigError } from "../errors.ts";
import type { KafkaOptions } from "./options.ts";

/** TLS as `node:tls` takes it; certificates are verified, there is no option against it. */
export interface Tls {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly servername?: string;
}

/** Reads the files of `tls`; undefined: the job wants no TLS. Throws ConfigError for a file that cannot be read. */
export async function loadTls(tls: KafkaOptions["tls"]): Promise<Tls | undefined> {
  if (tls === false) return undefined;
  if (tls === true) return {};
  const ca = await pem("kafka.tls.ca_file", tls.ca_file);
  const cert = await pem("kafka.tls.cert_file", tls.cert_file);
  const key = await pem("kafka.tls.key_file", tls.key_file);
  return {
    ...ca === undefined ? {} : { ca },
    ...cert === undefined ? {} : { cert },
    ...key === undefined ? {} : { key },
    ...tls.server_name === undefined ? {} : { servername: tls.server_name },
  };
}

async function pem(option: string, path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return undefined;
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    throw new ConfigError(`Cannot read ${path}, which ${option} names`, {
      cure: "give the path of a PEM file that this worker may read",
      cause: error,
    });
  }
}
