/** Which TCP ports are listened on, and by whom: read from /proc, so that no tool is needed. */

import { ConfigError } from "../../shared/errors.ts";

/** The process that listens on a port; pid and command are unknown when it is another user's. */
export interface Listener {
  port: number;
  pid?: number;
  command?: string;
}

/** State of a listening socket in /proc/net/tcp (include/net/tcp_states.h). */
const TCP_LISTEN = "0A";

/** Throws, naming the holder, when one of the ports is taken. */
export function demandFree(server: string, ports: number[]): void {
  for (const port of ports) {
    const holder = listenerOf(port);
    if (holder === undefined) continue;
    const who = holder.pid === undefined
      ? "a process that this user cannot see"
      : `process ${holder.pid} (${holder.command})`;
    throw new ConfigError(`Port ${port}, which ${server} needs, is taken by ${who}.`, {
      cure: "end that process, or start this stack with another --port-offset, such as 1000",
    });
  }
}

/** The largest port below those that systems give to outgoing connections (ip_local_port_range). */
const LAST_PORT = 32_767;

/** A random port offset at which all of these ports are free now. */
export function freePortOffset(ports: readonly number[]): number {
  const step = 10;
  const steps = Math.floor((LAST_PORT - Math.max(...ports)) / step);
  for (let attempt = 0; attempt < 100; attempt++) {
    const offset = step * (1 + Math.floor(Math.random() * steps));
    if (ports.every((port) => listenerOf(port + offset) === undefined)) return offset;
  }
  throw new Error(`No port offset with ports ${ports.join(", ")} free in 100 attempts.`);
}

/** Who listens on a port of this machine; undefined when nobody does. */
export function listenerOf(port: number): Listener | undefined {
  const inodes = new Set(listeningSockets(port).map(({ inode }) => inode));
  if (inodes.size === 0) return undefined;
  return { port, ...holderOf(inodes) };
}

/** The sockets that listen on a port, of both protocol versions. */
export function listeningSockets(port: number): Socket[] {
  return ["/proc/net/tcp", "/proc/net/tcp6"]
    .flatMap((table) => parseSockets(readOrEmpty(table)))
    .filter((socket) => socket.listening && socket.port === port);
}

/** A socket of /proc/net/tcp or tcp6. `address` is hex, its 32-bit words in the machine's byte order. */
export interface Socket {
  address: string;
  port: number;
  listening: boolean;
  inode: string;
}

/** Reads the lines of /proc/net/tcp and tcp6 (proc(5)). */
export function parseSockets(table: string): Socket[] {
  return table.split("\n").slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , state] = fields;
    const inode = fields[9];
    if (inode === undefined) return [];
    const [address = "", port = ""] = local.split(":");
    return [{ address, port: parseInt(port, 16), listening: state === TCP_LISTEN, inode }];
  });
}

function holderOf(inodes: Set<string>): Omit<Listener, "port"> {
  for (const entry of Deno.readDirSync("/proc")) {
    if (!/^\d+$/.test(entry.name) || !holdsSocket(entry.name, inodes)) continue;
    const command = readOrEmpty(`/proc/${entry.name}/cmdline`).replaceAll("\0", " ").trim();
    return { pid: Number(entry.name), command: shortened(command) };
  }
  return {};
}

function holdsSocket(pid: string, inodes: Set<string>): boolean {
  try {
    for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
      const target = linkOrEmpty(`/proc/${pid}/fd/${name}`);
      const inode = /^socket:\[(\d+)\]$/.exec(target)?.[1];
      if (inode !== undefined && inodes.has(inode)) return true;
    }
  } catch {
    // Another user's process, or one that has just ended.
  }
  return false;
}

function shortened(text: string): string {
  return text.length > 120 ? `${text.slice(0, 117)}...` : text;
}

function readOrEmpty(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return "";
  }
}

function linkOrEmpty(path: string): string {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return "";
  }
}
