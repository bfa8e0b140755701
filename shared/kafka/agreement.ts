/** Whether all brokers tell the same of topics: each learns of a new or deleted one in its own time. */
import { RetryableError } from "../errors.ts";

/** Id by topic as one broker tells it; a topic that it does not know is missing. */
export type TopicIds = ReadonlyMap<string, string>;

/** Throws RetryableError unless every broker knows each topic, all under the same id. */
export function demandKnown(brokers: readonly TopicIds[], names: readonly string[]): void {
  for (const name of names) {
    const ids = new Set(brokers.map((ids) => ids.get(name)));
    if (ids.size !== 1 || ids.has(undefined)) {
      throw new RetryableError(`Not all brokers know topic ${name} yet`);
    }
  }
}

/** Throws RetryableError while a broker still knows one of the topics. */
export function demandGone(brokers: readonly TopicIds[], names: readonly string[]): void {
  const left = names.find((name) => brokers.some((ids) => ids.has(name)));
  if (left !== undefined) throw new RetryableError(`A broker still knows topic ${left}`);
}
