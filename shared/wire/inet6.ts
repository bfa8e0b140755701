/** IPv6 addresses as MariaDB writes them. */

/**
 * 16 bytes as text: the longest run of zero groups is `::`, and addresses that hold one of IPv4
 * (`::1.2.3.4`, `::ffff:1.2.3.4`) end in its form.
 */
export function inet6Text(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes[2 * i]! << 8 | bytes[2 * i + 1]!);
  const zeros = groups.findIndex((group) => group !== 0);
  const holdsIpv4 = zeros === 6 || (zeros === 5 && groups[5] === 0xffff);
  const shown = holdsIpv4 ? groups.slice(0, 6) : groups;
  const gap = longestZeros(shown);
  const hex = (from: number, to: number) =>
    shown.slice(from, to).map((group) => group.toString(16)).join(":");
  const text = gap === undefined
    ? hex(0, shown.length)
    : `${hex(0, gap.from)}::${hex(gap.to, shown.length)}`;
  if (!holdsIpv4) return text;
  return `${text}${text.endsWith(":") ? "" : ":"}${bytes.slice(12).join(".")}`;
}

/** The first longest run of zero groups; one alone counts, too. */
function longestZeros(groups: readonly number[]): { from: number; to: number } | undefined {
  let longest: { from: number; to: number } | undefined;
  for (let from = 0; from < groups.length; from++) {
    let to = from;
    while (groups[to] === 0) to++;
    if (to - from > (longest ? longest.to - longest.from : 0)) longest = { from, to };
  }
  return longest;
}
