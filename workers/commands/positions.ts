/** `deno task positions show|set|reset JOB`: where a job stands, and moving a capture that is stopped. */
import { ConfigError, READ_ALL_AGAIN } from "../../shared/errors.ts";
import { formats } from "../../shared/formats/mod.ts";
import { openKafka } from "../../shared/kafka/mod.ts";
import type { Admin, KafkaClient } from "../../shared/kafka/port.ts";
import type { Log } from "../../shared/observe/log.ts";
import { forgotten, keylessTables, movedTo, replacePosition } from "../../shared/pipeline/moves.ts";
import { readPosition, type StoredPosition } from "../../shared/pipeline/positions.ts";
import type { Source } from "../../shared/sources/source.ts";
import { tableName } from "../../shared/table_name.ts";
import { type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, run } from "../cli/main.ts";
import { host } from "../cli/host.ts";
import type { CaptureKind, JobOf } from "../jobs.ts";
import { captureStanding, captureText } from "../positions/capture.ts";
import { consumerStanding, consumerText } from "../positions/consumer.ts";
import { commandLog } from "../runtime/command_log.ts";
import { readEither } from "../runtime/environment.ts";
import { sourceMaker } from "../runtime/sources.ts";

const ACTIONS = ["show", "set", "reset"] as const;
type Action = typeof ACTIONS[number];

const SPEC: CommandSpec = {
  name: "positions",
  summary:
    "Shows where a job stands (show), moves a capture that is stopped to another place of its" +
    " source's log (set), or lets it read all rows again (reset).",
  usage: "deno task positions show|set|reset [options] JOB",
  example: "deno task positions show jobs/capture-pg.yaml",
  options: {
    to: {
      type: "string",
      value: "PLACE",
      help: "set: where to go on. PostgreSQL: an LSN. MySQL: FILE:OFFSET, or a set of GTIDs.",
    },
    yes: { type: "boolean", help: "set, reset: really do what the command says it would." },
    json: { type: "boolean", help: "Print one JSON object." },
  },
  positionals: {
    name: "show|set|reset JOB",
    help: "What to do, and the job file: .yaml or .toml.",
    min: 2,
    max: 2,
  },
};

export async function main(): Promise<number> {
  const parsed = parseCommand(SPEC, host().args);
  if (parsed === "help") return EXIT_DONE;
  const { options, positionals } = parsed;
  const action = readAction(positionals[0]!, options.to);
  const { kind, job, secrets } = readEither(positionals[1]!, "has no position");
  const print = (value: unknown, text: string) =>
    console.log(options.json ? JSON.stringify(value) : text);
  const log = commandLog(job, secrets);
  if (kind !== "consume-csv") {
    const move = { to: options.to as string | undefined, yes: options.yes === true };
    await ofCapture(action, kind, job, { ...move, log, print });
    return EXIT_DONE;
  }
  if (action !== "show") throw notOfConsumers(action);
  const admin = await (await openKafka(job.kafka, log)).admin();
  try {
    const standing = await consumerStanding(job, admin);
    print(standing, consumerText(standing));
  } finally {
    await admin.close();
  }
  return EXIT_DONE;
}

function readAction(text: string, to: unknown): Action {
  const action = ACTIONS.find((one) => one === text);
  if (action === undefined) {
    throw new ConfigError(`positions: unknown action ${JSON.stringify(text)}.`, {
      cure: `write one of ${ACTIONS.join(", ")}`,
    });
  }
  if ((action === "set") !== (to !== undefined)) {
    throw new ConfigError(
      action === "set"
        ? "positions set: --to is missing."
        : `positions ${action}: --to does not go with it.`,
      { cure: "deno task positions set --to PLACE JOB" },
    );
  }
  return action;
}

function notOfConsumers(action: Action): ConfigError {
  return new ConfigError(
    `positions ${action}: the journals beside its files decide where a consumer goes on, and what is in` +
      " the files cannot be taken back.",
    {
      cure: "for the same changes again, give the job an empty sink.output and another group_id;" +
        " for changes from another place in the log, move the capture",
    },
  );
}

/** What is asked, and how it is told. */
interface Request {
  readonly to: string | undefined;
  readonly yes: boolean;
  readonly log: Log;
  readonly print: (value: unknown, text: string) => void;
}

