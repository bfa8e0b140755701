/** `deno task stack`: brings the servers up and down, and says where they are. */

import { dockerLog } from "../../compose/native/docker.ts";
import { tailOf } from "../../compose/native/processes.ts";
import {
  down,
  environment,
  type Part,
  PARTS,
  type StackInfo,
  type StackStatus,
  status,
  up,
} from "../../compose/native/stack.ts";
import { ConfigError } from "../../shared/errors.ts";
import { nearestHint } from "../../shared/jobs/nearest.ts";
import { type Arguments, type CommandSpec, parseCommand } from "../cli/arguments.ts";
import { EXIT_DONE, EXIT_FAILED, run } from "../cli/main.ts";
import { StackDisplay } from "../cli/stack_progress.ts";

const SPEC: CommandSpec = {
  name: "stack",
  summary:
    "Brings up three Kafka brokers, PostgreSQL and MySQL on this machine, MariaDB if it is asked\n" +
    "for, and takes them down.",
  usage: "deno task stack up|down|status|env|logs [SERVER] [options]",
  example: "deno task stack up --only kafka,pg",
  positionals: {
    name: "ACTION",
    help: "up, down, status, env (shell exports), logs (of SERVER or of all)",
    min: 1,
    max: 2,
  },
  options: {
    "name": { type: "string", value: "NAME", help: "which stack", default: "default" },
    "port-offset": {
      type: "number",
      help: "up: added to every port, so that stacks run side by side",
    },
    "only": { type: "string", value: "PARTS", help: `up: some of ${PARTS.join(",")}` },
    "docker": { type: "boolean", help: "up: containers instead of processes" },
    "secure": { type: "boolean", help: "up: servers that demand TLS, logins and rights" },
    "netem": { type: "boolean", help: "up: links through proxies, for deno task netem" },
    "wipe": { type: "boolean", help: "down: delete the data as well" },
    "lines": { type: "number", help: "logs: how many lines of each", default: 40 },
    "json": { type: "boolean", help: "up, status, env: one JSON object on stdout" },
  },
};

const ACTIONS: Record<string, (args: Arguments) => Promise<number>> = {
  up: bringUp,
  down: takeDown,
  status: tellStatus,
  env: tellEnvironment,
  logs: tellLogs,
};

async function main(args: string[]): Promise<number> {
  const parsed = parseCommand(SPEC, args);
  if (parsed === "help") return EXIT_DONE;
  const [name = "", ...rest] = parsed.positionals;
  const action = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (action === undefined) {
    throw new ConfigError(
      `stack: unknown action ${JSON.stringify(name)}${nearestHint(name, Object.keys(ACTIONS))}. ` +
        `Allowed: ${Object.keys(ACTIONS).join(", ")}.`,
    );
  }
  if (rest.length > 0 && name !== "logs") {
    throw new ConfigError(`stack ${name} takes no ${JSON.stringify(rest[0])}.`, {
      cure: `choose a stack with --name ${rest[0]}`,
    });
  }
  return await action(parsed);
}

async function bringUp({ options }: Arguments): Promise<number> {
  const begin = performance.now();
  const only = partsOf(options["only"] as string | undefined);
  const info = await up({
    name: options["name"] as string,
    ...(options["port-offset"] === undefined
      ? {}
      : { port_offset: options["port-offset"] as number }),
    ...(only === undefined ? {} : { only }),
    ...(options["docker"] === undefined ? {} : { docker: options["docker"] as boolean }),
    ...(options["secure"] === undefined ? {} : { secure: options["secure"] as boolean }),
    ...(options["netem"] === undefined ? {} : { netem: options["netem"] as boolean }),
    progress: new StackDisplay().tell,
  });
  const seconds = (performance.now() - begin) / 1000;
  if (options["json"]) console.log(JSON.stringify({ ...publicInfo(info), seconds }));
  else console.log(`${table(info)}\nUp in ${seconds.toFixed(1)} s. Passwords: ${envCommand(info)}`);
  return EXIT_DONE;
}

function partsOf(text: string | undefined): Part[] | undefined {
  if (text === undefined) return undefined;
  return text.split(",").map((word) => {
    const part = PARTS.find((known) => known === word.trim());
    if (part !== undefined) return part;
    throw new ConfigError(
      `stack: --only has ${JSON.stringify(word)}${nearestHint(word, PARTS)}. ` +
        `Allowed: ${PARTS.join(", ")}, with commas between.`,
    );
  });
}

