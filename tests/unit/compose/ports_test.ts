/** Who listens on a port, as /proc tells it. */
import assert from "node:assert/strict";
import {
  demandFree,
  freePortOffset,
  listenerOf,
  listeningSockets,
  parseSockets,
} from "../../../compose/native/ports.ts";

const TABLE =
  `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65534        0 123456 1
   1: 0100007F:1538 0100007F:D431 01 00000000:00000000 00:00000000 00000000 65534        0 123457 1
`;
const TABLE6 =
  `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0000000000000000FFFF00000100007F:2384 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 99 1
`;

Deno.test("sockets are read from the kernel's tables of both protocol versions", () => {
  assert.deepEqual(parseSockets(TABLE), [
    { address: "0100007F", port: 5432, listening: true, inode: "123456" },
    { address: "0100007F", port: 5432, listening: false, inode: "123457" },
  ]);
  assert.deepEqual(parseSockets(TABLE6), [
    { address: "0000000000000000FFFF00000100007F", port: 9092, listening: true, inode: "99" },
  ]);
});

Deno.test("a taken port names the process that holds it, its command, and a way out", () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assert.equal(listenerOf(port)?.pid, Deno.pid);
  assert.throws(
    () => demandFree("mysql", [port]),
    (error: Error & { cure?: string }) => {
      assert.match(
        error.message,
        new RegExp(`^Port ${port}, which mysql needs, is taken by process`),
      );
      assert.match(error.message, new RegExp(`process ${Deno.pid} \\(.*deno`));
      assert.match(error.cure!, /--port-offset/);
      return true;
    },
  );
});

Deno.test("a free port is held by nobody and demanded without complaint", () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  assert.equal(listeningSockets(port).length, 1);
  listener.close();
  assert.equal(listenerOf(port), undefined);
  demandFree("mysql", [port]);
});

Deno.test("a random offset leaves all ports free and below those of outgoing connections", () => {
  for (let i = 0; i < 20; i++) {
    const offset = freePortOffset([5432, 9092]);
    assert.ok(offset > 0 && 9092 + offset <= 32_767, `offset ${offset}`);
    demandFree("any", [5432 + offset, 9092 + offset]);
  }
});
