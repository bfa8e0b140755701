/** Kafka's ACL operations as brokers send them: one bit each. */
import type { Operation } from "./port.ts";

/** Codes of org.apache.kafka.common.acl.AclOperation; the bit of an operation is 2 to its code. */
const CODES: Readonly<Record<Operation, number>> = {
  Read: 3,
  Write: 4,
  Create: 5,
  Describe: 8,
  DescribeConfigs: 10,
};

/** The operations whose bits are set. */
export function operationsOf(bits: number): Set<Operation> {
  const all = Object.keys(CODES) as Operation[];
  return new Set(all.filter((operation) => (bits & 1 << CODES[operation]) !== 0));
}
