/** A way to a server that can be cut, or fall silent without a word to either side. */
import { connect as connectTo, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";

/** Listens on a free port of this machine and passes on what comes to it. */
export class Proxy implements AsyncDisposable {
  readonly port: number;
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  /** Those that nothing passes over any more. */
  readonly #muted: (readonly [Socket, Socket])[] = [];

  private constructor(server: Server) {
    this.#server = server;
    this.port = (server.address() as { port: number }).port;
  }

  /** A proxy of the server at this port of this machine. */
  static async start(port: number): Promise<Proxy> {
    const server = createServer({ noDelay: true });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const proxy = new Proxy(server);
    server.on("connection", (client) => proxy.#pass(client, connectTo(port, "127.0.0.1")));
    return proxy;
  }

  #pass(client: Socket, server: Socket): void {
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    for (const socket of pair) {
      socket.setNoDelay(true);
      socket.on("error", () => {}); // told by the close that follows
      socket.on("close", () => {
        this.#pairs.delete(pair);
        for (const one of pair) one.destroy();
      });
    }
    client.pipe(server);
    server.pipe(client);
  }

  /** Ends all connections at once; new ones are passed on. Answers how many there were. */
  cut(): number {
    const pairs = [...this.#pairs];
    for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy();
    return pairs.length;
  }

  /**
   * From now on nothing passes over the connections that are there, and neither side is told: what
   * is sent is taken and dropped, an end too. New connections are passed on. Answers how many.
   */
  mute(): number {
    const pairs = [...this.#pairs];
    for (const pair of pairs) {
      this.#pairs.delete(pair);
      for (const socket of pair) {
        socket.unpipe();
        socket.removeAllListeners("close");
        socket.removeAllListeners("end");
        socket.resume();
      }
    }
    this.#muted.push(...pairs);
    return pairs.length;
  }

  async stop(): Promise<void> {
    this.#server.close();
    for (const pair of [...this.#pairs, ...this.#muted]) pair.forEach((socket) => socket.destroy());
    await once(this.#server, "close");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
