/** Events as a real server sent them; record_binlog.ts made the file and says which statements they are. */

interface Fixture {
  readonly server: string;
  /** The binlog file that the events come from. */
  readonly file: string;
  readonly sections: Readonly<Record<string, readonly string[]>>;
}

const fixture: Fixture = JSON.parse(
  Deno.readTextFileSync(new URL("binlog_fixture.json", import.meta.url)),
);

/** The file that the events come from. */
export const FIXTURE_FILE = fixture.file;

/** Names of the sections in the order in which they were recorded. */
export const SECTIONS: readonly string[] = Object.keys(fixture.sections);

/** The events of a section, copies: they may be changed. */
export function eventsOf(section: string): Uint8Array[] {
  return fixture.sections[section]!.map((hex) => Uint8Array.fromHex(hex));
}
