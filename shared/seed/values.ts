/** Invented but plausible contents for the table `list`. */
import type { Random } from "./random.ts";

/** The columns of a row besides its key. */
export interface ListRow {
  category: string;
  domain: string;
  /** `YYYY-MM-DD hh:mm:ss.ffffff`, without zone: what both databases read. */
  timestamp: string;
}

/** A new state of one row. The category differs from the old one whatever that was. */
export interface ListUpdate {
  id: number;
  category: string;
  /** Stands in for `category` where the row has that one already. */
  other_category: string;
  /** Null: stays as it is. */
  domain: string | null;
  timestamp: string;
}

/** An inserted or updated row's category, ordered from the most to the least frequent. */
export const CATEGORIES = [
  "shopping",
  "news",
  "technology",
  "business",
  "sports",
  "travel",
  "health",
  "education",
  "entertainment",
  "finance",
  "food",
  "games",
  "music",
  "science",
  "real-estate",
  "cars",
  "fashion",
  "government",
  "jobs",
  "weather",
  "gardening",
  "pets",
  "photography",
  "religion",
] as const;

const FIRST_WORDS = words(`
  alpine amber autumn blue bold brave bright calm candid cedar city clear clever coastal cosmic
  crisp daily daring early eastern emerald fair fast first fresh gentle global golden good grand
  green happy harbour honest hidden home iron island jolly keen kind lively local lucky lunar
  maple mellow merry mighty modern narrow noble north novel ocean olive open orange patient prime
  proud quick quiet rapid red river rocky royal silent silver simple solar south spring steady
  stellar sunny swift tidy top true urban velvet vivid warm western white wild winter wise young
`);

const SECOND_WORDS = words(`
  atlas baker bank barn bay beacon bench book bridge brook cabin cafe camp canvas castle chef
  clinic cloud coach corner craft deal desk digest dock doctor factory farm field forge forum
  garden gate guide harvest hill house index journal kitchen lab lake lane ledger lens library
  lodge loft map market meadow mill mirror museum nest news notebook orchard outlet page park path
  pilot planet point portal press quarter radio ranch review road school shelf shop signal sky
  spark square stage station stone store street studio stream table times tool tower trade trail
  valley vault view village wagon walk watch wave wheel window works yard
`);

/** Endings reserved for examples (RFC 2606 and RFC 6761), so that no real site is named. */
const ENDINGS = ["example", "example.com", "example.net", "example.org", "test"] as const;

const FIRST_SECOND = Date.UTC(2019, 0, 1) / 1000;
const SECONDS = Date.UTC(2026, 0, 1) / 1000 - FIRST_SECOND;

/** A category; early ones come more often, as in real lists. */
export function category(random: Random): string {
  return CATEGORIES[Math.min(random.below(CATEGORIES.length), random.below(CATEGORIES.length))]!;
}

/** A domain: about 50,000 different ones, so a large list has many rows of one domain. */
export function domain(random: Random): string {
  return `${random.pick(FIRST_WORDS)}-${random.pick(SECOND_WORDS)}.${random.pick(ENDINGS)}`;
}

/** A moment from 2019 to 2025, to the microsecond. */
export function timestamp(random: Random): string {
  const text = new Date((FIRST_SECOND + random.below(SECONDS)) * 1000).toISOString();
  const micros = String(random.below(1_000_000)).padStart(6, "0");
  return `${text.slice(0, 10)} ${text.slice(11, 19)}.${micros}`;
}

/** A row to insert. */
export function listRow(random: Random): ListRow {
  return { category: category(random), domain: domain(random), timestamp: timestamp(random) };
}

/** A change of row `id`: always another category and moment, in one case of four another domain. */
export function listUpdate(random: Random, id: number): ListUpdate {
  const chosen = category(random);
  let other = category(random);
  while (other === chosen) other = random.pick(CATEGORIES);
  return {
    id,
    category: chosen,
    other_category: other,
    domain: random.below(4) === 0 ? domain(random) : null,
    timestamp: timestamp(random),
  };
}

function words(text: string): string[] {
  return text.trim().split(/\s+/);
}
