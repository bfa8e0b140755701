/** Programs of the Kafka project, started as its own scripts start them. */
import type { Java } from "../../compose/native/java.ts";
import { SCRIPT_OPTIONS } from "../../compose/native/kafka.ts";
import { PeerProcess } from "./process.ts";

const LOGGING = `log4j.rootLogger=INFO, err
log4j.appender.err=org.apache.log4j.ConsoleAppender
log4j.appender.err.target=System.err
log4j.appender.err.layout=org.apache.log4j.PatternLayout
log4j.appender.err.layout.ConversionPattern=[%d] %p %m (%c)%n
`;

/** A program of the jars in `libraries`; `folder` takes its log, named `name`. */
export interface JavaProgram {
  readonly java: Java;
  readonly libraries: string;
  readonly heap: readonly string[];
  readonly main: string;
  readonly args: readonly string[];
  readonly folder: string;
  readonly name: string;
}

/** Starts the program. */
export function startJava(program: JavaProgram): PeerProcess {
  const { java, libraries, heap, main, args, folder, name } = program;
  const logging = `${folder}/log4j.properties`;
  Deno.writeTextFileSync(logging, LOGGING);
  const options = [...heap, ...SCRIPT_OPTIONS, `-Dlog4j.configuration=file:${logging}`];
  const command = [java.command, ...options, "-cp", `${libraries}/*`, main, ...args];
  return new PeerProcess(command, `${folder}/${name}.log`);
}

/** The text of a properties file. */
export function properties(entries: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(entries).map(([name, value]) => `${name}=${value}\n`).join("");
}
