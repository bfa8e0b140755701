/** The demo's servers: a stack of its own, brought up clean and taken down again. */
import { join } from "node:path";
import { KAFKA_PORTS } from "../../compose/native/kafka.ts";
import { MARIADB_PORT } from "../../compose/native/mariadb.ts";
import { MYSQL_PORT } from "../../compose/native/mysql.ts";
import { exists, stackFolder } from "../../compose/native/paths.ts";
import { listenerOf } from "../../compose/native/ports.ts";
import { POSTGRES_PORT } from "../../compose/native/postgres.ts";
import {
  down,
  type Part,
  type StackInfo,
  type StackProgress,
  status,
  up,
} from "../../compose/native/stack.ts";
import { ConfigError } from "../../shared/errors.ts";

/** Lies in the folder of a stack that a demo made, and whose data is therefore the demo's. */
const MARKER = "demo";
/** Between the offsets that are tried when ports are taken, and the last one. */
const OFFSET_STEP = 1000;
const LAST_OFFSET = 20_000;

/** What a demo asks of its servers. */
export interface ServerOptions {
  readonly name: string;
  readonly parts: Part[];
  /** Undefined: the first at which all ports are free. */
  readonly port_offset: number | undefined;
  readonly progress: (event: StackProgress) => void;
  readonly say: (text: string) => void;
}

/** Servers that run. */
export interface Servers {
  readonly info: StackInfo;
  /** True: they ran before the demo came, so they stay. */
  readonly found_running: boolean;
  /** Ends what the demo started; with `wipe` its own data goes too. */
  end(options: { wipe: boolean }): Promise<void>;
}

/** Brings the stack up: its own one without data of earlier runs, another one as it stands. */
export async function bringUp(options: ServerOptions): Promise<Servers> {
  const { name, parts, progress, say } = options;
  const known = await status(name);
  const found_running = known?.servers.some((server) => server.running) ?? false;
  if (found_running) say(`Stack ${name} runs already: the demo uses it and leaves it up.`);
  const is_own = known === undefined || await exists(join(stackFolder(name), MARKER));
  if (known !== undefined && is_own && !found_running) await down({ name, wipe: true });

  const fresh = !found_running && is_own;
  const port_offset = options.port_offset ?? (fresh ? freeOffset(parts) : undefined);
  if (port_offset && port_offset !== options.port_offset) {
    say(`The usual ports are taken: the demo's are ${port_offset} higher.`);
  }
  let info: StackInfo;
  try {
    info = await up({
      name,
      only: parts,
      progress,
      ...port_offset === undefined ? {} : { port_offset },
    });
  } finally {
    // Also where it failed: the next demo clears away what there is.
    if (fresh && await status(name) !== undefined) await markOwn(name);
  }
  return {
    info,
    found_running,
    async end({ wipe }) {
      if (!found_running) await down({ name, wipe: wipe && is_own });
    },
  };
}

async function markOwn(name: string): Promise<void> {
  const text = "This stack was made by `deno task demo`.\n";
  await Deno.writeTextFile(join(stackFolder(name), MARKER), text);
}

/** The lowest offset at which all ports are free. */
function freeOffset(parts: readonly Part[]): number {
  const ports: Record<Part, number[]> = {
    kafka: KAFKA_PORTS.flatMap(({ broker, controller }) => [broker, controller]),
    pg: [POSTGRES_PORT],
    mysql: [MYSQL_PORT],
    mariadb: [MARIADB_PORT],
  };
  const wanted = parts.flatMap((part) => ports[part]);
  for (let offset = 0; offset <= LAST_OFFSET; offset += OFFSET_STEP) {
    if (wanted.every((port) => listenerOf(port + offset) === undefined)) return offset;
  }
  throw new ConfigError(
    `At every port offset from 0 to ${LAST_OFFSET} one of the ports ${wanted.join(", ")} is taken.`,
    { cure: "choose free ones by --port-offset, or end a stack: deno task stack down" },
  );
}

/** Keeps a second demo of the same stack out until the answer is called. Throws ConfigError. */
export function lockDemo(name: string): () => void {
  const path = `${stackFolder(name)}.demo.lock`;
  Deno.mkdirSync(join(path, ".."), { recursive: true });
  const file = Deno.openSync(path, { create: true, read: true, write: true });
  if (file.tryLockSync(true)) {
    return () => {
      Deno.removeSync(path);
      file.close();
    };
  }
  file.close();
  throw new ConfigError(`A demo on stack ${name} runs already.`, {
    cure: "wait for its end, or choose another stack with --name",
  });
}