async function takeDown({ options }: Arguments): Promise<number> {
  const name = options["name"] as string;
  const wipe = options["wipe"] === true;
  const stopped = await down({ name, wipe });
  const ended = stopped === undefined
    ? `There is no stack ${name}.`
    : `Stack ${name}: ${stopped} server${stopped === 1 ? "" : "s"} ended.`;
  console.log(wipe ? `${ended} Its data is deleted.` : ended);
  return EXIT_DONE;
}

async function tellStatus({ options }: Arguments): Promise<number> {
  const found = await demandStack(options["name"] as string);
  const running = found.servers.map(({ name, ports, pid, running }) => ({
    name,
    ports,
    pid,
    running,
  }));
  if (options["json"]) {
    console.log(JSON.stringify({ ...publicInfo(found.info), servers: running }));
  } else {
    const lines = running.map(({ name, ports, pid, running }) =>
      `${name.padEnd(10)} ${running ? `runs, process ${pid}` : "does not run"}, ` +
      `port${ports.length > 1 ? "s" : ""} ${ports.join(" and ")}`
    );
    console.log([...lines, table(found.info)].join("\n"));
  }
  return running.length > 0 && running.every((server) => server.running) ? EXIT_DONE : EXIT_FAILED;
}

async function tellEnvironment({ options }: Arguments): Promise<number> {
  const variables = environment((await demandStack(options["name"] as string)).info);
  if (options["json"]) console.log(JSON.stringify(variables));
  else {
    for (const [name, value] of Object.entries(variables)) {
      console.log(`export ${name}='${value.replaceAll("'", "'\\''")}'`);
    }
  }
  return EXIT_DONE;
}

async function tellLogs({ options, positionals }: Arguments): Promise<number> {
  const { info, servers } = await demandStack(options["name"] as string);
  const wanted = positionals[1];
  const names = servers.map((server) => server.name);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw new ConfigError(
      `stack: there is no server ${JSON.stringify(wanted)}${nearestHint(wanted, names)}. ` +
        `Servers of ${info.name}: ${names.join(", ")}.`,
    );
  }
  const lines = options["lines"] as number;
  for (const server of servers) {
    if (wanted !== undefined && server.name !== wanted) continue;
    if (wanted === undefined) console.log(`==> ${server.name}: ${server.log}`);
    const docker = info.engine === "docker";
    console.log(
      docker ? await dockerLog(info, server.name, lines) : await tailOf(server.log, lines),
    );
  }
  return EXIT_DONE;
}

async function demandStack(name: string): Promise<StackStatus> {
  const found = await status(name);
  if (found !== undefined) return found;
  throw new ConfigError(`There is no stack ${name}.`, {
    cure: `bring it up: deno task stack up${name === "default" ? "" : ` --name ${name}`}`,
  });
}

/** Where everything listens, for people. */
function table(info: StackInfo): string {
  const rows: [string, string, string][] = [];
  const version = (name: string) => info.versions[name] ?? "";
  if (info.kafka) rows.push(["Kafka", info.kafka.brokers.join(","), version("kafka")]);
  for (
    const [title, key, found] of [
      ["PostgreSQL", "postgresql", info.pg],
      ["MySQL", "mysql", info.mysql],
      ["MariaDB", "mariadb", info.mariadb],
    ] as const
  ) {
    if (!found) continue;
    rows.push([title, `${found.host}:${found.port}, database ${found.database}`, version(key)]);
  }
  return rows.map(([title, where, what]) => `${title.padEnd(10)} ${where} (${what})`).join("\n");
}

function envCommand(info: StackInfo): string {
  return `deno task stack env${info.name === "default" ? "" : ` --name ${info.name}`}`;
}

/** A stack without its passwords. */
function publicInfo(info: StackInfo) {
  const { name, engine, dir, port_offset, secure, netem, versions, servers } = info;
  const open = <T extends { users?: unknown }>(part: T | undefined) => {
    const { users: _, ...rest } = part ?? {};
    return part && rest;
  };
  const parts = Object.fromEntries(PARTS.map((part) => [part, open(info[part])]));
  return { name, engine, dir, port_offset, secure, netem, versions, servers, ...parts };
}

if (import.meta.main) await run(() => main(Deno.args));
