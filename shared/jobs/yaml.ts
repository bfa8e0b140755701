/** Reads YAML 1.2 with the place of every value. */
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type YAMLParseError,
} from "yaml";
import {
  type Document,
  type Path,
  pathKey,
  type Place,
  type Places,
  SyntaxProblem,
} from "./document.ts";

/** Throws SyntaxProblem, with the place, when `text` is not one YAML document. */
export function readYaml(text: string): Document {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const at = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  const fault = document.errors[0];
  if (fault) {
    const place = at(fault.pos[0]);
    const message = `not readable as YAML: ${fault.message}${hintOf(fault, text, place)}`;
    throw new SyntaxProblem(message, place);
  }

  const places = new Map<string, Places>();
  let alias: Place = { line: 1, column: 1 };
  const walk = (node: unknown, path: Path): void => {
    if (isAlias(node)) alias = startOf(node, at) ?? alias;
    else if (isMap(node)) {
      for (const { key, value } of node.items) {
        if (!isScalar(key)) continue;
        const inside = [...path, String(key.value)];
        const keyPlace = at(key.range![0]);
        places.set(pathKey(inside), { key: keyPlace, value: startOf(value, at) ?? keyPlace });
        walk(value, inside);
      }
    } else if (isSeq(node)) {
      node.items.forEach((item, index) => {
        const inside = [...path, index];
        const place = startOf(item, at);
        if (place) places.set(pathKey(inside), { key: place, value: place });
        walk(item, inside);
      });
    }
  };
  walk(document.contents, []);
  try {
    return { value: document.toJS(), places };
  } catch (error) {
    // An alias without its anchor, or so many of one that they would fill the memory.
    throw new SyntaxProblem(`not readable as YAML: ${(error as Error).message}`, alias);
  }
}

/** What a person may have meant by what the parser refuses. */
function hintOf({ code, pos }: YAMLParseError, text: string, { line }: Place): string {
  if (code === "TAB_AS_INDENT") return "; indent with spaces";
  if (code === "DUPLICATE_KEY") {
    const [key = ""] = /^[^:\n]*/.exec(text.slice(pos[0]))!;
    return `; ${key.trim()} is here for the second time`;
  }
  const before = text.split("\n").slice(0, line);
  return before.some((above) => /[[{,]\s*\$\{/.test(above))
    ? ' (a ${...} inside [ ] or { } must stand in quotes: ["${env:NAME}"])'
    : "";
}

function startOf(node: unknown, at: (offset: number) => Place): Place | undefined {
  const range = (node as { range?: readonly number[] | null } | null)?.range;
  return range ? at(range[0]!) : undefined;
}
