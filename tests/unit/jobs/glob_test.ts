import assert from "node:assert/strict";
import { globMatcher } from "../../../shared/jobs/glob.ts";

Deno.test("a glob matches whole names, and its other characters mean themselves", () => {
  const cases: [string, string, boolean][] = [
    ["public.list", "public.list", true],
    ["public.list", "publicXlist", false],
    ["public.list", "public.lists", false],
    ["public.*", "public.a.b", true],
    ["*.order_?", "shop.order_1", true],
    ["*.order_?", "shop.order_12", false],
    ["a+b(c)[d]{e}|f^g$h\\", "a+b(c)[d]{e}|f^g$h\\", true],
    ["s.雪?", "s.雪😀", true],
  ];
  for (const [pattern, name, expected] of cases) {
    assert.equal(globMatcher(pattern)(name), expected, `${pattern} on ${name}`);
  }
});