async function ofCapture(
  action: Action,
  kind: CaptureKind,
  job: JobOf<CaptureKind>,
  request: Request,
): Promise<void> {
  const source = (await sourceMaker(kind, job, { log: request.log, now: Date.now }))();
  const kafka = await openKafka(job.kafka, request.log);
  const admin = await kafka.admin();
  try {
    const parts = { source, kafka, admin };
    if (action === "show") await show(job, parts, request);
    else await move(action, job, parts, request);
  } finally {
    await source.close();
    await admin.close();
  }
}

interface Parts {
  readonly source: Source;
  readonly kafka: KafkaClient;
  readonly admin: Admin;
}

async function show(job: JobOf<CaptureKind>, parts: Parts, { print }: Request): Promise<void> {
  const { format } = await formats[job.format]();
  const standing = await captureStanding(job.name, { ...parts, format }, Date.now());
  print(standing, captureText(standing));
}

async function move(
  action: "set" | "reset",
  job: JobOf<CaptureKind>,
  parts: Parts,
  { to, yes, print }: Request,
): Promise<void> {
  const { source, kafka, admin } = parts;
  await source.claim();
  const identity = { connector: source.connector, name: job.name };
  const before = await readPosition(admin, identity);
  if (before === undefined) {
    throw new ConfigError(`Nothing is stored for job ${job.name}: it has not captured yet.`, {
      cure: "start the job: it begins by itself",
    });
  }
  const { after, told } = action === "set"
    ? await planSet(job, parts, before, to!)
    : planReset(job, before);
  if (!yes) throw new ConfigError(`positions ${action}: ${told}`, { cure: "add --yes" });
  await replacePosition(kafka, identity, { before, after }, Date.now());
  const { resume, generation } = after;
  print({ job: job.name, action, resume, generation }, told);
}

interface Plan {
  readonly after: StoredPosition;
  /** What it means, a sentence or two. */
  readonly told: string;
}

async function planSet(
  job: JobOf<CaptureKind>,
  { source, admin }: Parts,
  before: StoredPosition,
  to: string,
): Promise<Plan> {
  if (before.reset || before.resume["snapshot"] !== undefined) {
    throw new ConfigError(
      `The snapshot of job ${job.name} is not finished: from a place in the log on, the rows that it` +
        " has not read yet would be missing.",
      { cure: "let the job finish its snapshot first" },
    );
  }
  const { resume, back } = await source.locate(to, before.resume);
  const after = movedTo(before, resume, Date.now());
  // A run that was killed may have sent what lies after `to` already.
  if (back || !before.clean) await refuseKeyless(job, { source, admin }, before);
  if (!back) {
    return {
      after,
      told:
        `What was written between the stored position and ${to} is left out for good; rows that` +
        " were changed or deleted there stay in the topics as they are.",
    };
  }
  return {
    after,
    told:
      `What was written since ${to} comes again, as generation ${after.generation}; readers go` +
      " back to how it was then and come forward once more.",
  };
}

async function refuseKeyless(
  job: JobOf<CaptureKind>,
  { source, admin }: Pick<Parts, "source" | "admin">,
  stored: StoredPosition,
): Promise<void> {
  const identity = { connector: source.connector, name: job.name };
  const tables = await keylessTables(admin, identity, stored, job.kafka.topic);
  if (tables.length === 0) return;
  const names = tables.map(tableName).join(", ");
  throw new ConfigError(
    `Rows of ${names} have no key: changes that come again would count twice.`,
    { cure: READ_ALL_AGAIN },
  );
}

function planReset(job: JobOf<CaptureKind>, before: StoredPosition): Plan {
  if (job.source.snapshot === "never") {
    throw new ConfigError(
      "positions reset reads all rows again, which `snapshot: never` forbids.",
      {
        cure:
          "set source.snapshot: initial; or, to begin at the end of the log and leave out what was" +
          " written since the stored position, run `deno task remove JOB` and start the job",
      },
    );
  }
  return {
    after: forgotten(before),
    told:
      "The next start truncates the topics and reads all rows again; what was written since the" +
      " stored position comes only as the rows are by then.",
  };
}

if (import.meta.main) await run(main);
