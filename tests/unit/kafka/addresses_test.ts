/** The addresses of brokers as the clients tell them. */
import assert from "node:assert/strict";
import { clients, openKafka } from "../../../shared/kafka/mod.ts";
import { type ClientOptions, kafkaOptions } from "../../../shared/kafka/options.ts";
import { SILENT } from "../../silent.ts";
import { advertising } from "./advertising.ts";

for (const client of Object.keys(clients)) {
  Deno.test(`${client}: an advertised IPv6 address stands in brackets, as permissions want it`, async () => {
    // Reached at the IPv4 address in it, also on a host that has no other.
    const host = "::ffff:127.0.0.1";
    await using broker = advertising(host);
    const at = await broker.address();
    const options = kafkaOptions.parse({ brokers: [at], client }) as ClientOptions;
    const admin = await (await openKafka(options, SILENT)).admin();
    try {
      const told = await admin.brokers();
      assert.deepEqual(told, [`[${host}]${at.slice(at.lastIndexOf(":"))}`]);
      for (const host of told) Deno.permissions.querySync({ name: "net", host });
    } finally {
      await admin.close();
    }
  });
}
