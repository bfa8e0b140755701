/**
 * The links of a stack made with `--netem`: each leads through a proxy, so that the network between
 * its ends can be made worse. Who connects to the plain ports meets no proxy.
 */

import type { BrokerPorts } from "./kafka.ts";

/** The links whose conditions can be set. */
export const LINKS = [
  "between_brokers",
  "capture_to_brokers",
  "consumer_to_brokers",
  "capture_to_database",
] as const;
export type LinkName = (typeof LINKS)[number];

/** One server's end of a link. */
export interface Way {
  link: LinkName;
  /** Name of its proxy: `consumer_to_brokers-1`. */
  name: string;
  /** Port that is connected to: the proxy's. */
  port: number;
  /** Port of the server behind it. */
  upstream: number;
}

const ADDRESS = "127.0.0.1";

/** The proxies' own port, without an offset. */
const API_PORT = 9290;

/** A broker has a listener for each kind of peer, and advertises each behind a proxy of its own. */
const LISTENERS = [
  { listener: "PEER", link: "between_brokers", listen: 9200, proxy: 9240 },
  { listener: "CAPTURE", link: "capture_to_brokers", listen: 9210, proxy: 9250 },
  { listener: "CONSUMER", link: "consumer_to_brokers", listen: 9220, proxy: 9260 },
] as const;
const CONTROLLER_PROXY = 9270;
const DATABASE_PROXIES = { pg: 9280, mysql: 9281 };

/** The proxies' port for commands. */
export function proxyApi(port_offset: number): number {
  return API_PORT + port_offset;
}

/** All ways of a stack whose plain ports are these, its offset included. */
export function waysOf(
  ports: { brokers: readonly BrokerPorts[]; pg: number; mysql: number },
  port_offset: number,
): Way[] {
  const toBrokers = ports.brokers.flatMap(({ controller }, index): Way[] => {
    const node = index + 1;
    const listeners = LISTENERS.map(({ link, listen, proxy }) => ({
      link,
      name: `${link}-${node}`,
      port: proxy + node + port_offset,
      upstream: listen + node + port_offset,
    }));
    return [...listeners, {
      link: "between_brokers",
      name: `between_brokers-controller-${node}`,
      port: CONTROLLER_PROXY + node + port_offset,
      upstream: controller,
    }];
  });
  const toDatabases = (["pg", "mysql"] as const).map((name): Way => ({
    link: "capture_to_database",
    name: `capture_to_database-${name}`,
    port: DATABASE_PROXIES[name] + port_offset,
    upstream: ports[name],
  }));
  return [...toBrokers, ...toDatabases];
}

/** Ports that broker `node` (from 1) listens on beside its plain ones. */
export function listenerPorts(node: number, port_offset: number): number[] {
  return LISTENERS.map(({ listen }) => listen + node + port_offset);
}

/** The brokers' addresses at one link's proxies. */
export function linkBrokers(ways: readonly Way[], link: LinkName): string[] {
  return ways.filter((way) => way.link === link && !way.name.includes("controller"))
    .map(({ port }) => `${ADDRESS}:${port}`);
}

/** Settings of broker `node` (from 1) that send its peers, captures and consumers through the proxies. */
export function proxiedSettings(
  node: number,
  ports: readonly BrokerPorts[],
  port_offset: number,
): Record<string, string> {
  const own = ports[node - 1]!;
  const at = (port: number) => `${ADDRESS}:${port + node + port_offset}`;
  const plain = `BROKER://${ADDRESS}:${own.broker}`;
  const controller = `CONTROLLER://${ADDRESS}:${own.controller}`;
  const names = ["BROKER", "CONTROLLER", ...LISTENERS.map(({ listener }) => listener)];
  const listening = LISTENERS.map(({ listener, listen }) => `${listener}://${at(listen)}`);
  const advertised = LISTENERS.map(({ listener, proxy }) => `${listener}://${at(proxy)}`);
  const voters = ports.map((_, index) =>
    `${index + 1}@${ADDRESS}:${CONTROLLER_PROXY + index + 1 + port_offset}`
  );
  return {
    "listeners": [plain, controller, ...listening].join(","),
    "advertised.listeners": [plain, ...advertised].join(","),
    "listener.security.protocol.map": names.map((name) => `${name}:PLAINTEXT`).join(","),
    "inter.broker.listener.name": "PEER",
    "controller.quorum.voters": voters.join(","),
  };
}
