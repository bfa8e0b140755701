/** The second look at a server whose certificate was refused. */
import assert from "node:assert/strict";
import { connect, type Socket } from "node:net";
import { ConfigError } from "../../../shared/errors.ts";
import { certificateFault, rejectUnanswered } from "../../../shared/connect/certificate.ts";

const TIMEOUT_MS = 200;

for (
  const [does, serve] of [
    ["hangs up", (connection: Deno.Conn) => connection.close()],
    ["says nothing", () => {}],
  ] as const
) {
  Deno.test(`a server that ${does} when it is looked at again is told as it was refused`, async () => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const connections: Deno.Conn[] = [];
    const accepting = (async () => {
      for await (const connection of listener) {
        connections.push(connection);
        serve(connection);
      }
    })().catch(() => {});
    const { port } = listener.addr;
    const open = () =>
      new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host: "127.0.0.1", port });
        socket.once("data", () => resolve(socket));
        rejectUnanswered(socket, TIMEOUT_MS, reject);
      });
    const error = { code: "SELF_SIGNED_CERT_IN_CHAIN", message: "self-signed certificate" };
    const peer = { at: `127.0.0.1:${port}`, part: "source", tls: true, timeout_ms: TIMEOUT_MS };
    const fault = await certificateFault(error, { ...peer, open });
    assert.ok(fault instanceof ConfigError);
    assert.match(fault.message, /is refused: self-signed certificate$/);
    listener.close();
    await accepting;
    for (const connection of connections) {
      try {
        connection.close();
      } catch { /* it is closed */ }
    }
  });
}
