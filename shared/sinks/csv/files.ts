/** Reads an output folder as `verify` needs it: which bytes of which files count. */
import {
  nameReader,
  type Operation,
  PART,
  safeName,
  STATE_FOLDER,
  templateProblem,
} from "./filename.ts";
import { type Disk, disk as realDisk } from "./disk.ts";
import { type Journal, readJournal } from "./journal.ts";
import { ConfigError } from "../../errors.ts";

/** A file of an output folder. */
export interface CsvFile {
  readonly path: string;
  readonly topic: string;
  readonly partition: number;
  /** Number of the set; rows of a lower number came earlier. */
  readonly sequence: number;
  readonly operation: Operation;
  /** How many of its bytes count: the rest is of a flush that has not ended. */
  readonly bytes: number;
  /** False while the file ends in `.part`. */
  readonly complete: boolean;
  /** A truncate came after this file: none of its rows is in the table any more. */
  readonly truncated: boolean;
}

/**
 * The files of one topic in an output folder, ordered by partition, set and operation. `options` are the
 * sink's. A file that is still being written counts up to what its journal says is durable.
 * Throws ConfigError when the folder holds nothing of the topic.
 */
export function csvFiles(
  options: { readonly output: string; readonly filename: string; readonly split_files: boolean },
  topic: string,
  disk: Disk = realDisk,
): CsvFile[] {
  const { output, filename, split_files } = options;
  const problem = templateProblem(filename, split_files);
  if (problem !== undefined) throw new ConfigError(`sink.filename: ${problem}`);
  const journals = readJournals(disk, output, topic);
  if (journals.size === 0) {
    throw new ConfigError(`${output} holds no files of topic ${topic}`, {
      cure: "name the output folder and the topic that the consumer has written",
    });
  }
  const read = nameReader(filename);
  const files: CsvFile[] = [];
  for (const name of walk(output, "")) {
    const said = read(name.endsWith(PART) ? name.slice(0, -PART.length) : name);
    if (said === undefined || (said.topic ?? topic) !== topic) continue;
    const journal = journals.get(said.partition);
    if (journal === undefined) continue;
    const bytes = countedBytes(disk, output, name, journal);
    if (bytes === undefined) continue;
    files.push({
      path: `${output}/${name}`,
      topic,
      partition: said.partition,
      sequence: said.sequence,
      operation: said.operation,
      bytes,
      complete: !name.endsWith(PART),
      truncated: said.sequence < journal.since_sequence,
    });
  }
  return files.sort((a, b) =>
    a.partition - b.partition || a.sequence - b.sequence || (a.operation < b.operation ? -1 : 1)
  );
}

function readJournals(disk: Disk, output: string, topic: string): Map<number, Journal> {
  const folder = `${output}/${STATE_FOLDER}/${safeName(topic)}`;
  const journals = new Map<number, Journal>();
  for (const name of disk.list(folder)) {
    if (!name.endsWith(".json")) continue;
    const journal = readJournal(disk, `${folder}/${name}`);
    if (journal !== undefined) journals.set(journal.partition, journal);
  }
  return journals;
}

/** Paths below `output/inside`, without the state folder, relative to `output`. */
function* walk(output: string, inside: string): Generator<string> {
  for (const entry of Deno.readDirSync(`${output}/${inside}`)) {
    if (entry.name.startsWith(".")) continue;
    const name = `${inside}${entry.name}`;
    if (entry.isDirectory) yield* walk(output, `${name}/`);
    else yield name;
  }
}

/** Bytes of a file that count; undefined: none, the journal does not know the file. */
function countedBytes(
  disk: Disk,
  output: string,
  name: string,
  journal: Journal,
): number | undefined {
  if (!name.endsWith(PART)) return fileSize(disk, `${output}/${name}`);
  const bare = name.slice(0, -PART.length);
  return [...journal.files, ...journal.completing].find((file) => file.name === bare)?.bytes;
}

function fileSize(disk: Disk, path: string): number {
  const file = disk.open(path, "read");
  try {
    return file.size();
  } finally {
    file.close();
  }
}
