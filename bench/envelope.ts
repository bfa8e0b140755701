/** A change as captures write it, about 500 bytes of JSON. */

/** The change numbered `id`. */
export function envelope(id: number) {
  const after = {
    id,
    category: "news",
    domain: `site-${id % 1000}.example.org`,
    timestamp: "2026-11-21T10:00:00.123456",
  };
  const source = {
    connector: "mysql",
    name: "orders",
    version: "0.1.0",
    ts_us: 1795255200123456,
    snapshot: "false",
    ts_ms: 1795255200123,
    db: "shop",
    schema: null,
    table: "list",
    position: `6923a1f0-0000000000000003-${id.toString(16).padStart(16, "0")}-00000000`,
    schema_id: "9f1c2b3a",
    gtid: `3e11fa47-71ca-11e1-9e33-c80aa9429562:${id}`,
    file: "binlog.000003",
    pos: id,
    row: 0,
  };
  const transaction = { id: `${id}`, total_order: 1 };
  return { before: null, after, source, op: "c", ts_ms: 1795255200130, transaction };
}
