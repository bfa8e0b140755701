/** The source files of the project, as the tests about them read them. */
import { fileURLToPath } from "node:url";

/** One file. */
export interface SourceFile {
  /** From the top of the project: `shared/jobs/reader.ts`. */
  readonly path: string;
  readonly text: string;
}

const TOP = fileURLToPath(new URL("../../", import.meta.url));

/** All files under the folders whose names end in one of `extensions`, state folders left out. */
export function sourceFiles(
  folders: readonly string[],
  extensions: readonly string[] = [".ts"],
): SourceFile[] {
  return folders.flatMap((folder) => pathsIn(folder))
    .filter((path) => extensions.some((extension) => path.endsWith(extension)))
    .sort()
    .map((path) => ({ path, text: Deno.readTextFileSync(TOP + path) }));
}

function pathsIn(folder: string): string[] {
  return [...Deno.readDirSync(TOP + folder)]
    .filter(({ name }) => !name.startsWith(".") && name !== "node_modules")
    .flatMap(({ name, isDirectory }) => {
      const path = folder === "." ? name : `${folder}/${name}`;
      return isDirectory ? pathsIn(path) : [path];
    });
}

/** The text with comments blanked out, line breaks kept. Good for code that `deno fmt` has laid out. */
export function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, " "))
    .replace(/(^|\s)\/\/.*$/gm, "$1");
}
