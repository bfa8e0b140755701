import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { EventEmitter } from "node:events";
import fc from "fast-check";
import type { Connection } from "mysql2";
import { classify } from "../../../../shared/errors.ts";
import { PacketSocket, serverError } from "../../../../shared/sources/mysql/packet_socket.ts";

const QUEUE_BYTES = 1_024;
const MOST_CONTENT = 0xff_ffff;

/** A socket that brings what the test says, all of it in the same memory. */
class FakeSocket extends EventEmitter {
  readonly sent: Buffer[] = [];
  paused = false;
  readonly #memory = Buffer.alloc(64 << 10);

  bring(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += this.#memory.length) {
      const piece = bytes.subarray(at, at + this.#memory.length);
      this.#memory.set(piece);
      this.emit("data", this.#memory.subarray(0, piece.length));
      this.#memory.fill(0xee, 0, piece.length);
    }
  }

  write(bytes: Buffer): void {
    this.sent.push(bytes);
  }
  pause(): void {
    this.paused = true;
  }
  resume(): void {
    this.paused = false;
  }
  destroy(): void {}
}

function opened(): { stream: FakeSocket; packets: PacketSocket } {
  const stream = new FakeSocket();
  return { stream, packets: new PacketSocket({ stream } as unknown as Connection, QUEUE_BYTES) };
}

/** The packets that carry a content. */
function packed(content: Uint8Array): Buffer {
  const parts: Uint8Array[] = [];
  for (let at = 0, number = 0; at <= content.length; at += MOST_CONTENT, number++) {
    const part = content.subarray(at, at + MOST_CONTENT);
    const header = Buffer.from([0, 0, 0, number]);
    header.writeUIntLE(part.length, 0, 3);
    parts.push(header, part);
  }
  return Buffer.concat(parts);
}

function contentOf({ packet }: PacketSocket): Buffer {
  return Buffer.from(packet.bytes.subarray(packet.at, packet.end));
}

function readAll(packets: PacketSocket): Buffer[] {
  const contents: Buffer[] = [];
  while (packets.next()) contents.push(contentOf(packets));
  return contents;
}

Deno.test("packets come whole and in order, however their bytes are cut", () => {
  const content = fc.uint8Array({ maxLength: 3 * QUEUE_BYTES });
  fc.assert(fc.property(
    fc.array(content, { maxLength: 12 }),
    fc.array(fc.integer({ min: 1, max: 2 * QUEUE_BYTES }), { minLength: 1 }),
    (contents, cuts) => {
      const { stream, packets } = opened();
      const bytes = Buffer.concat(contents.map(packed));
      const read: Buffer[] = [];
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const end = at + cuts[turn % cuts.length]!;
        stream.bring(bytes.subarray(at, end));
        at = end;
        read.push(...readAll(packets));
      }
      assert.deepEqual(read, contents.map((content) => Buffer.from(content)));
    },
  ));
});

Deno.test("a content of 16 MiB and more, which takes several packets, comes as one", () => {
  for (const length of [MOST_CONTENT, 2 * MOST_CONTENT + 1]) {
    const { stream, packets } = opened();
    const large = Buffer.alloc(length);
    for (let at = 0; at < length; at += 4_099) large[at] = at;
    const [before, after] = [Buffer.from("before"), Buffer.from("after")];
    const bytes = Buffer.concat([before, large, after].map(packed));
    const read: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += 1 << 20) {
      stream.bring(bytes.subarray(at, at + (1 << 20)));
      read.push(...readAll(packets));
    }
    assert.deepEqual(read.map((content) => content.length), [6, length, 5]);
    assert.ok(read[1]!.equals(large));
    assert.deepEqual([read[0], read[2]], [before, after]);
  }
});

Deno.test("the server is made to wait while enough is held", () => {
  const { stream, packets } = opened();
  const one = packed(Buffer.alloc(QUEUE_BYTES / 2));
  stream.bring(Buffer.concat([one, one]));
  assert.equal(stream.paused, true);
  assert.equal(packets.next(), true);
  assert.equal(packets.next(), true);
  assert.equal(stream.paused, true);
  assert.equal(packets.next(), false);
  assert.equal(stream.paused, false);
});

Deno.test("a packet larger than what may be held does not make the server wait", () => {
  const { stream, packets } = opened();
  const bytes = packed(Buffer.alloc(10 * QUEUE_BYTES));
  for (let at = 0; at < bytes.length; at += 100) {
    assert.equal(packets.next(), false);
    assert.equal(stream.paused, false);
    stream.bring(bytes.subarray(at, at + 100));
  }
  assert.equal(packets.next(), true);
});

Deno.test("what has come is read before an error counts", async () => {
  const { stream, packets } = opened();
  stream.bring(packed(Buffer.from("last words")));
  packets.fail(new Error("the connection is lost"));
  await packets.arrival();
  assert.equal(packets.next(), true);
  assert.equal(contentOf(packets).toString(), "last words");
  assert.equal(packets.next(), false);
  assert.match(String(packets.failure), /the connection is lost/);
});

Deno.test("a command begins with its length and number 0", () => {
  const { stream, packets } = opened();
  packets.command(Buffer.from([0x12, 1, 2]));
  assert.deepEqual(stream.sent, [Buffer.from([3, 0, 0, 0, 0x12, 1, 2])]);
});

Deno.test("an error tells the server's message, and whether it may pass", () => {
  const error = (number: number, state: string) => {
    const bytes = Buffer.from(`\xff..${state}no more`, "latin1");
    bytes.writeUInt16LE(number, 1);
    return serverError({ bytes, at: 0, end: bytes.length });
  };
  assert.equal(error(1236, "#HY000").message, "no more");
  assert.equal(error(1040, "").message, "no more");
  assert.equal(classify(error(1236, "#HY000")), "stop");
  for (const number of [1040, 1053, 4031]) assert.equal(classify(error(number, "#08S01")), "retry");
});
