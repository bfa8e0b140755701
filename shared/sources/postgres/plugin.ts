/** What reading one output plugin's messages needs, and gives. */
import type { WireReader } from "../../wire/postgres_reader.ts";
import type { Assembler } from "./assembler.ts";
import type { TypeCatalog } from "./catalog.ts";
import type { Session } from "./connection.ts";
import type { TableFactory } from "./table.ts";
import type { Log } from "../../observe/log.ts";

/** What both plugins' readers work with. */
export interface PluginContext {
  readonly session: Session;
  readonly types: TypeCatalog;
  readonly tables: TableFactory;
  readonly assembler: Assembler;
  readonly log: Log;
  /** Whether the job wants the table. */
  wanted(schema: string, table: string): boolean;
  /** Called at the end of each transaction with the LSN after its commit record. */
  committed(end_lsn: bigint): void;
}

/** Reads the messages of one output plugin. */
export interface PluginReader {
  /**
   * Reads one message into the assembler; the reader stands at its begin. A promise means that the
   * catalogue must be asked before the next message may be read. Throws RecordError.
   */
  read(message: WireReader): Promise<void> | undefined;
}
