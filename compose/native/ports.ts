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

/** Who listens on a port of this machine; undefined when nobody does. */
export function listenerOf(port: number): Listener | undefined {
  const inodes = new Set<string>();
  for (const table of ["/proc/net/tcp", "/proc/net/tcp6"]) {
    for (const socket of parseSockets(readOrEmpty(table))) {
      if (socket.listening && socket.port === port) inodes.add(socket.inode);
    }
  }
  if (inodes.size === 0) return undefined;
  return { port, ...holderOf(inodes) };
}

/** Reads the lines of /proc/net/tcp and tcp6 (proc(5)): local address in hex, state, inode. */
export function parseSockets(
  table: string,
): { port: number; listening: boolean; inode: string }[] {
  return table.split("\n").slice(1).flatMap((line) => {
    const fields = line.trim().split(/\s+/);
    const [, local = "", , state] = fields;
    const inode = fields[9];
    if (inode === undefined) return [];
    const port = parseInt(local.slice(local.lastIndexOf(":") + 1), 16);
    return [{ port, listening: state === TCP_LISTEN, inode }];
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
