/** `deno task dead-letters list|show|replay JOB`: what a consumer could not apply. */
import { Buffer } from "node:buffer";
import { ConfigError } from "../../shared/errors.ts";
import { formats } from "../../shared/formats/mod.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import { principalOf } from "../../shared/kafka/options.ts";
import type { KafkaClient } from "../../shared/kafka/port.ts";
import { deadLetterTopic, groupOf } from "../../shared/pipeline/consume_options.ts";
import { type Reason, REASONS } from "../../shared/pipeline/dead_letter.ts";
import { deadLetterIds } from "../../shared/pipeline/poison.ts";
import {
  type LetterFilter,
  readLetters,
  replay,
  type ReplayDeps,
  type StoredLetter,
} from "../../shared/pipeline/replay.ts";
import {
  letterRights,
  replayRights,
  rightsFindings,
  type WantedRight,
} from "../../shared/pipeline/rights.ts";
import { SchemaReader } from "../../shared/pipeline/schemas.ts";
import { type CommandSpec, type OptionValue, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readConsumer } from "../runtime/environment.ts";
import { refuseErrors } from "../runtime/inspect.ts";

const SPEC: CommandSpec = {
  name: "dead-letters",
  summary:
    "Lists the records that a consumer put on its dead letter topic, shows them whole, or\n" +
    "replays those that wait: back to their partitions, from which the running consumer takes them.",
  usage: "deno task dead-letters list|show|replay [options] JOB",
  example: "deno task dead-letters list jobs/consume-csv.yaml",
  options: {
    topic: { type: "string", value: "NAME", help: "Only records that came from this topic." },
    partition: { type: "number", help: "Only those of this partition." },
    offset: { type: "number", help: "Only those at this offset." },
    reason: { type: "string", value: REASONS.join("|"), help: "Only those set aside for it." },
    json: { type: "boolean", help: "One JSON object a letter; for replay: replayed, refused." },
  },
  positionals: { name: "ACTION JOB", help: "What to do, and a consumer's job.", min: 2, max: 2 },
};

const ACTIONS = ["list", "show", "replay"] as const;

export async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, host().args);
  if (parsed === "help") return EXIT_DONE;
  const { options, positionals: [action, path] } = parsed;
  const filter = filterOf(options);
  if (!ACTIONS.some((known) => known === action)) {
    throw new ConfigError(
      `dead-letters: found ${JSON.stringify(action)}. Allowed: ${ACTIONS.join(", ")}.`,
      { cure: `usage: ${SPEC.usage}` },
    );
  }
  const { job, secrets } = readConsumer(path!, "has no dead letters");
  const log = commandLog(job, secrets);
  const client = await openKafka(job.kafka, log);
  const admin = await client.admin();
  const user = principalOf(job.kafka);
  const demand = async (rights: readonly WantedRight[]) =>
    refuseErrors(await rightsFindings(admin, rights, user));
  try {
    const topic = deadLetterTopic(job);
    // Without rights a topic cannot be seen, and would be told as one without letters.
    await demand(letterRights(topic));
    const letters = () => readLetters(admin, topic, filter);
    const isJson = options.json === true;
    if (action !== "replay") return await print(letters(), action === "show", isJson);
    const group_id = groupOf(job);
    await demand(replayRights(group_id, topic, await originsOf(letters())));
    const schemas = new SchemaReader(admin);
    await schemas.refresh();
    const { format } = await formats[job.format]();
    const deps = { admin, format, schemas, topic, now: Date.now };
    return await replayAll(letters(), client, deps, deadLetterIds(group_id), isJson);
  } finally {
    await admin.close();
  }
}

/** The topics that the letters which wait came from. */
async function originsOf(letters: AsyncIterable<StoredLetter>): Promise<string[]> {
  const topics = new Set<string>();
  for await (const { origin, status } of letters) {
    if (status === "waiting") topics.add(origin.topic);
  }
  return [...topics];
}

function filterOf({ topic, partition, offset, reason }: Record<string, OptionValue>): LetterFilter {
  if (reason !== undefined && !REASONS.some((known) => known === reason)) {
    throw new ConfigError(
      `--reason: found ${JSON.stringify(reason)}. Allowed: ${REASONS.join(", ")}.`,
    );
  }
  return { topic, partition, offset, reason } as LetterFilter & { reason?: Reason };
}

async function print(
  letters: AsyncIterable<StoredLetter>,
  isWhole: boolean,
  isJson: boolean,
): Promise<number> {
  let any = false;
  for await (const letter of letters) {
    any = true;
    const { record, ...about } = letter;
    if (isJson) console.log(JSON.stringify(isWhole ? { ...about, ...textOf(record) } : about));
    else console.log(isWhole ? whole(letter) : line(letter));
  }
  if (!any && !isJson) console.log("No dead letters.");
  return EXIT_DONE;
}

function line({ origin, reason, status, failed_ms, error }: StoredLetter): string {
  const place = `${origin.topic}/${origin.partition} at ${origin.offset}`;
  const parts = [new Date(failed_ms).toISOString(), status.padEnd(8), reason.padEnd(6), place];
  return [...parts, printable(error)].join("  ");
}

function whole(letter: StoredLetter): string {
  const { key, value, headers, timestamp_ms } = textOf(letter.record);
  return [
    line(letter),
    `  set aside by job ${letter.job}, group ${letter.group_id}`,
    `  written ${new Date(timestamp_ms).toISOString()}`,
    ...headers.map(([name, text]) => `  header ${printable(name)}: ${printable(text)}`),
    `  key: ${key === null ? "none" : printable(key)}`,
    `  value: ${value === null ? "none" : printable(value)}`,
  ].join("\n");
}

/** Text from anywhere as one line that a terminal only shows: control characters as escapes. */
function printable(text: string): string {
  const escaped = (character: string) => `\\u{${character.codePointAt(0)!.toString(16)}}`;
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escaped);
}

/** Bytes as people and JSON can hold them: text where they are UTF-8, else `base64:...`. */
function textOf({ key, value, headers, timestamp_ms }: StoredLetter["record"]) {
  return {
    key: key && text(key),
    value: value && text(value),
    headers: headers.map(([name, bytes]) => [name, text(bytes)] as const),
    timestamp_ms,
  };
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function text(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    return `base64:${Buffer.from(bytes).toString("base64")}`;
  }
}

async function replayAll(
  letters: AsyncIterable<StoredLetter>,
  client: KafkaClient,
  deps: Omit<ReplayDeps, "producer">,
  ids: string,
  isJson: boolean,
): Promise<number> {
  const producer = await client.producer({
    // One replay at a time: a second one shuts the first out.
    transactional_id: `${ids}-replay`,
    fence: { partitions: [], ids: [] },
  });
  try {
    const { replayed, refused } = await replay(letters, { ...deps, producer });
    if (isJson) console.log(JSON.stringify({ replayed, refused }));
    else {
      for (const { origin: { topic, partition, offset }, why } of refused) {
        console.log(`Refused ${topic}/${partition} at ${offset}: ${why}`);
      }
      console.log(`Replayed ${replayed.length}, refused ${refused.length}.`);
    }
    return refused.length === 0 ? EXIT_DONE : EXIT_FAILED;
  } finally {
    await producer.close();
  }
}

if (import.meta.main) await run(main);
